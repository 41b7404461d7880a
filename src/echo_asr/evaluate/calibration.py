"""Calibration of word probabilities: of words with probability 0.8, four in five should be correct."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from echo_asr.decode.results import Segment
from echo_asr.decode.times import words_from_tokens
from echo_asr.evaluate.metrics import matched_words
from echo_asr.model.calibration import LEAST, Calibration, LogisticCalibration

BINS = 10  # of equally many words
FEWEST = 10  # words in a bin; fewer words make fewer bins
SPREAD = np.array([0.5, 0.5, 1.5])  # prior standard deviations of a, b and c around the identity
STEPS = 100  # steps of Newton's method, at most


@dataclass(frozen=True)
class Confidence:
    """How well the probabilities of the recognised words of a split are calibrated.

    Attributes:
        words: number of recognised words.
        right: share of them that are correct.
        probability: the mean of their probabilities.
        ece: expected calibration error of the probabilities, 0 to 1.
        raw_ece: the same of the scores before calibration.
    """

    words: int
    right: float
    probability: float
    ece: float
    raw_ece: float

    def to_dict(self) -> dict[str, Any]:
        """The fields, rounded."""
        return {name: round(value, 4) for name, value in asdict(self).items()}

    def __str__(self) -> str:
        raw = "the model is not calibrated" if self.ece == self.raw_ece else f"{100 * self.raw_ece:.1f} % of raw scores"
        return (
            f"{100 * self.ece:.1f} % ({raw}); words have {self.probability:.2f} on average, and "
            f"{100 * self.right:.0f} % of {self.words} are correct"
        )


def score_words(
    references: Sequence[str], recognised: Sequence[Sequence[Segment]], normalize: Callable[[str], str]
) -> tuple[np.ndarray, np.ndarray]:
    """The score of each recognised word before calibration, `(W,)`, and whether it is correct, `(W,)` bool.

    A word is correct if a shortest alignment of the normalised texts pairs it with equal words of the reference; words
    that are empty once normalised are skipped.

    Args:
        references: as in the corpus, one an utterance.
        recognised: the segments of each utterance, with their tokens.
    """
    scores, right = list[float](), list[bool]()
    for reference, segments in zip(references, recognised, strict=True):
        words = [word for segment in segments for word in words_from_tokens(segment.tokens)]
        parts = [normalize(word.word).split() for word in words]
        matched = iter(matched_words(normalize(reference), " ".join(part for own in parts for part in own)))
        for word, own in zip(words, parts, strict=True):
            found = [next(matched) for _ in own]
            if own:
                scores.append(word.probability)
                right.append(all(found))
    return np.array(scores, dtype=np.float64), np.array(right, dtype=bool)


def measure_confidence(scores: np.ndarray, right: np.ndarray, calibration: Calibration) -> Confidence | None:
    """The calibration errors of scores and of calibrated probabilities `(W,)`; None without words."""
    if not len(scores):
        return None
    calibrated = np.array([calibration(score) for score in scores.tolist()])
    ece = [expected_calibration_error(values, right) for values in (calibrated, scores)]
    return Confidence(len(scores), float(right.mean()), float(calibrated.mean()), *ece)


def expected_calibration_error(probabilities: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """The mean difference between probability and share of correct words, over bins of equally many words (Naeini et
    al. 2015, with bins of equal mass). In a finite sample it is not 0 even for exact probabilities.

    Args:
        probabilities: `(W,)`, 0 to 1, at least one.
        right: `(W,)` bool.
        bins: of at least 10 words each; at least one bin.
    """
    order = np.argsort(probabilities, kind="stable")
    parts = np.array_split(order, max(1, min(bins, len(order) // FEWEST)))
    return float(sum(abs(float((probabilities[p] - right[p]).sum())) for p in parts) / len(order))


def fit_calibration(scores: np.ndarray, right: np.ndarray) -> Calibration:
    """Fit a calibration to the scores of words, close to the identity if there are few.

    Penalised maximum likelihood of `Calibration` by Newton's method: `a`, `b` and `c` are regularised towards 1, 1 and
    0, `a` and `b` are at least 0. As in Platt (1999) the targets are not 1 and 0 but `(n + 1) / (n + 2)` and
    `1 / (m + 2)`, of n correct and m wrong words, so that the weights stay bounded if all words are correct, or all
    wrong.

    Args:
        scores: `(W,)`, 0 to 1.
        right: `(W,)` bool.
    """
    if not len(scores):
        return Calibration()
    kept = np.clip(scores, LEAST, 1.0 - LEAST)
    inputs = np.stack([np.log(kept), -np.log1p(-kept), np.ones(len(kept))], axis=1)
    count = int(right.sum())
    targets = np.where(right, (count + 1) / (count + 2), 1 / (len(right) - count + 2))
    free = np.ones(3, dtype=bool)
    middle = np.array([1.0, 1.0, 0.0])
    weights = fit_weights(inputs, targets, free, middle, SPREAD)
    while (weights[:2] < 0).any():
        free[:2] &= weights[:2] >= 0
        weights = fit_weights(inputs, targets, free, middle, SPREAD)
    a, b, c = weights.tolist()
    return Calibration(a, b, c, len(scores))


def fit_logistic(measured: np.ndarray, right: np.ndarray) -> LogisticCalibration:
    """Fit the probability of being right to several measurements that each speak for it where they are large.

    Penalised maximum likelihood with Platt's targets, as `fit_calibration`; weights are at least 0, and drawn towards 0
    by a standard deviation of 3 for a measurement that was divided by its own.

    Args:
        measured: `(N, K)`, finite.
        right: `(N,)` bool; some right, and some wrong.
    """
    count, spread = int(right.sum()), np.maximum(measured.std(0), LEAST)
    if not 0 < count < len(right):
        raise ValueError(f"expected some right and some wrong samples, got {count} right of {len(right)}")
    inputs = np.concatenate([(measured - measured.mean(0)) / spread, np.ones((len(right), 1))], axis=1)
    targets = np.where(right, (count + 1) / (count + 2), 1 / (len(right) - count + 2))
    prior = np.append(np.full(measured.shape[1], 3.0), 10.0)
    free, middle = np.ones(len(prior), dtype=bool), np.zeros(len(prior))
    weights = fit_weights(inputs, targets, free, middle, prior)
    while (weights[:-1] < 0).any():
        free[:-1] &= weights[:-1] >= 0
        weights = fit_weights(inputs, targets, free, middle, prior)
    slopes = weights[:-1] / spread
    bias = float(weights[-1] - slopes @ measured.mean(0))
    return LogisticCalibration(tuple(slopes.tolist()), bias, len(right))


def fit_weights(
    inputs: np.ndarray, targets: np.ndarray, free: np.ndarray, middle: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """The weights `(K,)` of the smallest loss, penalised as with a normal prior; those that are not `free` are 0."""

    def loss(weights: np.ndarray) -> float:
        z = inputs @ weights
        return float(np.sum(np.logaddexp(0.0, z) - targets * z) + 0.5 * np.sum(((weights - middle) / spread) ** 2))

    weights = middle * free
    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(inputs @ weights, -60.0, 60.0)))
        gradient = (inputs.T @ (p - targets) + (weights - middle) / spread**2)[free]
        curvature = (inputs.T * (p * (1.0 - p))) @ inputs + np.diag(spread**-2)
        step = np.zeros(len(middle))
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient)
        before, size = loss(weights), 1.0
        while loss(weights - size * step) > before and size > 1e-6:
            size /= 2.0
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    return weights
