"""What a sentence means: the ways in which a template gives it, with written forms and slots.

A chart parser: what a part of a template can be from a place of the sentence on is found once, for each place that it
can end at, and of many ways to read the same characters a few are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as Texts
from itertools import islice
from typing import NamedTuple

from echo_asr.text.grammar.definitions import Definitions, Values
from echo_asr.text.grammar.language import Speaker
from echo_asr.text.grammar.nodes import (
    Choice,
    ListReference,
    Literal,
    Node,
    Permutation,
    Repetition,
    RuleReference,
    Sequence,
    Written,
)

INSIDE, SPACED, FIRST = range(3)  # what is before a place: a word, white space, nothing
MOST = 8  # ways to read the same characters that are kept


class At(NamedTuple):
    """A place in a sentence: a character, and what is before it."""

    place: int
    kind: int


class Piece(NamedTuple):
    """Characters `start` to `end` of the spoken sentence, and what is written for them."""

    start: int
    end: int
    text: str


class Reading(NamedTuple):
    """A way in which a template gives a sentence: its pieces, in order, and its slots."""

    pieces: tuple[Piece, ...] = ()
    slots: tuple[tuple[str, str], ...] = ()


_Ways = dict[At, tuple[Reading, ...]]  # for each place to end at, the ways to read what is before it


class SentenceReader:
    """Reads one sentence by templates.

    Args:
        text: normalised.
        definitions: that the templates refer to.
        speaker: that their automata were made with.
        texts: the texts of a list's values, each with its written forms, as `Values.texts`.
    """

    def __init__(
        self, text: str, definitions: Definitions, speaker: Speaker, texts: Callable[[Values], Mapping[str, Texts[str]]]
    ) -> None:
        self.text, self.definitions, self.speaker, self.texts = text, definitions, speaker, texts
        self._known: dict[tuple[object, At], _Ways] = {}

    def readings(self, node: Node) -> list[Reading]:
        """The different ways in which a template gives the sentence, a few at most; none where it does not."""
        ends = self._ways(node, At(0, FIRST))
        return list(_few(reading for end, own in ends.items() if end.place == len(self.text) for reading in own))

    def _ways(self, node: Node, at: At) -> _Ways:
        key = node, at
        if key not in self._known:
            self._known[key] = self._find_ways(node, at)
        return self._known[key]

    def _find_ways(self, node: Node, at: At) -> _Ways:
        match node:
            case Literal():
                return {
                    end: (Reading((Piece(at.place, end.place, node.text),)),) for end in self._literal(node.text, at)
                }
            case Sequence():
                return self._one_after_the_other(node.items, at)
            case Choice():
                return _merged(self._ways(item, at) for item in node.items)
            case Permutation():
                return self._permuted(node, frozenset(range(len(node.items))), _after_space(at))
            case Repetition():
                return self._repeated(node, at)
            case Written():
                return {
                    end: _few(Reading((Piece(at.place, end.place, node.text),), own.slots) for own in readings)
                    for end, readings in self._ways(node.item, at).items()
                }
            case RuleReference():
                return self._ways(self.definitions.rule(node), at)
            case ListReference():
                return self._listed(node, at)

    def _follow(self, ways: _Ways, node: Node, spaced: bool = False) -> _Ways:
        """What was read, and then a part."""
        return _merged(
            {
                end: _few(_joined(before, after) for before in readings for after in own)
                for end, own in self._ways(node, _after_space(at) if spaced else at).items()
            }
            for at, readings in ways.items()
        )

    def _one_after_the_other(self, items: Iterable[Node], at: At) -> _Ways:
        ways: _Ways = {at: (Reading(),)}
        for item in items:
            ways = self._follow(ways, item)
        return ways

    def _permuted(self, node: Permutation, left: frozenset[int], at: At) -> _Ways:
        if not left:
            return {at: (Reading((Piece(at.place, at.place, " "),)),)}
        key = (node, left), at
        if key not in self._known:
            orders = []
            for n in sorted(left):
                for middle, readings in self._ways(node.items[n], at).items():
                    rest = self._permuted(node, left - {n}, _after_space(middle))
                    space = Reading((Piece(at.place, at.place, " "),))
                    orders.append(
                        {
                            end: _few(_joined(_joined(space, one), after) for one in readings for after in own)
                            for end, own in rest.items()
                        }
                    )
            self._known[key] = _merged(orders)
        return self._known[key]

    def _repeated(self, node: Repetition, at: At) -> _Ways:
        """Written without spaces between where all that is written is digits."""
        found: list[_Ways] = [{at: (Reading(),)}] if not node.low else []
        ways = _Ways({at: (Reading(),)})
        for done in range(node.high):
            ways = self._follow(ways, node.item, spaced=done > 0)
            if done + 1 >= node.low:
                found.append({end: _few(map(_repeated, own)) for end, own in ways.items()})
        return _merged(found)

    def _listed(self, node: ListReference, at: At) -> _Ways:
        values = self.definitions.values(node)
        texts = self.texts(values)
        found: list[_Ways] = []
        for place, text in self._texts(texts, at):
            plain = (Reading((Piece(at.place, place, form),), ((node.slot, form),)) for form in texts[text])
            found.append({At(place, INSIDE): _few(plain)})
        for template, written in values.templates:
            for end, readings in self._ways(template, at).items():
                own = []
                for reading in readings:
                    form = written_form(reading.pieces) if written is None else written
                    pieces = reading.pieces if written is None else (Piece(at.place, end.place, form),)
                    own.append(Reading(pieces, (*reading.slots, (node.slot, form))))
                found.append({end: _few(own)})
        return _merged(found)

    def _texts(self, texts: Mapping[str, Texts[str]], at: At) -> Iterator[tuple[int, str]]:
        """The texts that stand at a place, and where each ends."""
        start = self._gap(at)
        if start is None:
            return
        for end in range(start + 1, len(self.text) + 1):
            if self.text[start:end] in texts:
                yield end, self.text[start:end]

    def _gap(self, at: At) -> int | None:
        """Where a word begins, behind the space before it; None where that is missing."""
        if at.kind != SPACED or not self.speaker.spaces:
            return at.place
        return at.place + 1 if self.text.startswith(" ", at.place) else None

    def _literal(self, text: str, at: At) -> set[At]:
        found = set()
        for goes_on in (False, True):
            spoken = self.speaker.spoken(text, at.kind == INSIDE, goes_on)
            here = _after_space(at) if spoken.before else at
            if spoken.words:
                start, said = self._gap(here), (" " if self.speaker.spaces else "").join(spoken.words)
                if start is None or not self.text.startswith(said, start):
                    continue
                here = At(start + len(said), INSIDE)
            found.add(_after_space(here) if spoken.after else here)
        return found


def _after_space(at: At) -> At:
    return At(at.place, SPACED) if at.kind == INSIDE else at


def _few(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    return tuple(islice(dict.fromkeys(readings), MOST))


def _merged(ways: Iterable[_Ways]) -> _Ways:
    found: dict[At, list[Reading]] = {}
    for own in ways:
        for end, readings in own.items():
            found.setdefault(end, []).extend(readings)
    return {end: _few(readings) for end, readings in found.items()}


def _joined(one: Reading, other: Reading) -> Reading:
    """One after the other; of successive spaces, for which nothing is spoken, one is kept."""
    before, after = one.pieces, other.pieces
    if before and after and _is_blank(before[-1]) and _is_blank(after[0]):
        after = after[1:]
    return Reading(before + after, one.slots + other.slots)


def _is_blank(piece: Piece) -> bool:
    return piece.start == piece.end and piece.text.isspace()


def _repeated(reading: Reading) -> Reading:
    """What is repeated, with spaces between unless it is digits; a slot that is filled several times has one value."""
    texts = [piece.text for piece in reading.pieces]
    if not texts:  # an optional part, each time without it
        return reading
    gap = "" if all(text.strip().isdecimal() for text in texts) else " "
    if gap:
        pieces = tuple(p._replace(text=f" {p.text}" if n else p.text) for n, p in enumerate(reading.pieces))
    else:
        pieces = (Piece(reading.pieces[0].start, reading.pieces[-1].end, "".join(map(str.strip, texts))),)
    slots: dict[str, str] = {}
    for name, value in reading.slots:
        slots[name] = (
            slots[name] + ("" if (slots[name] + value).isdecimal() else " ") + value if name in slots else value
        )
    return Reading(pieces, tuple(slots.items()))


def written_form(pieces: Iterable[Piece]) -> str:
    """The written sentence of some pieces."""
    return " ".join("".join(piece.text for piece in pieces).split())
