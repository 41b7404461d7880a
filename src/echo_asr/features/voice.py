"""What is known of who speaks, to which pitch and the states of a pretrained encoder may be relative."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

LEAST_SPREAD = 1e-4  # of a dimension that hardly varies
RECORDINGS = 100  # from which the states of a voice are known

Recording = TypeVar("Recording")


@dataclass(frozen=True)
class Standard:
    """Mean and standard deviation of each dimension of the states, `(C,)` float32."""

    mean: Tensor
    deviation: Tensor

    @staticmethod
    def fit(recordings: Iterable[Tensor]) -> Standard:
        """From the states `(C, N)` of some recordings; exact in float64.

        Raises:
            ValueError: there are none.
        """
        moments = Moments()
        for states in recordings:
            moments.add(states)
        if not moments.count:
            raise ValueError("states: expected at least one recording to standardise by")
        return moments.standard()

    def __call__(self, states: Tensor) -> Tensor:
        """States `(..., C, N)` with mean 0 and deviation 1 in each dimension, float32."""
        return (states.float() - self.mean[:, None]) / self.deviation[:, None]


class Moments:
    """Sums of states and of their squares, in float64.

    Attributes:
        count: states that were added.
    """

    def __init__(self) -> None:
        self.count = 0
        self._total = self._squares = torch.zeros(()).double()

    def add(self, states: Tensor) -> None:
        """Take further states, `(C, N)`."""
        values = states.double()
        self.count += values.shape[1]
        self._total = self._total + values.sum(1)
        self._squares = self._squares + values.square().sum(1)

    def standard(self, prior: Standard | None = None, weight: float = 0.0) -> Standard:
        """Mean and deviation of the states that were added, and of `weight` more with those of `prior`: the estimate of
        a voice from little speech stays near what voices have in common."""
        count, total, squares = float(self.count), self._total, self._squares
        if prior is not None:
            mean, deviation = prior.mean.double(), prior.deviation.double()
            count, total = count + weight, total + weight * mean
            squares = squares + weight * (mean.square() + deviation.square())
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0.0).sqrt()
        return Standard(mean.float(), deviation.float().clamp(min=LEAST_SPREAD))


@dataclass(frozen=True)
class Voice:
    """What is known of who speaks.

    Attributes:
        f0: median F0 in Hz; 0 where it is not known.
        states: what the states of a pretrained encoder are standardised by; None where it is not known.
    """

    f0: float = 0.0
    states: Standard | None = None


UNKNOWN = Voice()


def median_f0(f0: Tensor, fewest: int = 1) -> float:
    """The median of F0 `(T,)` in Hz over voiced frames, where it is above 0; 0 of fewer voiced frames than that."""
    voiced = f0[f0 > 0]
    return float(voiced.median()) if len(voiced) >= fewest else 0.0


def spread(recordings: Sequence[Recording]) -> list[Recording]:
    """Up to `RECORDINGS` of the recordings, spread over all: enough to know a voice."""
    count = min(RECORDINGS, len(recordings))
    return [recordings[len(recordings) * number // count] for number in range(count)]
