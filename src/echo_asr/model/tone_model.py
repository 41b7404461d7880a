"""The tones of syllables by their F0 contour alone: an explicit tone model, beside a recogniser that knows tones from
all that it hears."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu, linear

from echo_asr.model.calibration import Noted

POINTS = 12  # of a syllable, equally spaced from its first voiced frame to its last one
MEASUREMENTS = 4 * POINTS + 2  # F0, periodicity, voicing and energy at each; duration; whether it is known who speaks


@dataclass(frozen=True)
class ToneModel(Noted):
    """Two hidden layers of `hidden` values with GELU, from the W measurements of a syllable
    (`echo_asr.decode.tones.measure_syllable`) to its tone.

    Attributes:
        tones: as written, one a line.
        hidden: H.
        weights: of the layers, `(H, W)`, `(H,)`, `(H, H)`, `(H,)`, `(C, H)` and `(C,)`, one after the other.
        syllables: that it was fitted to.
    """

    tones: str
    hidden: int
    weights: tuple[float, ...]
    syllables: int = 0

    def __post_init__(self) -> None:
        if len(self.weights) != sum(map(math.prod, self.shapes)) or not all(map(math.isfinite, self.weights)):
            raise ValueError(f"tones: expected finite weights of shapes {self.shapes}, got {len(self.weights)} numbers")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The tones, in the order of the probabilities."""
        return tuple(self.tones.split("\n"))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of weights and biases, layer by layer."""
        wide, hidden, tones = MEASUREMENTS, self.hidden, len(self.names)
        return [(hidden, wide), (hidden,), (hidden, hidden), (hidden,), (tones, hidden), (tones,)]

    @cached_property
    def _layers(self) -> list[Tensor]:
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = torch.tensor(self.weights).split(sizes)
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    @torch.inference_mode()
    def log_probabilities(self, measured: np.ndarray) -> np.ndarray:
        """The natural logarithm of the probability of each tone, `(N, C)`, from measurements `(N, W)`."""
        first, first_bias, second, second_bias, last, last_bias = self._layers
        x = gelu(linear(torch.from_numpy(measured.astype(np.float32)), first, first_bias))
        found = linear(gelu(linear(x, second, second_bias)), last, last_bias).log_softmax(-1)
        return found.double().numpy()
