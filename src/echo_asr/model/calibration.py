"""From scores to the probability that something is right: maps that are fitted on validation and kept with a model."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

LEAST = 1e-6  # a score is kept within this and 1 minus this, where its logarithm is taken


@dataclass(frozen=True)
class Calibration:
    """`p = sigmoid(a log s - b log(1 - s) + c)` of a score `s`: beta calibration (Kull et al. 2017).

    It rises with the score, since `a` and `b` are not negative; with `a = b = 1`, `c = 0` it changes nothing.

    Attributes:
        words: that it was fitted on; 0 for none.
    """

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0
    words: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.a + self.b + self.c) and self.a >= 0.0 and self.b >= 0.0):
            raise ValueError(f"calibration: expected finite numbers, a and b at least 0; got {self}")

    def __call__(self, score: float) -> float:
        """The probability of a word with that score, both 0 to 1."""
        if (self.a, self.b, self.c) == (1.0, 1.0, 0.0):
            return score
        kept = min(max(score, LEAST), 1.0 - LEAST)
        return sigmoid(self.a * math.log(kept) - self.b * math.log1p(-kept) + self.c)

    def to_text(self) -> str:
        """One line that `from_text` reads back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str) -> Calibration:
        """What `to_text` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            return Calibration(**json.loads(text))
        except TypeError as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True)
class LogisticCalibration:
    """`p = sigmoid(w . x + c)` of several measurements `x` of one thing.

    Attributes:
        weights: of each measurement.
        bias: c.
        samples: that it was fitted on; 0 for none.
    """

    weights: tuple[float, ...]
    bias: float = 0.0
    samples: int = 0

    def __post_init__(self) -> None:
        if not self.weights or not all(map(math.isfinite, (*self.weights, self.bias))):
            raise ValueError(f"calibration: expected finite numbers, got {self}")

    def __call__(self, measured: Sequence[float]) -> float:
        """The probability of what has these measurements; 0 if one of them is minus infinity."""
        if len(measured) != len(self.weights):
            raise ValueError(f"expected {len(self.weights)} measurements, got {len(measured)}")
        if -math.inf in measured:
            return 0.0
        return sigmoid(sum(w * x for w, x in zip(self.weights, measured, strict=True)) + self.bias)

    def to_text(self) -> str:
        """One line that `from_text` reads back."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str) -> LogisticCalibration:
        """What `to_text` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            given = json.loads(text)
            return LogisticCalibration(**{**given, "weights": tuple(map(float, given["weights"]))})
        except (TypeError, KeyError) as error:
            raise ValueError(f"expected weights, bias and samples ({error})") from None


def sigmoid(z: float) -> float:
    """The logistic function, without overflow."""
    return 1.0 / (1.0 + math.exp(-z)) if z > 0 else math.exp(z) / (1.0 + math.exp(z))
