"""What is fitted on validation and kept with a model: from scores to the probability that something is right, or
was spoken at all."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Self

LEAST = 1e-6  # a score is kept within this and 1 minus this, where its logarithm is taken


@dataclass(frozen=True)
class Noted:
    """Numbers that are kept as text beside the weights of a model."""

    def to_text(self) -> str:
        """One line that `from_text` reads back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """What `to_text` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            given = json.loads(text).items()
            return cls(**{name: tuple(map(float, one)) if isinstance(one, list) else one for name, one in given})
        except (TypeError, AttributeError) as error:
            raise ValueError(f"expected {', '.join(one.name for one in fields(cls))} ({error})") from None


@dataclass(frozen=True)
class Calibration(Noted):
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


@dataclass(frozen=True)
class LogisticCalibration(Noted):
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


@dataclass(frozen=True)
class SpeechProbability(Noted):
    """How probable it is that a text was spoken: `sigmoid(w . x + b + (log e - m) / s)` of what the encoder makes of a
    recording, `x`, and of the evidence for the text, `e` (both of `echo_asr.decode.spoken`).

    Attributes:
        weights, bias: w and b.
        usual, spread: m and s, median and deviation of the logarithm of the evidence for what was spoken.
        samples: recordings that it was fitted to.
    """

    weights: tuple[float, ...]
    bias: float
    usual: float
    spread: float
    samples: int = 0

    def __post_init__(self) -> None:
        numbers = (*self.weights, self.bias, self.usual, self.spread)
        if not (self.weights and all(map(math.isfinite, numbers)) and self.spread > 0.0):
            raise ValueError(f"speech: expected finite numbers and a spread above 0, got {self.usual}, {self.spread}")

    def __call__(self, pooled: Sequence[float], evidence: float) -> float:
        """The probability of speech; 0 without evidence.

        Raises:
            ValueError: not as many values as weights.
        """
        heard = sum(w * x for w, x in zip(self.weights, pooled, strict=True))
        if evidence <= 0.0:
            return 0.0
        return sigmoid(heard + self.bias + (math.log(evidence) - self.usual) / self.spread)


def sigmoid(z: float) -> float:
    """The logistic function, without overflow."""
    return 1.0 / (1.0 + math.exp(-z)) if z > 0 else math.exp(z) / (1.0 + math.exp(z))
