"""Several recordings as one, with silence before, between and after them."""

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

MOST = 3  # recordings in a row, at most
EDGES = (0, 100)  # frames of silence before and after a row
GAPS = (20, 120)  # frames of silence between two of its recordings
SOFTER = 25.0  # dB by which half of the recordings in a row are softer than its loudest, at most


@dataclass(frozen=True)
class ConcatenatedClip:
    """Recordings that follow each other.

    Attributes:
        parts: their indices.
        gaps: frames of silence before each, and after the last; none where they are in noise, which fills the gaps.
        noise: the noise that all are in, or 0; see `Perturbation`.
    """

    parts: tuple[int, ...]
    gaps: tuple[int, ...]
    noise: int = 0


def draw_concatenated(
    durations: Sequence[float], count: int, noises: int, rng: np.random.Generator
) -> list[ConcatenatedClip]:
    """`count` rows of one to three recordings, none more than twice as long as the longest recording.

    Args:
        durations: of the recordings, in seconds.
        noises: noisy perturbations that there are; half of the rows are in noise if there are any.
    """
    rows = []
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
        rows.append(ConcatenatedClip(tuple(parts), (0,) * len(gaps) if noise else tuple(gaps), noise))
    return rows


def crop(features: Features, before: int, after: int) -> Features:
    """Features without the first `before` and the last `after` frames, of which some are left."""
    end = features.frames - after
    wave = features.waveform
    return replace(
        features,
        **{
            name: getattr(features, name)[..., before:end]
            for name in ("spectrogram", "pitch", "track", "voicing", "null", "energy")
        },
        waveform=None if wave is None else wave[before * HOP : end * HOP],
    )


def draw_levels(parts: int, rng: np.random.Generator) -> np.ndarray:
    """By how many dB each recording of a row `(parts,)` is softer than its loudest: half of them by nothing."""
    softer = rng.uniform(0.0, SOFTER, parts) * (rng.random(parts) < 0.5)
    levels: np.ndarray = softer - softer.min()
    return levels


def soften(features: Features, db: float, null_relative_db: float) -> Features:
    """Features of a recording as they are where another part of the same recording is louder.

    Args:
        db: by how much the other is louder.
        null_relative_db: of the extractor, from which a frame under the loudest is null.
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
    """Features of recordings one after another.

    Each part keeps its track and energy, whatever is masked of its spectrogram and pitch; in a gap the track runs
    log-linearly from the last value of one part to the first of the next.

    Args:
        parts: of one extractor.
        gaps: frames of silence before each part and after the last: zeros, which is what digital silence gives.
    """

    def row(name: str, silence: float = 0.0, scale: int = 1) -> torch.Tensor:
        before = zip(parts, gaps[:-1], strict=True)
        pieces = [pad(getattr(part, name), (gap * scale, 0), value=silence) for part, gap in before]
        return pad(torch.cat(pieces, dim=-1), (0, gaps[-1] * scale), value=silence)

    return Features(
        spectrogram=row("spectrogram"),
        pitch=row("pitch"),
        track=torch.from_numpy(fill_track(row("track").numpy())),  # a track is above 0 throughout: gaps alone are 0
        voicing=row("voicing"),
        null=row("null", True),
        energy=row("energy"),
        waveform=None if parts[0].waveform is None else row("waveform", scale=HOP),
        speaker_f0=parts[0].speaker_f0,
    )
