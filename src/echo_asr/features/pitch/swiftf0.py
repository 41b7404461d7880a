"""F0 and periodicity by SwiftF0, a network in ONNX.

Shapes: `S` samples at 16 kHz, `T` frames; frame `t` is centred at sample `160 t`.
"""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any

import numpy as np

from echo_asr.audio.convert import HOP, SAMPLE_RATE
from echo_asr.errors import EchoError
from echo_asr.features.pitch.track import PitchTracker, octaves_between
from echo_asr.libraries import disable_telemetry

LOWEST_F0 = 46.875  # Hz, the lowest that SwiftF0 detects
HIGHEST_F0 = 600.0  # Hz, above a child's speaking voice


class SwiftTracker(PitchTracker):
    """SwiftF0 (Nieradzik, 2025), resampled from its 16 ms hop to 10 ms.

    Periodicity is its confidence, interpolated linearly; a frame is voiced from 0.5 up. F0 is that of
    `octaves_between`.
    The ONNX session has one thread, is created at the first call in each process, and is left out of pickles.
    """

    name = "swiftf0"
    THRESHOLD = 0.5  # confidence, as recommended by its author
    SWIFT_HOP = 256  # samples, 16 ms

    def __init__(self) -> None:
        try:
            self.version = f"{importlib.metadata.version('swift-f0')}-1"
        except importlib.metadata.PackageNotFoundError:
            remedy = "pip install 'echo-asr[swiftf0]'; for what is not trained with it, choose echo or autocorrelation"
            raise EchoError(f"tracker: swiftf0 needs the extra echo-asr[swiftf0]: {remedy}") from None
        self._session: tuple[int, Any] | None = None  # process id and detector, which does not survive a fork

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}

    def _detector(self) -> Any:
        if self._session is None or self._session[0] != os.getpid():
            disable_telemetry()  # of onnxruntime
            from swift_f0 import SwiftF0

            self._session = (os.getpid(), SwiftF0(threads=1, spin=False))
        return self._session[1]

    def __call__(self, audio: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
        # Two hops of silence after the end, so that the last 10 ms frames lie between two measurements.
        padded = np.concatenate([audio, np.zeros(2 * self.SWIFT_HOP, np.float32)])
        found = self._detector().detect(padded, SAMPLE_RATE, fmin=LOWEST_F0, fmax=HIGHEST_F0)
        position = np.arange(frames) * (HOP / self.SWIFT_HOP)  # in hops of 16 ms
        before = np.minimum(position.astype(int), len(found.pitch_hz) - 1)
        after = np.minimum(before + 1, len(found.pitch_hz) - 1)
        weight = position - before
        confidence = np.clip(found.confidence, 0.0, 1.0)
        periodicity = (1 - weight) * confidence[before] + weight * confidence[after]

        value = octaves_between(np.log2(found.pitch_hz), confidence >= self.THRESHOLD, position)
        f0 = np.where(periodicity >= self.THRESHOLD, np.exp2(value), 0.0)
        return f0.astype(np.float32), periodicity.astype(np.float32)
