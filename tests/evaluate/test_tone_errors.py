"""Errors of tones from one alignment of syllables."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from itertools import product

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.evaluate.metrics import error_rate
from echo_asr.evaluate.tone_errors import align_syllables, tone_errors
from echo_asr.text.tones import Syllable, ToneNotation

NUMBERS = ToneNotation("digits")
SYLLABLES = [f"{base}{tone}" for base, tone in product(("ma", "ni"), ("1", "2", ""))]
TEXTS = st.lists(st.sampled_from(SYLLABLES), max_size=6).map(" ".join)


def best(reference: tuple[str, ...], hypothesis: tuple[str, ...]) -> tuple[int, int]:
    """Fewest edits, and of alignments with as few the fewest differing bases and tones; by trying all of them."""

    @cache
    def rest(i: int, j: int) -> tuple[int, int]:
        if i == len(reference) or j == len(hypothesis):
            return len(reference) - i + len(hypothesis) - j, 0
        left, right = (NUMBERS.syllables(one)[0] for one in (reference[i], hypothesis[j]))
        parts = (left.base != right.base) + (left.tone != right.tone)
        found = []
        for edits, differing, (more, others) in (
            (parts > 0, parts, rest(i + 1, j + 1)), (1, 0, rest(i + 1, j)), (1, 0, rest(i, j + 1))
        ):  # fmt: skip
            found.append((edits + more, differing + others))
        return min(found)

    return rest(0, 0)


@given(TEXTS, TEXTS)
def test_the_alignment_is_the_best_and_its_edits_are_those_of_jiwer(reference: str, hypothesis: str) -> None:
    pairs = align_syllables(NUMBERS.split(reference), NUMBERS.split(hypothesis))
    differing = [(a, b) for a, b in pairs if a is None or b is None or (a.base, a.tone) != (b.base, b.tone)]
    parts = sum((a.base != b.base) + (a.tone != b.tone) for a, b in differing if a is not None and b is not None)
    assert (len(differing), parts) == best(tuple(reference.split()), tuple(hypothesis.split()))
    if reference:
        output = jiwer.process_words(reference, hypothesis)
        assert len(differing) == output.substitutions + output.deletions + output.insertions
    assert [a for a, _ in pairs if a] == NUMBERS.split(reference)
    assert [b for _, b in pairs if b] == NUMBERS.split(hypothesis)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_counts_agree_with_each_other_and_with_the_table(texts: list[tuple[str, str]]) -> None:
    references, hypotheses = ([pair[n] for pair in texts] for n in (0, 1))
    found = tone_errors(references, hypotheses, NUMBERS)
    syllables = sum(len(text.split()) for text in references)
    assert found.tone.reference == found.base.reference == syllables
    assert sum(n for (row, _), n in found.confusions.items() if row is not None) == syllables
    wrong = {pair: n for pair, n in found.confusions.items() if pair[0] != pair[1]}
    assert sum(wrong.values()) == found.tone.errors
    for part in (found.tone, found.base):
        for kind in ("insertions", "deletions"):
            assert getattr(part, kind) == getattr(found.base, kind)
    bare = ([text.replace("1", "").replace("2", "") for text in one] for one in (references, hypotheses))
    assert found.toneless.errors == error_rate(*bare).errors


def test_planted_confusions_come_out_in_the_table() -> None:
    draw = random.Random(0)
    words = [f"{base}{tone}" for base in ("ma", "ni", "hao") for tone in range(1, 5)]
    references = [" ".join(draw.choices(words, k=6)) for _ in range(50)]
    planted: Counter[tuple[str | None, str | None]] = Counter()
    hypotheses = []
    for text in references:
        words = text.split()
        place = draw.randrange(6)
        other = draw.choice([tone for tone in "1234" if tone != words[place][-1]])
        planted[words[place][-1], other] += 1
        hypotheses.append(" ".join([*words[:place], words[place][:-1] + other, *words[place + 1 :]]))
    found = tone_errors(references, hypotheses, NUMBERS)
    assert {pair: n for pair, n in found.confusions.items() if pair[0] != pair[1]} == planted
    assert found.tone.substitutions == found.tone.errors == 50 and found.base.errors == found.toneless.errors == 0
    assert sum(int(cell) for row in found.table()[1:] for cell in row[1:]) == 300


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
def test_the_other_direction_exchanges_what_is_missing_and_extra(texts: list[tuple[str, str]]) -> None:
    references, hypotheses = ([pair[n] for pair in texts] for n in (0, 1))
    one, other = tone_errors(references, hypotheses, NUMBERS), tone_errors(hypotheses, references, NUMBERS)
    for here, there in ((one.tone, other.tone), (one.base, other.base)):
        assert (here.insertions, here.deletions, here.substitutions) == (
            there.deletions, there.insertions, there.substitutions,
        )  # fmt: skip


def test_empty_hypotheses_and_another_notation_are_all_wrong() -> None:
    empty = tone_errors(["ma3 ni1", "ma2"], ["", ""], NUMBERS)
    assert empty.tone.deletions == empty.tone.errors == empty.base.errors == 3
    assert empty.confusions == {("3", None): 1, ("1", None): 1, ("2", None): 1}
    assert tone_errors(["", "ma3"], ["ma3 ni1", "ma3"], NUMBERS).confusions == {
        (None, "3"): 1, (None, "1"): 1, ("3", "3"): 1,
    }  # fmt: skip
    other = tone_errors(["ma3 ni1"], ["mǎ nī"], NUMBERS)
    assert other.confusions == {("3", ""): 1, ("1", ""): 1} and other.tone.errors == other.base.errors == 2


def test_what_has_no_letter_has_no_tone() -> None:
    found = tone_errors(["ma3 ◆ 35"], ["ma3 35"], NUMBERS)
    assert found.tone.reference == 1 and found.tone.errors == found.base.errors == 0


def test_a_tone_on_another_syllable_is_wrong() -> None:
    """The bare sequences of tones, 3 1 and 3 1, would not differ."""
    assert tone_errors(["ma3 ni1"], ["ma3 hao1"], NUMBERS).tone.errors == 0
    assert tone_errors(["ma3 ni"], ["ma ni3"], NUMBERS).tone.errors == 2


def test_unmarked_syllables_count_where_they_have_a_tone() -> None:
    marked_only = ToneNotation("digits", unmarked=False)
    assert tone_errors(["ma3 le"], ["ma3 le"], marked_only).tone.reference == 1
    assert tone_errors(["ma3 le"], ["ma3 le1"], marked_only).tone.insertions == 1
    assert tone_errors(["ma3 le"], ["ma le"], marked_only).tone.deletions == 1
    assert tone_errors(["ma3 le"], ["ma3 le1"], NUMBERS).tone.substitutions == 1


def test_as_many_hypotheses_as_references() -> None:
    with pytest.raises(ValueError, match="one for each of 1 references, got 0"):
        tone_errors(["ma3"], [], NUMBERS)
    assert align_syllables([], []) == [] and align_syllables([Syllable("a", "", ())], []) == [
        (Syllable("a", "", ()), None)
    ]


def test_symbols_of_events_and_numbers_are_no_syllables() -> None:
    found = tone_errors(["ma3 \u25c6 7 li"], ["ma3 li"], ToneNotation("digits"))
    assert found.tone.reference == found.base.reference == 2 and found.tone.errors == found.base.errors == 0


def test_superscripts_stand_in_the_order_of_their_digits() -> None:
    found = tone_errors(["ma\u2075 ma\u00b9 ma\u00b3 ma\u00b2"], ["ma\u00b9 ma\u2074"], ToneNotation("superscripts"))
    assert found.table()[0][1:-1] == list("\u00b9\u00b2\u00b3\u2074\u2075")
    assert [row[0] for row in found.table()[1:]] == list("\u00b9\u00b2\u00b3\u2075")
