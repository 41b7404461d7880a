"""CTC paths of keywords, against paths that are enumerated one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode import keyword_paths as module
from echo_asr.decode.keyword_paths import KeywordPath, keyword_paths, without_overlaps
from echo_asr.decode.keywords import Keyword, Spelling

SYMBOLS = 4  # blank, a space (1), and two letters
LOW = -1e9


def draw(seed: int, frames: int, rows: int = 1) -> np.ndarray:
    """Log probabilities `(B, F, V)`."""
    logits = 2.0 * np.random.default_rng(seed).normal(size=(rows, frames, SYMBOLS))
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def labels(tokens: tuple[int, ...], frames: int) -> list[tuple[int, ...]]:
    """All symbols of so many frames that CTC collapses to the tokens, from the first token to the last."""
    found = [(tokens[0],)]
    for _ in range(frames - 1):
        found = [(*one, symbol) for one in found for symbol in {0, *tokens}]
    kept = []
    for one in found:
        runs = [one[0], *(b for a, b in pairwise(one) if a != b)]
        if tuple(symbol for symbol in runs if symbol) == tokens and one[-1] == tokens[-1]:
            kept.append(one)
    return kept


def best(relative: np.ndarray, spelling: Spelling, whole: bool) -> float:
    """The ratio of the best path of a spelling in `(F, V)`, by trying all."""
    frames, found = len(relative), -np.inf
    for first in range(frames):
        for after in range(first + 1, frames + 1):
            left = relative[:first, 0].sum() if spelling.at_start else 0.0
            ends = [relative[after:, 0].sum()] if whole else [0.0]
            if whole:
                ends += [relative[after:bound, 0].sum() + relative[bound, 1] for bound in range(after, frames)]
            for one in labels(spelling.tokens, after - first):
                own = sum(relative[first + index, symbol] for index, symbol in enumerate(one))
                found = max(found, left + own + max(ends))
    return float(found)


@settings(max_examples=25)
@given(
    st.integers(0, 1000), st.integers(1, 5), st.lists(st.integers(2, 3), min_size=1, max_size=3), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_the_best_path_is_the_best_of_all(seed: int, frames: int, tokens: list[int], start: bool, whole: bool) -> None:
    logs = draw(seed, frames)
    spelling = Spelling(tuple(tokens), start)
    paths = keyword_paths(logs, [frames], [Keyword("w", "w", (spelling,), whole)], [1], LOW, LOW)
    wanted = best((logs - logs.max(-1, keepdims=True))[0], spelling, whole)
    if wanted == -np.inf:
        assert paths == []
    else:
        assert max(path.ratio for path in paths) == pytest.approx(wanted, abs=1e-4)
        assert all(0 <= path.first <= path.last < frames for path in paths)


def test_what_is_found_depends_neither_on_padding_nor_on_others(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = draw(1, 40, 3)
    keywords = [
        Keyword("a", "a", (Spelling((2,), True), Spelling((1, 2), False)), True),
        Keyword("b", "b", (Spelling((3, 2, 3), False),), False),
    ]
    sizes = [40, 25, 33]
    together = keyword_paths(logs, sizes, keywords, [1], -30.0, -10.0)
    assert len({(path.row, path.keyword) for path in together}) == 6
    alone = [
        KeywordPath(row, number, path.first, path.last, path.ratio, path.tokens)
        for row, size in enumerate(sizes)
        for number, keyword in enumerate(keywords)
        for path in keyword_paths(logs[row : row + 1, :size], [size], [keyword], [1], -30.0, -10.0)
    ]
    assert together == alone
    monkeypatch.setattr(module, "STATES", 1)
    assert keyword_paths(logs, sizes, keywords, [1], -30.0, -10.0) == together


def test_a_word_that_the_best_path_spells_costs_nothing_and_is_found_as_often_as_it_is_there() -> None:
    spelled = [0, 2, 0, 3, 1, 0, 2, 3, 3, 1, 2, 2, 0]  # ab ab a
    logs = np.log(np.full((1, len(spelled), SYMBOLS), 0.01))
    logs[0, range(len(spelled)), spelled] = np.log(0.97)
    word = Keyword("ab", "ab", (Spelling((2, 3), True), Spelling((1, 2, 3), False)), True)
    found = keyword_paths(logs, [len(spelled)], [word], [1], -1.0, -1.0)
    assert [(path.first, path.last, path.ratio) for path in found] == [(1, 3, 0.0), (4, 8, 0.0)]
    part = Keyword("a", "a", (Spelling((2,), True), Spelling((1, 2), False)), True)
    assert [path.last for path in keyword_paths(logs, [len(spelled)], [part], [1], -1.0, -1.0)] == [11]
    anywhere = Keyword("a", "a", (Spelling((2,), False),), False)
    assert len(keyword_paths(logs, [len(spelled)], [anywhere], [1], -1.0, -1.0)) == 3


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8), st.floats(-9, 0)), max_size=12))
def test_of_spans_that_overlap_the_best_is_kept(drawn: list[tuple[int, int, float]]) -> None:
    spans = [(first, first + size, score) for first, size, score in drawn]
    kept = [spans[number] for number in without_overlaps(spans)]
    assert all(a[1] < b[0] for a, b in pairwise(kept))
    for first, last, score in spans:
        assert any(one[2] >= score for one in kept if one[0] <= last and first <= one[1])
