"""Speed perturbation: a recording played faster or slower, pitch and all (Ko et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from echo_asr.audio import SAMPLE_RATE, resample


def perturb_speed(audio: np.ndarray, factor: float) -> np.ndarray:
    """Samples `(S,)` played `factor` times as fast: `(about S / factor,)`, at least one sample.

    The pitch rises by the same factor, as on a tape.
    """
    if factor == 1.0:
        return audio
    return resample(audio, SAMPLE_RATE * factor, SAMPLE_RATE)


def speed_transform(factor: float) -> tuple[str, Callable[[np.ndarray], np.ndarray] | None]:
    """The name and the transform of a speed factor, as `FeatureCache.features` takes them."""
    if factor == 1.0:
        return "", None
    return f"speed={factor:g}", partial(perturb_speed, factor=factor)
