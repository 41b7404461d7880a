"""What templates refer to: lists of values, and rules."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from echo_asr.errors import EchoError
from echo_asr.text.grammar.nodes import ListReference, Literal, Node, Place, Range, RuleReference, Written, children
from echo_asr.text.numbers import LARGEST, NUMBERS, digit_forms, number_forms

DEEPEST = 100  # parts within parts, those of rules and lists included
MOST_NUMBERS = 100_000  # of a range


class Value(NamedTuple):
    """A value of a list.

    Attributes:
        spoken: a text or a template.
        written: what a result has for it; None: as the template is written.
    """

    spoken: str | Node
    written: str | None = None


@dataclass(frozen=True, eq=False)
class Values:
    """The values of a list."""

    values: tuple[Value, ...]

    @cached_property
    def templates(self) -> list[tuple[Node, str | None]]:
        """The values that are templates, each with its written form."""
        return [(spoken, written) for spoken, written in self.values if not isinstance(spoken, str)]

    def texts(self, normalize: Callable[[str], str]) -> dict[str, list[str]]:
        """The values that are texts: normalised, each with its written forms."""
        found: dict[str, list[str]] = {}
        for spoken, written in self.values:
            if isinstance(spoken, str) and (text := normalize(spoken)):
                forms = found.setdefault(text, [])
                written = " ".join(spoken.split()) if written is None else written
                if written not in forms:
                    forms.append(written)
        return found


def value_of(node: Node, written: str | None = None) -> Value:
    """A template as a value; one that is text alone as a text."""
    if isinstance(node, Written) and written is None and isinstance(node.item, Literal):
        return Value(node.item.text, node.text)
    return Value(node.text if isinstance(node, Literal) else node, written)


@dataclass
class Definitions:
    """Lists and rules by their names, and how numbers are spoken.

    Attributes:
        language: of numbers, as in `NUMBERS`; empty where none is named.
        digits: numbers are spoken as digits, as models write them whose texts have digits.
        words: numbers are spoken as words.
    """

    lists: dict[str, Values] = field(default_factory=dict)
    rules: dict[str, Node] = field(default_factory=dict)
    language: str = ""
    digits: bool = False
    words: bool = True
    _ranges: dict[tuple[int, int, int], Values] = field(default_factory=dict)
    _digits: Values | None = None

    def values(self, reference: ListReference) -> Values:
        """The values that a reference stands for.

        Raises:
            EchoError: there is no such list.
        """
        if reference.range:
            return self.numbers(reference.range, reference.place)
        found = self.lists.get(reference.name)
        if found is None and reference.name == "digit":
            found = self._digits = self._digits or self._spoken_digits(reference.place)
        if found is None:
            if ".." in reference.name or "…" in reference.name:
                what = "a range goes from a whole number, 0 or more, to a larger one, without spaces, as in {1..100}"
                raise EchoError(f"{reference.place}: {what}; got {{{reference.name}}}")
            where = f"{reference.place}: there is no list {{{reference.name}}}"
            mend = f"write a line {{{reference.name}}} = one | another, or {{{reference.name}}} = @FILE"
            raise EchoError(f"{where}{_closest(reference.name, self.lists, '{}')}; {mend}")
        return found

    def rule(self, reference: RuleReference) -> Node:
        """The template that a reference stands for.

        Raises:
            EchoError: there is no such rule.
        """
        found = self.rules.get(reference.name)
        if found is None:
            where = f"{reference.place}: there is no rule <{reference.name}>"
            mend = f"write a line <{reference.name}> = TEMPLATE"
            raise EchoError(f"{where}{_closest(reference.name, self.rules, '<>')}; {mend}")
        return found

    def parts(self, reference: ListReference | RuleReference) -> list[Node]:
        """The templates that a reference stands for.

        Raises:
            EchoError: it stands for nothing.
        """
        if isinstance(reference, RuleReference):
            return [self.rule(reference)]
        return [template for template, _ in self.values(reference).templates]

    def numbers(self, numbers: Range, place: Place) -> Values:
        """The numbers of a range, spoken as the grammar says, and written as digits.

        Raises:
            EchoError: there are very many, or no language is named.
        """
        key = numbers.low, numbers.high, numbers.step
        if key not in self._ranges:
            every = range(numbers.low, numbers.high + 1, numbers.step)
            if len(every) > MOST_NUMBERS:
                what = f"a range has at most {MOST_NUMBERS:,} numbers, this one {len(every):,}"
                mend = f"for numbers that are said digit by digit write {{digit}}*{len(str(numbers.high))}"
                raise EchoError(f"{place}: {what}; {mend}")
            forms = self._forms(place, number_forms)
            if self.words and numbers.high > LARGEST:
                what = f"numbers are spoken up to {LARGEST:,}, this range goes to {numbers.high:,}"
                raise EchoError(f"{place}: {what}; write the larger ones as values of a list: (two million):2000000")
            self._ranges[key] = Values(tuple(Value(form, str(n)) for n in every for form in forms(n)))
        return self._ranges[key]

    def _spoken_digits(self, place: Place) -> Values:
        forms = self._forms(place, digit_forms)
        return Values(tuple(Value(form, str(n)) for n in range(10) for form in forms(n)))

    def _forms(self, place: Place, words: Callable[[int, str], Iterable[str]]) -> Callable[[int], list[str]]:
        if self.words and not self.language:
            known = ", ".join(NUMBERS)
            what = f"numbers are spoken in a language; expected a line language = NAME, one of {known}"
            raise EchoError(f"{place}: {what}; or numbers = digits, where the model's own texts have digits")
        return lambda n: [*([str(n)] if self.digits else []), *(words(n, self.language) if self.words else [])]

    def check(self, nodes: Iterable[Node]) -> None:
        """Look up whatever templates, lists and rules refer to.

        Raises:
            EchoError: something that is not defined, refers to itself, or is nested very deep.
        """
        depths: dict[object, int] = {}
        for node in nodes:
            self._depth(node, depths, [])
        for name, rule in self.rules.items():
            self._depth(rule, depths, [f"<{name}>"])
        for name, values in self.lists.items():
            for template, _ in values.templates:
                self._depth(template, depths, [f"{{{name}}}"])

    def _depth(self, node: Node, depths: dict[object, int], within: list[str]) -> int:
        """How deep the parts of a template are nested; `within` names the rules and lists around it."""
        if isinstance(node, RuleReference | ListReference):
            kind = "list" if isinstance(node, ListReference) else "rule"
            name = f"{{{node.name}}}" if kind == "list" else f"<{node.name}>"
            parts = self.parts(node)
            if name in within:
                chain = " in ".join([name, *reversed(within[within.index(name) :])])
                raise EchoError(f"{node.place}: {chain}: a {kind} cannot contain itself; repeat with *1-9")
            if len(within) > DEEPEST:
                raise EchoError(f"{node.place}: rules stand more than {DEEPEST} deep in one another; join some of them")
            return 1 + max((self._depth_of(part, depths, [*within, name]) for part in parts), default=0)
        return 1 + max((self._depth_of(part, depths, within) for part in children(node)), default=0)

    def _depth_of(self, node: Node, depths: dict[object, int], within: list[str]) -> int:
        if node not in depths:
            depths[node] = self._depth(node, depths, within)
            if depths[node] > DEEPEST:
                raise EchoError(f"rules and brackets stand more than {DEEPEST} deep in one another; join some of them")
        return depths[node]


def _closest(name: str, known: Iterable[str], brackets: str) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {brackets[0]}{close[0]}{brackets[1]}?" if close else ""
