"""The account of a grammar for a model: every template, and what may be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from echo_asr.text.grammar.accepted import AcceptedSentences, Overlap, TemplateAccount


@dataclass(frozen=True)
class GrammarReport:
    """What a grammar gives.

    Attributes:
        name: of the grammar.
        sentences: different ones, over all templates.
        templates: an account of each.
        overlaps: pairs of templates that give one sentence, each with an example.
        empty: lists and rules that give nothing.
        unused: lists and rules that no template refers to.
    """

    name: str
    sentences: int
    templates: tuple[TemplateAccount, ...]
    overlaps: tuple[Overlap, ...]
    empty: tuple[str, ...]
    unused: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        """The report for JSON."""
        templates = [
            {
                "line": account.template.line,
                "template": account.template.text,
                "sentences": account.sentences,
                "unwritable": list(account.unwritable),
            }
            for account in self.templates
        ]
        overlaps = [{"lines": [o.first.line, o.second.line], "sentence": o.sentence} for o in self.overlaps]
        return {
            "grammar": self.name,
            "sentences": self.sentences,
            "templates": templates,
            "overlaps": overlaps,
            "empty": list(self.empty),
            "unused": list(self.unused),
        }


def make_report(accepted: AcceptedSentences) -> GrammarReport:
    """The report of a grammar."""
    return GrammarReport(
        accepted.grammar.name,
        accepted.count,
        tuple(accepted.accounts),
        tuple(accepted.overlaps),
        tuple(accepted.empty_lists),
    )
