import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.ctc import CTCBestPath
from echo_asr.decode.repetition import LONGEST_UNIT, Repetitions, allowed_copies
from echo_asr.decode.search import DecodeConfig, search

SIZE = 5


def begins_one_too_many(text: list[int], repetition: int) -> bool:
    """Whether the last token of a text is the first of one copy too many of some unit, by definition."""
    allowed = allowed_copies(repetition).tolist()
    for length in range(1, LONGEST_UNIT + 1):
        segment = length * allowed[length - 1]
        before, last = text[:-1], text[-1]
        if len(before) >= segment and last == before[-length]:
            copies = before[-segment:]
            if all(copies[place] == copies[place - length] for place in range(length, segment)):
                return True
    return False


def refused(found: Repetitions, size: int = SIZE) -> torch.Tensor:
    """`(rows, size)`, also where nothing is refused."""
    given = found.refused(size)
    return torch.zeros(len(found.recent), size, dtype=torch.bool) if given is None else given


def after(texts: list[list[int]], repetition: int, size: int = SIZE) -> list[set[int]]:
    """The tokens refused after texts of equal length."""
    found = Repetitions(len(texts), repetition, torch.device("cpu"))
    for step in zip(*texts, strict=True):
        found.advance(torch.arange(len(texts)), torch.tensor(step))
    return [set(row.nonzero()[:, 0].tolist()) for row in refused(found, size)]


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


def test_a_segment_may_come_as_often_as_said_and_a_long_one_three_times() -> None:
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
    assert not refused(found).any()


def test_rows_are_chosen_and_repeated_with_all_that_they_remember() -> None:
    found = Repetitions(3, 2, torch.device("cpu"))
    texts = [[1, 1], [2, 3], [4, 4]]
    for step in zip(*texts, strict=True):
        found.advance(torch.arange(3), torch.tensor(step))
    found.advance(torch.tensor([2, 1, 1, 0]), torch.tensor([3, 2, 3, 2]))
    expected = after([[4, 4, 3], [2, 3, 2], [2, 3, 3], [1, 1, 2]], 2)
    assert [set(row.nonzero()[:, 0].tolist()) for row in refused(found)] == expected == [set(), set(), {3}, set()]
    found.advance(torch.tensor([1]), torch.tensor([3]))
    assert refused(found).nonzero().tolist() == [[0, 2]], "2 3 2 3 and no third"


