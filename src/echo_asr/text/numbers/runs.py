"""What a run of successive number words says: the one reading with the fewest numbers, or none that is sure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from echo_asr.text.numbers import NUMBERS, look_up
from echo_asr.text.numbers.parts import Kind, Part, Words, find_year, is_estimate, says_number


def number_runs(words: Words) -> Iterator[tuple[int, int]]:
    """Successive words that may be part of numbers; a word such as `point` between two of them is."""
    own, first = words.own, 0
    is_number = [says_number(word, words.language, _vocabulary(words.language)) for word in words.words]
    for at in range(1, len(is_number) - 1):
        between = words.words[at] in own.point and is_number[at - 1]
        is_number[at] = is_number[at] or (between and is_number[at + 1])
    while first < len(is_number):
        end = next((n for n in range(first, len(is_number)) if not is_number[n]), len(is_number))
        if end > first:
            yield first, end
        first = end + 1


def read_run(words: Words, first: int, end: int) -> list[Part]:
    """The parts of a run of number words; none where they stay words.

    They stay words where several readings have the fewest numbers, where none has all the words, where two numbers side
    by side may be one (`one fifty`), and beside words of ordinals, fractions and numbers from a million on.
    """
    parts = _fewest_numbers(words, first, end)
    return parts if parts and not _beside_others(words, first, end) and _is_sure(parts, words, first) else []


@dataclass
class _Reached:
    """The cheapest way to a place: what it costs, how many ways cost the same, and the last part of one of them."""

    cost: int
    ways: int
    start: int
    before: Kind
    part: Part | None


def _fewest_numbers(words: Words, first: int, end: int) -> list[Part]:
    """The parts of the reading with the fewest numbers; none where there are several, or none."""
    reached: dict[int, dict[Kind, _Reached]] = {at: {} for at in range(first, end + 1)}
    reached[first]["word"] = _Reached(0, 1, first, "word", None)
    for at in range(first, end):
        for part in words.parts(at, end) if reached[at] else ():
            for kind, way in reached[at].items():
                if _may_follow(kind, part, words.words[at] in words.own.year_words):
                    _keep(reached[part.end], _Reached(way.cost + part.cost, way.ways, at, kind, part))
    least = min((way.cost for way in reached[end].values()), default=0)
    best = [way for way in reached[end].values() if way.cost == least]
    return _parts_to(best[0], reached) if len(best) == 1 and best[0].ways == 1 else []


def _may_follow(before: Kind, part: Part, year_word: bool) -> bool:
    """A year stands alone; a word for `year` doesn't follow digits said one by one."""
    if before == "year" or part.kind == "year":
        return "word" in (before, part.kind)
    return not (before == "digits" and part.kind == "word" and year_word)


def _keep(ways: dict[Kind, _Reached], way: _Reached) -> None:
    """Keep a way to a place, if none of its kind costs less."""
    assert way.part is not None
    kind = way.part.kind
    if kind not in ways or way.cost < ways[kind].cost:
        ways[kind] = way
    elif way.cost == ways[kind].cost:
        ways[kind].ways += way.ways


def _parts_to(way: _Reached, reached: dict[int, dict[Kind, _Reached]]) -> list[Part]:
    parts = []
    while way.part is not None:
        parts.append(way.part)
        way = reached[way.start][way.before]
    return parts[::-1]


def _beside_others(words: Words, first: int, end: int) -> bool:
    """Whether words stand beside that make an ordinal, a fraction or a larger number of these."""
    own, gap = words.own, "" if words.own.joined else " "
    edge_before, edge_after = ("", "") if own.joined else (r"(?<!\S)", r"(?!\S)")
    larger = own.larger or "(?!)"
    before, after = gap.join(words.words[max(first - 2, 0) : first]), gap.join(words.words[end : end + 2])
    found = re.search(f"{edge_before}(?:{larger})$", before)
    return bool(found or re.match(f"(?:{larger}|{own.fractions or '(?!)'}){edge_after}", after))


def _is_sure(parts: list[Part], words: Words, first: int) -> bool:
    """Whether numbers side by side are numbers of their own."""
    starts = [first, *(part.end for part in parts)]
    lone = [words.words[at] in words.own.lone and part.end == at + 1 for at, part in zip(starts, parts, strict=False)]
    if any(part.kind == "decimal" and words.text(part.end, part.end + 1) in words.own.clock for part in parts):
        return False
    for n, (part, after) in enumerate(pairwise(parts)):
        alone = not any(beside.written for beside in [*parts[max(n - 1, 0) : n], *parts[n + 2 : n + 3]])
        if part.written and after.written:
            sure = not lone[n] and not lone[n + 1] and _are_two(part, after, alone, words)
        else:
            sure = _is_word(part, after, words.words[part.end] in words.own.year_words)
        if not sure:
            return False
    return True


def _is_word(part: Part, after: Part, year_word: bool) -> bool:
    """Whether, where one of two parts stays a word, it is sure to be no number.

    Not beside digits where it may be one (`oh`); nor where Vietnamese `năm` may be a digit: after hundreds, and beside
    another one.
    """
    if part.kind == after.kind == "word" and year_word:
        return False
    if "zero" in (part.kind, after.kind):
        return not part.written and after.kind not in ("digit", "digits")
    return not (year_word and part.text.endswith("00"))


def _are_two(part: Part, after: Part, alone: bool, words: Words) -> bool:
    """Whether a number directly behind another is a second one.

    It may belong to the first, as in `one fifty`, where that is a digit, or ends in as many zeros as the second has
    digits; beside digits said one by one, and decimals; and where both may be a year, unless others beside them show
    that somebody counts (`thirteen fourteen fifteen`). Where spaces part thousands, `200 300` would be one number.
    """
    if not words.own.lists or part.kind == "digit" or {"digits", "decimal"} & {part.kind, after.kind}:
        return False
    if int(part.text) % 10 ** len(after.text) == 0 or (words.own.point_sign == "," and len(after.text) == 3):
        return False
    first, second = int(part.text), int(after.text)
    counted = not alone and (first == second or is_estimate(first, second))
    return counted or find_year(first, second, words.language) is None


@cache
def _vocabulary(language: str) -> frozenset[str]:
    """All words that are part of numbers, as they are looked up."""
    own = NUMBERS[language]
    numbers = [*range(1000), 1001, 2000, 2100, 11_000]
    texts = [form for n in numbers for form in own.forms(n)]
    texts += [form for forms in own.digits for form in forms] + [*own.fillers, *own.links]
    words = {word for text in texts for word in look_up(text, language).split()}
    return frozenset("".join(words)) if own.joined else frozenset(words)
