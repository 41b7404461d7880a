"""Probabilities of words: how far they are off, and the map that mends them."""

from __future__ import annotations

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.results import Segment, Token
from echo_asr.evaluate.calibration import (
    Confidence,
    expected_calibration_error,
    fit_calibration,
    fit_logistic,
    measure_confidence,
    score_words,
)
from echo_asr.evaluate.metrics import matched_words
from echo_asr.model.calibration import Calibration, LogisticCalibration
from echo_asr.text.normalize import normalize_basic, normalize_whisper


def sigmoid(z: np.ndarray) -> np.ndarray:
    out: np.ndarray = 1.0 / (1.0 + np.exp(-z))
    return out


def drawn(a: float, b: float, c: float, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, most of them high, and words that are right as a calibration has it."""
    rng = np.random.default_rng(seed)
    scores = sigmoid(rng.normal(1.5, 2.0, count))
    right = rng.random(count) < sigmoid(a * np.log(scores) - b * np.log1p(-scores) + c)
    return scores, right


SHAPES = [(1.0, 1.0, 0.0), (0.4, 0.4, -1.6), (0.2, 0.6, -2.0), (2.0, 0.3, 1.0), (1.0, 1.0, -2.8), (0.0, 0.5, 0.0)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_was_fitted_holds_of_other_words(shape: tuple[float, float, float]) -> None:
    fitted = fit_calibration(*drawn(*shape, 1500, 1))
    scores, right = drawn(*shape, 30_000, 2)
    found = measure_confidence(scores, right, fitted)
    assert found is not None and found.ece < 0.03
    if shape != SHAPES[0]:
        assert found.raw_ece > 3 * found.ece
    assert found.probability == pytest.approx(found.right, abs=0.03)


def test_what_is_calibrated_already_stays() -> None:
    for count, seed in ((30, 0), (300, 1), (30_000, 2)):
        fitted = fit_calibration(*drawn(1.0, 1.0, 0.0, count, seed))
        grid = np.linspace(0.02, 0.98, 49)
        moved = np.abs([fitted(p) - p for p in grid.tolist()])
        assert moved.max() < 3.0 / count**0.5 + 0.005, "no more than the noise of so many words"


@settings(max_examples=100, deadline=None)
@given(
    scores=st.lists(st.floats(0.0, 1.0), max_size=60),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 1000),
)
def test_any_words_give_a_map_that_rises_and_is_a_probability(scores: list[float], share: float, seed: int) -> None:
    right = np.random.default_rng(seed).random(len(scores)) < share
    fitted = fit_calibration(np.array(scores), right)
    assert fitted.words == len(scores)
    grid = [fitted(p) for p in np.linspace(0.0, 1.0, 101).tolist()]
    assert all(0.0 <= p <= 1.0 for p in grid) and all(x <= y + 1e-12 for x, y in zip(grid, grid[1:], strict=False))
    assert scores or fitted == Calibration()


@pytest.mark.parametrize("count", [1, 5, 40, 1000])
@pytest.mark.parametrize("correct", [True, False])
def test_words_that_are_all_right_or_all_wrong_prove_nothing_for_certain(count: int, correct: bool) -> None:
    scores = sigmoid(np.random.default_rng(count).normal(1.0, 1.0, count))
    fitted = fit_calibration(scores, np.full(count, correct))
    middle = fitted(0.7)
    assert 0.3 / (count + 2) < middle < 1.0 - 0.3 / (count + 2)
    assert (middle > 0.7) == correct or count == 1
    assert abs(middle - 0.7) < 0.25 or count > 1, "a single word says little"


def test_overconfident_scores_of_few_words_are_brought_down() -> None:
    """The fault that was found: a mean of 0.83 where 26 % are right."""
    rng = np.random.default_rng(0)
    scores, right = rng.beta(8, 1.6, 60), rng.random(60) < 0.26
    fitted = fit_calibration(scores, right)
    assert np.mean([fitted(p) for p in scores.tolist()]) == pytest.approx(right.mean(), abs=0.05)


def test_the_error_is_that_of_its_definition() -> None:
    probabilities = np.concatenate([np.full(50, 0.2), np.full(50, 0.9)])
    right = np.concatenate([np.arange(50) < 20, np.arange(50) < 45])
    assert expected_calibration_error(probabilities, right, 2) == pytest.approx(0.5 * 0.2 + 0.5 * 0.0)
    order = np.random.default_rng(0).permutation(100)
    assert expected_calibration_error(probabilities[order], right[order], 2) == pytest.approx(0.1)
    assert expected_calibration_error(np.array([0.7]), np.array([False])) == pytest.approx(0.7)
    assert measure_confidence(np.zeros(0), np.zeros(0, dtype=bool), Calibration()) is None


def test_a_calibration_comes_back_from_its_text() -> None:
    one = Calibration(0.1234567890123, 2.0, -3.3, 17)
    assert Calibration.from_text(one.to_text()) == one
    for text in ("", "[]", '{"a": 1, "d": 2}', '{"a": -1}', '{"c": NaN}', '{"a": "x"}'):
        with pytest.raises(ValueError):
            Calibration.from_text(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_matched_words_are_those_of_a_shortest_alignment(reference: list[str], hypothesis: list[str]) -> None:
    found = matched_words(" ".join(reference), " ".join(hypothesis))
    assert len(found) == len(hypothesis)
    if reference and hypothesis:
        assert sum(found) == jiwer.process_words(" ".join(reference), " ".join(hypothesis)).hits


def segment(text: str, probability: float) -> Segment:
    tokens = tuple(Token(letter, 0.0, 0.1, probability) for letter in text)
    return Segment(0.0, 1.0, text, tokens=tokens)


def test_words_are_right_or_wrong_as_the_normaliser_has_them() -> None:
    recognised = [
        [segment("The cat", 0.9), segment("sat", 0.5)],
        [],
        [segment("a b", 0.25)],
        [segment("won't - x", 0.75)],
    ]
    references = ["the CAT, sit", "dog", "", "will not x"]
    scores, right = score_words(references[:3], recognised[:3], normalize_basic)
    assert scores.tolist() == [0.9, 0.9, 0.5, 0.25, 0.25]
    assert right.tolist() == [True, True, False, False, False]
    scores, right = score_words(references[3:], recognised[3:], normalize_whisper)
    assert scores.tolist() == [0.75, 0.75] and right.tolist() == [True, True], "nothing is left of the dash"


def test_a_report_has_its_figures() -> None:
    found = Confidence(299, 0.26, 0.27, 0.0213, 0.5712)
    assert found.to_dict() == {"words": 299, "right": 0.26, "probability": 0.27, "ece": 0.0213, "raw_ece": 0.5712}
    assert str(found) == "2.1 % (57.1 % of raw scores); words have 0.27 on average, and 26 % of 299 are correct"
    assert "(the model is not calibrated)" in str(Confidence(9, 0.5, 0.5, 0.3, 0.3))


@given(st.integers(0, 50))
@settings(max_examples=10)
def test_a_logistic_calibration_finds_what_speaks_for_being_right(seed: int) -> None:
    random = np.random.default_rng(seed)
    measured = random.normal(3.0, 2.0, (800, 3)) * [1.0, 10.0, 0.1]
    right = random.random(800) < 1 / (1 + np.exp(-(measured[:, 0] - 3.0 + 0.1 * (measured[:, 1] - 30.0))))
    fitted = fit_logistic(measured, right)
    probabilities = np.array([fitted(one) for one in measured.tolist()])
    assert expected_calibration_error(probabilities, right) < 0.06
    assert fitted.weights[0] > 0.6 and 0.05 < fitted.weights[1] < 0.2, "the third says nothing"
    assert min(fitted.weights) >= 0.0
    assert fitted([-np.inf, 0.0, 0.0]) == 0.0
    assert LogisticCalibration.from_text(fitted.to_text()) == fitted


def test_a_logistic_calibration_needs_both_outcomes() -> None:
    with pytest.raises(ValueError, match="some right and some wrong"):
        fit_logistic(np.ones((3, 1)), np.ones(3, dtype=bool))
    perfect = fit_logistic(np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([False, False, True, True]))
    assert np.isfinite(perfect.weights).all(), "separable samples do not make weights infinite"
