"""Concatenated clips: several recordings as one, with silence before, between and after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.functional import pad

from echo_asr.audio.convert import HOP
from echo_asr.features import Features
from echo_asr.features.log_mel import RANGE
from echo_asr.features.pitch import fill_track

MOST = 3  # recordings in a concatenated clip, at most
EDGES = (0, 100)  # frames of silence before the first and after the last recording
GAPS = (20, 120)  # frames of silence between two recordings
SOFTER = 25.0  # dB by which half of the recordings are softer than the loudest, at most


@dataclass(frozen=True)
class ConcatenatedClip:
    """A plan for concatenating recordings.

    Attributes:
        parts: their indices.
        gaps: frames of silence before each, and after the last; 0 in noise, where `Perturbation` adds margins.
        noise: the number of the noise in which all are, or 0; see `Perturbation`.
    """

    parts: tuple[int, ...]
    gaps: tuple[int, ...]
    noise: int = 0


def draw_concatenated(
    durations: Sequence[float], count: int, noises: int, rng: np.random.Generator
) -> list[ConcatenatedClip]:
    """Draw `count` concatenated clips of one to three recordings, none over twice as long as the longest recording.

    Args:
        durations: of the recordings, in seconds.
        noises: number of noisy perturbations; half of the clips are in noise if there are any.
    """
    clips = []
    longest = 2.0 * max(durations, default=0.0)
    for _ in range(count):
        noise = int(rng.integers(1, noises + 1)) if noises and rng.random() < 0.5 else 0
        parts: list[int] = []
        total = 0.0
        for _ in range(int(rng.integers(1, MOST + 1))):
            part = int(rng.integers(len(durations)))
            total += durations[part]
            if parts and total > longest:
                break
            parts.append(part)
        edges = rng.integers(*EDGES, 2).tolist()
        gaps = [edges[0], *rng.integers(*GAPS, len(parts) - 1).tolist(), edges[1]]
        clips.append(ConcatenatedClip(tuple(parts), (0,) * len(gaps) if noise else tuple(gaps), noise))
    return clips


def crop(features: Features, before: int, after: int) -> Features:
    """Features without the first `before` and the last `after` frames, at least one of which must remain."""
    end = features.frames - after
    names = ("spectrogram", "pitch", "track", "voicing", "null", "energy")
    framed = {name: getattr(features, name)[..., before:end] for name in names}
    wave, states = features.waveform, features.states
    return replace(
        features,
        **framed,
        waveform=None if wave is None else wave[before * HOP : end * HOP],
        states=None if states is None else states[..., before:end],
    )


def draw_levels(parts: int, rng: np.random.Generator) -> np.ndarray:
    """Draw by how many dB each recording of a concatenated clip `(parts,)` is softer than the loudest; half by 0."""
    softer = rng.uniform(0.0, SOFTER, parts) * (rng.random(parts) < 0.5)
    return softer - softer.min()


def soften(features: Features, db: float, null_relative_db: float) -> Features:
    """Features of a recording as part of a recording in which another part is louder.

    Args:
        db: level of the louder part above this one.
        null_relative_db: as in `FeatureConfig`.
    """
    if not db:
        return features

    def softer(values: torch.Tensor) -> torch.Tensor:
        return (values - db / (10 * RANGE)).clamp(min=0.0)

    energy = softer(features.energy)
    null = features.null | (energy < 1 - null_relative_db / (10 * RANGE))
    f0, shown, periodicity = features.pitch
    voicing = features.voicing.masked_fill(null, 0.0)
    return replace(
        features,
        spectrogram=softer(features.spectrogram),
        pitch=torch.stack([f0.masked_fill(null, 0.0), softer(shown), periodicity.masked_fill(null, 0.0)]),
        track=torch.from_numpy(fill_track((features.track * voicing).numpy())),
        voicing=voicing,
        null=null,
        energy=energy,
        waveform=None if features.waveform is None else features.waveform * 10 ** (-db / 20),
    )


def join(parts: Sequence[Features], gaps: Sequence[int]) -> Features:
    """Concatenate the features of recordings.

    Each part keeps its track and energy, whether or not its spectrogram and pitch are masked; in a gap the track is
    log-linear from the last value of one part to the first of the next.

    Args:
        parts: of one extractor.
        gaps: frames of silence before each part and after the last: zeros, as of digital silence.
    """

    def concatenated(name: str, silence: float = 0.0, scale: int = 1) -> torch.Tensor:
        before = zip(parts, gaps[:-1], strict=True)
        padded = [pad(getattr(part, name), (gap * scale, 0), value=silence) for part, gap in before]
        return pad(torch.cat(padded, dim=-1), (0, gaps[-1] * scale), value=silence)

    return Features(
        spectrogram=concatenated("spectrogram"),
        pitch=concatenated("pitch"),
        # A track is above 0 throughout: only gaps are 0.
        track=torch.from_numpy(fill_track(concatenated("track").numpy())),
        voicing=concatenated("voicing"),
        null=concatenated("null", True),
        energy=concatenated("energy"),
        waveform=None if parts[0].waveform is None else concatenated("waveform", scale=HOP),
        states=None if parts[0].states is None else concatenated("states"),
        speaker_f0=parts[0].speaker_f0,
    )
