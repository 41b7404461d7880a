import random
import time
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.text import matching
from echo_asr.text.matching import GAP, MATCH, OTHER, match_characters

LETTERS = "etaoinshrdlucmfwypvbgk"
SHORT = st.text("abc", max_size=7)


def garbled(text: str, share: float, draw: random.Random) -> tuple[str, list[int]]:
    """A text with a share of errors (three in five others, one left out, one put in), and where each character is
    from, -1 for those put in."""
    found, places = [], []
    for place, character in enumerate(text):
        kind = draw.random() / share
        if kind >= 0.8 or kind < 0.6:
            found.append(draw.choice(LETTERS) if kind < 0.6 else character)
            places.append(place)
        if draw.random() < share / 5:
            found.append(draw.choice(LETTERS))
            places.append(-1)
    return "".join(found), places


def text_of(size: int, draw: random.Random) -> str:
    """Words from a vocabulary of 400."""
    words = ["".join(draw.choices(LETTERS, k=draw.randint(2, 8))) for _ in range(400)]
    return "".join(draw.choices(words, k=size))[:size]


def best_score(first: str, second: str) -> int:
    """The highest score of an alignment, by trying every last step."""

    @cache
    def score(i: int, j: int) -> int:
        found = [score(i - 1, j - 1) + (MATCH if first[i - 1] == second[j - 1] else OTHER)] if i and j else []
        found += [score(k, j) + GAP for k in range(i)] + [score(i, k) + GAP for k in range(j)]
        return max(found, default=0)

    return score(len(first), len(second))


def score_of(first: str, second: str, partners: list[int]) -> int:
    """The score of an alignment: of its pairs, and of each passage that has none."""
    total, before = 0, (-1, -1)
    for i, j in [(i, j) for i, j in enumerate(partners) if j >= 0] + [(len(first), len(second))]:
        total += GAP * ((i - before[0] > 1) + (j - before[1] > 1))
        if i < len(first):
            total += MATCH if first[i] == second[j] else OTHER
        before = (i, j)
    return total


@settings(max_examples=300, deadline=None)
@given(first=SHORT, second=SHORT)
def test_no_alignment_has_a_higher_score(first: str, second: str) -> None:
    partners = match_characters(first, second).tolist()
    kept = [j for j in partners if j >= 0]
    assert kept == sorted(set(kept)) and all(j < len(second) for j in kept)
    assert score_of(first, second, partners) == best_score(first, second)


def test_a_text_is_aligned_with_itself() -> None:
    text = text_of(6000, random.Random(0))  # 36 million pairs, which are not compared
    assert match_characters(text, text).tolist() == list(range(6000))


@pytest.mark.parametrize(("share", "right"), [(0.1, 0.98), (0.4, 0.9)])
def test_an_hour_with_errors_and_passages_of_its_own_takes_seconds(share: float, right: float) -> None:
    draw = random.Random(1)
    first, second, truth = "", "", dict[int, int]()
    for passage in range(40):
        text = text_of(500, draw)
        other, places = garbled(text, share, draw)
        if passage in (10, 11, 25):  # in the first text alone
            first += text
            continue
        if passage not in (12, 30):  # in the second alone
            truth |= {place + len(first): number + len(second) for number, place in enumerate(places) if place >= 0}
            first += text
        second += other
    began = time.process_time()
    partners = match_characters(first, second)
    assert time.process_time() - began < 10.0  # about one
    near = [abs(int(partners[place]) - number) <= 1 for place, number in truth.items()]
    assert np.mean(near) > right
    assert np.mean(partners[10 * 500 + 40 : 12 * 500 - 40] >= 0) < (0.7 if share > 0.3 else 0.3)


def test_memory_is_bounded_where_nothing_is_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    aligned = matching._aligned
    monkeypatch.setattr(matching, "CELLS", 10_000)
    monkeypatch.setattr(
        matching,
        "_aligned",
        lambda one, other, offset: seen.append(len(one) * len(other)) or aligned(one, other, offset),
    )
    partners = match_characters("a" * 3000, "b" * 3000)  # no sequence occurs once
    assert max(seen, default=0) <= 10_000 and (partners < 0).all()


def test_nothing_has_no_partners() -> None:
    assert match_characters("", "abc").tolist() == []
    assert match_characters("abc", "").tolist() == [-1, -1, -1]
