"""The account of a grammar for a model: every template, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from echo_asr.text.grammar.accepted import AcceptedSentences, Overlap, TemplateAccount
from echo_asr.text.grammar.respelling import respell

NAMED = 5  # words, or pairs of templates, that a remark names


@dataclass(frozen=True)
class GrammarReport:
    """What a grammar gives.

    Attributes:
        name: of the grammar.
        sentences: different ones, over all templates.
        templates: an account of each.
        overlaps: pairs of templates that give one sentence, each with an example.
        empty: lists and rules that give nothing.
        lost: what a sentence may say and its result would not have: values that are spoken alike, and slots that are
            filled twice; a line each.
        unused: lists and rules that no template refers to.
        respelt: for words that the model cannot write, what to do about them.
    """

    name: str
    sentences: int
    templates: tuple[TemplateAccount, ...]
    overlaps: tuple[Overlap, ...]
    empty: tuple[str, ...]
    lost: tuple[str, ...]
    unused: tuple[str, ...]
    respelt: dict[str, str]

    @property
    def void(self) -> tuple[TemplateAccount, ...]:
        """Templates that give no sentence."""
        return tuple(account for account in self.templates if not account.sentences)

    def remarks(self) -> Iterator[str]:
        """What may be wrong with it, a line each."""
        for name in self.empty:
            yield f"{self.name}: {name} gives nothing; write its values, or take it out"
        for account in self.templates:
            where = f"{self.name}, line {account.template.line}"
            if account.unwritable:
                words = [self._word(word) for word in account.unwritable[:NAMED]]
                more = len(account.unwritable) - len(words)
                named = ", ".join([*words, *([f"and {more} more"] if more else [])])
                left = "" if account.sentences else "; nothing is left of it"
                yield f"{where}: the model cannot write {named}{left}"
            elif not account.sentences:
                yield f"{where}: nothing can be said by it; write words, or fill its lists"
        for overlap in self.overlaps[:NAMED]:
            lines = f"lines {overlap.first.line} and {overlap.second.line}"
            yield f"{self.name}, {lines} both give {overlap.sentence!r}; the first counts"
        if len(self.overlaps) > NAMED:
            yield f"{self.name}: {len(self.overlaps) - NAMED} more pairs of lines give one sentence; --json has them"
        yield from self.lost[:NAMED]
        if len(self.lost) > NAMED:
            yield f"{self.name}: {len(self.lost) - NAMED} more values of lists, or slots, like these"
        if self.unused:
            yield f"{self.name}: not used: {', '.join(self.unused[:NAMED])}"

    def _word(self, word: str) -> str:
        return f"{word!r}" + (f" ({self.respelt[word]})" if self.respelt.get(word) else "")

    def fields(self) -> dict[str, Any]:
        """The report for JSON."""
        templates = [
            {
                "line": account.template.line,
                "template": account.template.text,
                **({"intent": account.template.intent} if account.template.intent else {}),
                "sentences": account.sentences,
                "unwritable": {word: self.respelt.get(word, "") for word in account.unwritable},
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
            "lost": list(self.lost),
            "unused": list(self.unused),
        }


def _lost(accepted: AcceptedSentences) -> Iterator[str]:
    name = accepted.grammar.name
    for values, spoken, forms in accepted.written_twice:
        named = " and ".join(map(repr, forms[:NAMED]))
        yield f"{name}: in {values} {spoken!r} is written {named}; the first counts"
    for template, slot in accepted.filled_twice:
        mend = "give each a name of its own, as in {room:from} and {room:to}"
        yield f"{name}, line {template.line}: two parts fill the slot {slot}, and the last counts; {mend}"


def make_report(accepted: AcceptedSentences) -> GrammarReport:
    """The report of a grammar."""
    known = accepted.languages.known
    words = {word for account in accepted.accounts for word in account.unwritable}
    return GrammarReport(
        accepted.grammar.name,
        accepted.count,
        tuple(accepted.accounts),
        tuple(accepted.overlaps),
        tuple(accepted.empty_lists),
        tuple(_lost(accepted)),
        tuple(accepted.grammar.unused),
        {word: respell(word, known) for word in words},
    )
