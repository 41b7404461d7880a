"""The features of one recording, and of several, padded to one length.

Shapes: `B` batch, `S` samples at 16 kHz, `T` frames of 10 ms, `M` mel bins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.functional import pad

from echo_asr.audio.convert import HOP
from echo_asr.features.pitch import REFERENCE_F0

UNMASKED: Any = None  # energy that is the one in `pitch`, since no mask was applied


@dataclass(frozen=True)
class Features:
    """The features of one recording, in frames of 10 ms; frame `t` is centred at sample `160 t`."""

    spectrogram: torch.Tensor  # (M, T) float32, zero-floored log-mel: 1 at the peak, 0 from 80 dB below
    pitch: torch.Tensor  # (3, T) float32: F0 in Hz (0 where unvoiced), energy 0..1, periodicity 0..1
    track: torch.Tensor  # (T,) float32, F0 in Hz with its gaps filled
    voicing: torch.Tensor  # (T,) float32, 1 where F0 was measured, 0 where the track was filled in
    null: torch.Tensor  # (T,) bool, true in frames of silence
    waveform: torch.Tensor | None = None  # (160 T,) float32, 1 at the recording's peak; None unless configured
    states: torch.Tensor | None = None  # (C, T) float16, of a pretrained encoder, standardised; None unless configured
    speaker_f0: float = 0.0  # Hz, the median F0 of the speaker; 0 where not known
    energy: torch.Tensor = UNMASKED  # (T,) float32, the energy of `pitch` before any mask of SpecAugment

    def __post_init__(self) -> None:
        if self.energy is UNMASKED:
            object.__setattr__(self, "energy", self.pitch[1])

    @property
    def frames(self) -> int:
        """`T`, in frames of 10 ms."""
        return self.spectrogram.shape[-1]


@dataclass(frozen=True)
class FeatureBatch:
    """Features of several recordings, padded at the end with exact zeros (the track with 220 Hz)."""

    spectrogram: torch.Tensor  # (B, M, T) float32
    pitch: torch.Tensor  # (B, 3, T) float32
    track: torch.Tensor  # (B, T) float32, Hz
    voicing: torch.Tensor  # (B, T) float32
    null: torch.Tensor  # (B, T) bool, true in padding too
    lengths: torch.Tensor  # (B,) int64, frames
    speaker_f0: torch.Tensor  # (B,) float32, Hz, 0 where not known
    waveform: torch.Tensor | None = None  # (B, 1, 160 T) float32
    states: torch.Tensor | None = None  # (B, C, T) float32
    energy: torch.Tensor = UNMASKED  # (B, T) float32, as in `Features`

    def __post_init__(self) -> None:
        if self.energy is UNMASKED:
            object.__setattr__(self, "energy", self.pitch[:, 1])

    @property
    def padding(self) -> torch.Tensor:
        """`(B, T)` bool, true beyond each recording's length."""
        return torch.arange(self.null.shape[1], device=self.lengths.device) >= self.lengths[:, None]

    def closed(self, frames: int) -> FeatureBatch:
        """The batch with `frames` frames of silence added to each recording: zeros that are not padding. The track
        keeps its last value."""
        before = self.null.shape[1]
        last = self.track.gather(1, (self.lengths - 1)[:, None])
        ended = torch.arange(before + frames, device=self.lengths.device) >= self.lengths[:, None]
        return FeatureBatch(
            spectrogram=pad(self.spectrogram, (0, frames)),
            pitch=pad(self.pitch, (0, frames)),
            track=torch.where(ended, last, pad(self.track, (0, frames))),
            voicing=pad(self.voicing, (0, frames)),
            null=pad(self.null, (0, frames), value=True),
            lengths=self.lengths + frames,
            speaker_f0=self.speaker_f0,
            waveform=None if self.waveform is None else pad(self.waveform, (0, frames * HOP)),
            states=None if self.states is None else pad(self.states, (0, frames)),
            energy=pad(self.energy, (0, frames)),
        )

    def to(self, device: torch.device | str) -> FeatureBatch:
        """The same batch on another device."""
        return FeatureBatch(**{name: t.to(device) for name, t in vars(self).items() if t is not None})


def collate_features(features: list[Features]) -> FeatureBatch:
    """Pad recordings to one length. The values of each do not depend on the others.

    Raises:
        ValueError: for an empty list, for differing numbers of mel bins, or for waveforms that some lack.
    """
    if not features:
        raise ValueError("features: expected at least one recording, got an empty list")
    mels = sorted({one.spectrogram.shape[0] for one in features})
    if len(mels) > 1:
        raise ValueError(f"features: expected one number of mel bins, got {mels}; use one extractor")
    size, frames = len(features), max(one.frames for one in features)
    batch = FeatureBatch(
        spectrogram=torch.zeros(size, mels[0], frames),
        pitch=torch.zeros(size, 3, frames),
        track=torch.full((size, frames), REFERENCE_F0),
        voicing=torch.zeros(size, frames),
        null=torch.ones(size, frames, dtype=torch.bool),
        lengths=torch.tensor([one.frames for one in features]),
        speaker_f0=torch.tensor([one.speaker_f0 for one in features], dtype=torch.float32),
        energy=torch.zeros(size, frames),
    )
    for row, one in enumerate(features):
        for name in ("spectrogram", "pitch", "track", "voicing", "null", "energy"):
            getattr(batch, name)[row, ..., : one.frames] = getattr(one, name)
    waveform, states = _padded(features, "waveform"), _padded(features, "states")
    return replace(batch, waveform=None if waveform is None else waveform[:, None], states=states)


def _padded(features: list[Features], name: str) -> torch.Tensor | None:
    """A feature that not every extractor gives, `(B, ..., longest)` float32 with zeros beyond each; None without it.

    Raises:
        ValueError: some recordings lack it.
    """
    held = [value for one in features if (value := getattr(one, name)) is not None]
    if not held:
        return None
    if len(held) < len(features):
        raise ValueError(f"features: {len(features) - len(held)} of {len(features)} hold no {name}; use one extractor")
    scale = HOP if name == "waveform" else 1
    padded = torch.zeros(len(held), *held[0].shape[:-1], max(one.frames for one in features) * scale)
    for row, value in enumerate(held):
        padded[row, ..., : value.shape[-1]] = value
    return padded
