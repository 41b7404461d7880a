"""SpecAugment: masks of features in training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from echo_asr.audio.convert import HOP
from echo_asr.features import Features


@dataclass(frozen=True)
class SpecAugment:
    """SpecAugment (Park et al. 2019): bands and spans of features set to zero, the value of silence.

    No masks by default: with one to three hours of speech, a model of the `tiny` size learns less with them, and on
    unseen validation voices no effect could be measured (LOG.md). Large models are usually trained with them.

    Raises:
        ValueError: a value out of its range; the message names the field.
    """

    frequency_masks: int = 0  # bands of mel bins
    frequency_width: int = 15  # mel bins in a band, at most
    time_masks: int = 0  # spans of time
    time_share: float = 0.1  # of the recording that a span takes, at most

    def __post_init__(self) -> None:
        if min(self.frequency_masks, self.frequency_width, self.time_masks) < 0:
            raise ValueError("train.augment: masks and widths must not be negative")
        if not 0.0 <= self.time_share <= 1.0:
            raise ValueError(f"train.augment.time_share must lie in [0, 1], got {self.time_share}")

    def __call__(self, features: Features, rng: np.random.Generator) -> Features:
        """A masked copy. Time masks cover the spectrogram, the waveform, the states and the pitch feature; the F0 track
        that vRoPE reads is unchanged."""
        spectrogram, pitch = features.spectrogram.clone(), features.pitch.clone()
        waveform = None if features.waveform is None else features.waveform.clone()
        states = None if features.states is None else features.states.clone()
        mels, frames = spectrogram.shape
        for _ in range(self.frequency_masks):
            width = int(rng.integers(0, min(self.frequency_width, mels) + 1))
            low = int(rng.integers(0, mels - width + 1))
            spectrogram[low : low + width] = 0.0
        for _ in range(self.time_masks):
            width = int(rng.integers(0, int(frames * self.time_share) + 1))
            start = int(rng.integers(0, frames - width + 1))
            spectrogram[:, start : start + width] = 0.0
            pitch[:, start : start + width] = 0.0
            if waveform is not None:
                waveform[start * HOP : (start + width) * HOP] = 0.0
            if states is not None:
                states[:, start : start + width] = 0.0
        return replace(features, spectrogram=spectrogram, pitch=pitch, waveform=waveform, states=states)