class Parrot:
    """A decoder that says a unit again and again, ends now and then with a small probability, and does not listen; its
    CTC finds `spoken` copies of the unit in each recording, two frames a token and a blank frame after it, then
    silence."""

    vocabulary_size, device = 6, torch.device("cpu")

    def __init__(self, unit: tuple[int, ...] = (1, 2, 3), spoken: tuple[int, ...] = (0, 0), sure: float = 0.98) -> None:
        self.decoder, self.unit, self.spoken, self.sure = self, unit, spoken, sure

    def encoded(self, frames: int) -> Any:
        return SimpleNamespace(lengths=torch.full((len(self.spoken),), frames))

    def ctc_log_probabilities(self, encoded: Any) -> torch.Tensor:
        frame_ids = torch.zeros(len(self.spoken), int(encoded.lengths.max()), dtype=torch.long)
        for row, copies in enumerate(self.spoken):
            frames = torch.tensor([frame for token in self.unit * copies for frame in (token, token, 0)])
            frame_ids[row, 1 : 1 + len(frames)] = frames
        rest = (1.0 - self.sure) / (self.vocabulary_size - 1)
        return (
            torch.full((*frame_ids.shape, self.vocabulary_size), rest)
            .scatter(-1, frame_ids[..., None], self.sure)
            .log()
        )

    def state(self, encoded: Any) -> Any:
        said = SimpleNamespace(count=[0] * len(self.spoken))

        def select(rows: torch.Tensor, memory: bool = True) -> None:
            said.count = [said.count[row] for row in rows.tolist()]

        def forget(count: int) -> None:
            said.count = [before - count for before in said.count]

        said.select, said.forget = select, forget
        return said

    def predict(self, tokens: torch.Tensor, state: Any) -> torch.Tensor:
        new = range(tokens.shape[1])
        following = torch.tensor([[self.unit[(count + i) % len(self.unit)] for i in new] for count in state.count])
        state.count = [count + len(new) for count in state.count]
        return torch.full((*tokens.shape, self.vocabulary_size), 1e-3).index_fill(-1, torch.tensor(0), 1e-2).scatter(
            -1, following[..., None], 0.986
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


CONFIGS = {
    "greedy": DecodeConfig(),
    "beam": DecodeConfig(beam=4, ctc_weight=0.0, length_bonus=0.02),
    "joint": DecodeConfig(beam=4, ctc_weight=0.4),
}


@pytest.mark.parametrize(("name", "sure"), [("greedy", 0.98), ("greedy", 0.8), ("beam", 0.9), ("joint", 0.98)])
@pytest.mark.parametrize("unit", [(1,), (3, 1, 3, 4, 5), (1, 2, 3, 4, 5) * 2 + (1, 5)], ids=str)
def test_as_many_copies_as_were_spoken_are_written_and_no_more(unit: tuple[int, ...], sure: float, name: str) -> None:
    """Repeats of a digit, a letter or a phrase, beyond the limit that a loop has, each recording by itself."""
    spoken = (16, 9, 30) if len(unit) == 1 else (16, 9, 11) if len(unit) == 5 else (6, 7, 9)
    parrot: Any = Parrot(unit, spoken, sure)
    encoded = parrot.encoded(3 * len(unit) * max(spoken) + 20)
    found = [h.tokens for h in search(parrot, encoded, CONFIGS[name])]
    for text, copies in zip(found, spoken, strict=True):
        said = list(unit) * copies
        assert text[: len(said)] == said and text[len(said) : len(said) + 1] != [unit[0]]
        assert text == said or name == "joint", "a beam may find its way around, by another token"


@pytest.mark.parametrize("name", ["greedy", "beam"])
def test_a_loop_over_other_speech_is_broken(name: str) -> None:
    """CTC finds something else in the frames, be it the unit's own tokens in another order."""
    parrot: Any = Parrot((1, 2, 3), (0,))
    other: Any = Parrot((3, 2, 1, 2), (30,))
    parrot.ctc_log_probabilities = other.ctc_log_probabilities
    (found,) = search(parrot, parrot.encoded(400), CONFIGS[name])
    assert found.tokens[:24] == [1, 2, 3] * 8 and found.tokens[24:25] != [1], "the limit"


def best_path(logp: torch.Tensor, text: Sequence[int]) -> float:
    """The log probability of the likeliest beginning of a path that spells a text with its last frame, by trying all
    paths."""
    best = -math.inf
    for frames in range(1, len(logp) + 1):
        for path in itertools.product(range(logp.shape[1]), repeat=frames):
            spelled = [token for token, _ in itertools.groupby(path) if token]
            if spelled == list(text) and (frames == 1 or path[-1] != path[-2]) and path[-1]:
                best = max(best, float(sum(logp[place, token] for place, token in enumerate(path))))
    return best


@pytest.mark.parametrize("text", [[1], [2, 2], [1, 2], [2, 1, 1]])
def test_the_best_path_is_the_best_of_all_paths(text: list[int]) -> None:
    draw = torch.Generator().manual_seed(len(text))
    logp = torch.randn(2, 5, 3, generator=draw).double().log_softmax(-1)
    lengths = torch.tensor([5, 4])
    paths = CTCBestPath(logp, lengths, torch.zeros(2, 0, dtype=torch.long))
    said = torch.stack([paths.extend(torch.tensor([token, token])) for token in text])
    for row, size in enumerate(lengths.tolist()):
        expected = best_path(logp[row, :size], text)
        assert float(said[:, row].sum()) == pytest.approx(expected, abs=1e-9)
    again = CTCBestPath(logp, lengths, torch.tensor([[0, *text, 0]] * 2)).select(torch.tensor([1, 0, 1]))
    torch.testing.assert_close(again.best, paths.best[[1, 0, 1]])
