from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.repetition import LONGEST_UNIT, Repetitions, allowed_copies
from echo_asr.decode.search import DecodeConfig, search

SIZE = 5


def begins_one_too_many(text: list[int], repetition: int) -> bool:
    """Whether the last token of a text is the first of one copy too many of some unit, by definition."""
    allowed = allowed_copies(repetition).tolist()
    for length in range(1, LONGEST_UNIT + 1):
        stretch = length * allowed[length - 1]
        before, last = text[:-1], text[-1]
        if len(before) >= stretch and last == before[-length]:
            copies = before[-stretch:]
            if all(copies[place] == copies[place - length] for place in range(length, stretch)):
                return True
    return False


def after(texts: list[list[int]], repetition: int, size: int = SIZE) -> list[set[int]]:
    """The tokens refused after texts of equal length."""
    found = Repetitions(len(texts), repetition, torch.device("cpu"))
    for step in zip(*texts, strict=True):
        found.advance(torch.arange(len(texts)), torch.tensor(step))
    return [set(row.nonzero()[:, 0].tolist()) for row in found.refused(size)]


@settings(max_examples=150, deadline=None)
@given(
    head=st.lists(st.integers(1, 4), max_size=6),
    unit=st.lists(st.integers(1, 4), min_size=1, max_size=10),
    copies=st.integers(1, 12),
    tail=st.integers(0, 9),
    repetition=st.integers(2, 8),
)
def test_what_is_refused_is_what_begins_one_copy_too_many(
    head: list[int], unit: list[int], copies: int, tail: int, repetition: int
) -> None:
    text = head + unit * copies + unit[: tail % len(unit)]
    expected = {token for token in range(1, SIZE) if begins_one_too_many([*text, token], repetition)}
    assert after([text], repetition) == [expected]


def test_a_stretch_may_come_as_often_as_said_and_a_long_one_three_times() -> None:
    allowed = allowed_copies(8)
    assert len(allowed) == LONGEST_UNIT
    assert allowed[:8].tolist() == [8] * 8 and allowed[15] == 4 and allowed[20:].tolist() == [3] * (LONGEST_UNIT - 20)
    assert set(allowed_copies(2).tolist()) == {2}
    for length in (1, 3, 8, 16, 40):
        unit = list(range(1, length + 1))
        most = int(allowed[length - 1])
        assert after([unit * (most - 1)], 8, 64) == [set()]
        assert after([unit * most], 8, 64) == [{1}], "the first token of one more"


@pytest.mark.parametrize(
    "said",
    [
        "no no no",
        "one one one one",
        "one one one one one one one one",
        "zero zero zero zero five five five five",
        "1000000",
        "hmmmmm",
        "bye bye bye bye",
        "very very very very good",
        "we want change we want change we want change",
        "one two three one two three one two three one two three",
    ],
)
def test_what_people_say_passes(said: str) -> None:
    letters = [1 + sorted(set(said)).index(letter) for letter in said]
    words = [1 + sorted(set(said.split())).index(word) for word in said.split()]
    for tokens in (letters, words):
        for place, token in enumerate(tokens):
            assert token not in after([tokens[:place]], 8, 40)[0]


@pytest.mark.parametrize("unit", ["h", "ha", "the ", "thank you ", "and then he said that it was so "])
def test_a_loop_ends(unit: str) -> None:
    letters = [1 + sorted(set(unit)).index(letter) for letter in unit] * 500
    place = next(place for place in range(500) if letters[place] in after([letters[:place]], 8, 40)[0])
    assert place <= max(8 * 8, 3 * len(unit))


def test_the_end_of_a_text_is_never_refused() -> None:
    found = Repetitions(1, 2, torch.device("cpu"))
    for _ in range(20):
        found.advance(torch.tensor([0]), torch.tensor([0]))
    assert not found.refused(SIZE).any()


def test_rows_are_chosen_and_repeated_with_all_that_they_remember() -> None:
    found = Repetitions(3, 2, torch.device("cpu"))
    texts = [[1, 1], [2, 3], [4, 4]]
    for step in zip(*texts, strict=True):
        found.advance(torch.arange(3), torch.tensor(step))
    found.advance(torch.tensor([2, 1, 1, 0]), torch.tensor([3, 2, 3, 2]))
    expected = after([[4, 4, 3], [2, 3, 2], [2, 3, 3], [1, 1, 2]], 2)
    assert [set(row.nonzero()[:, 0].tolist()) for row in found.refused(SIZE)] == expected == [set(), set(), {3}, set()]
    found.advance(torch.tensor([1]), torch.tensor([3]))
    assert found.refused(SIZE).nonzero().tolist() == [[0, 2]], "2 3 2 3 and no third"


class Parrot:
    """A model that says `1 2 3` again and again, ends now and then with a small probability, and hears nothing."""

    vocabulary_size, device = 5, torch.device("cpu")

    def __init__(self) -> None:
        self.decoder = self

    def state(self, encoded: Any) -> Any:
        return SimpleNamespace(select=lambda rows, memory=True: None)

    def predict(self, tokens: torch.Tensor, state: Any) -> torch.Tensor:
        following = torch.tensor([1, 2, 3, 1, 1])[tokens]
        return torch.full((*tokens.shape, 5), 1e-3).index_fill(-1, torch.tensor(0), 1e-2).scatter(
            -1, following[..., None], 0.987
        ).double().log()  # fmt: skip


@pytest.mark.parametrize("width", [1, 4])
def test_a_loop_is_broken_and_the_text_ends(width: int) -> None:
    encoded: Any = SimpleNamespace(lengths=torch.tensor([300, 90]))
    config = DecodeConfig(beam=width, ctc_weight=0.0, repetition=0)
    parrot: Any = Parrot()
    if width == 1:  # a beam finds the short texts that the loop hides
        assert [h.tokens for h in search(parrot, encoded, config)] == [[1, 2, 3] * 100, [1, 2, 3] * 30]
    for copies in (3, 8):
        for found in search(parrot, encoded, replace(config, repetition=copies, length_bonus=0.02 * (width > 1))):
            assert found.tokens == [1, 2, 3] * copies
