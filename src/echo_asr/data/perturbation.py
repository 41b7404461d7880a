"""Perturbations of recordings in training: speed, pitch and noise."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from echo_asr.audio import resample
from echo_asr.audio.convert import HOP, SAMPLE_RATE, samples_to_seconds
from echo_asr.data import noise, psola
from echo_asr.data.noise import BEDS, noise_clip
from echo_asr.data.provenance import constants_digest
from echo_asr.data.psola import shift_semitones
from echo_asr.features.pitch.track import octaves_between

SNR_RANGE = (10.0, 40.0)  # dB, of the recording's RMS to the noise's
MARGIN = 60  # frames of 10 ms of noise before a recording and after it
SOFTEST_BED = -110.0  # dBFS
VERSION = 2  # raised when the same perturbation gives other samples or F0 than before, so that cached features lapse


@dataclass(frozen=True)
class Perturbation:
    """Changes a recording. Calling it maps samples `(S,)` to perturbed samples `(S',)`, both at 16 kHz.

    Attributes:
        speed: factor of speed perturbation (Ko et al. 2015), which changes tempo and pitch.
        semitones: by which F0 is raised; formants and tempo are kept.
        noise: 0 for none; 1, 2, ...: the number of a noise, which begins `MARGIN` before the recording and ends that
            much after it. Number and samples determine its kind and its level (10 to 40 dB below the recording).
    """

    speed: float = 1.0
    semitones: float = 0.0
    noise: int = 0

    @property
    def name(self) -> str:
        """Identifies the perturbation and its code, for the key of the feature cache; empty for none."""
        parts = [f"speed={float(self.speed)!r}"] if self.speed != 1.0 else []
        parts += [f"semitones={float(self.semitones)!r}~{constants_digest(psola)}"] if self.semitones else []
        parts += [f"noise={self.noise}~{constants_digest(noise)}"] if self.noise else []
        return ",".join([*parts, constants_digest(sys.modules[__name__])]) if parts else ""

    @property
    def f0_factor(self) -> float:
        """The factor by which F0 changes."""
        return float(self.speed * 2.0 ** (self.semitones / 12.0))

    @property
    def keeps_pitch(self) -> bool:
        """Whether F0 and periodicity follow from those of the recording; in noise they are measured anew."""
        return not self.noise

    def pitch(self, f0: np.ndarray, periodicity: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """F0 and periodicity of a recording `(T,)`, 0 Hz where unvoiced, as they are once it is perturbed.

        Time passes `speed` times as fast, and F0 is multiplied by `f0_factor`. Between two voiced frames F0 is linear
        in octaves; beside an unvoiced frame, and across a leap of half an octave, it is that of the nearer one.
        A frame is voiced where the nearer one is.

        Args:
            frames: T of the perturbed recording.
        """
        place = np.minimum(np.arange(frames) * self.speed, len(f0) - 1.0)
        before = place.astype(np.int64)
        after = np.minimum(before + 1, len(f0) - 1)
        weight = place - before
        nearer = np.where(weight < 0.5, before, after)
        octaves = np.log2(np.where(f0 > 0, f0, 1.0).astype(np.float64))
        value = octaves_between(octaves, f0 > 0, place)
        moved = np.where(f0[nearer] > 0, self.f0_factor * np.exp2(value), 0.0)
        between = (1 - weight) * periodicity[before] + weight * periodicity[after]
        return moved.astype(np.float32), between.astype(np.float32)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        if self.speed != 1.0:
            audio = perturb_speed(audio, self.speed)
        if self.semitones:
            audio = shift_semitones(audio, self.semitones)
        return add_noise(audio, self.noise) if self.noise else audio


UNPERTURBED = Perturbation()


def perturb_speed(audio: np.ndarray, factor: float) -> np.ndarray:
    """Samples `(S,)` resampled to be `factor` times as fast: `(about S / factor,)`, at least one sample."""
    return resample(audio, SAMPLE_RATE * factor, SAMPLE_RATE)


def add_noise(audio: np.ndarray, number: int) -> np.ndarray:
    """Samples `(S,)` in the `number`-th noise, with `MARGIN` on either side: `(S + 2 * 160 MARGIN,)` float32. They may
    exceed full scale."""
    return in_noise(audio, drawn_by(number, audio), SNR_RANGE, MARGIN)


def drawn_by(number: int, audio: np.ndarray) -> np.random.Generator:
    """What draws at random as a number and samples determine."""
    return np.random.default_rng([number, zlib.crc32(np.ascontiguousarray(audio).tobytes())])


def in_noise(
    audio: np.ndarray,
    rng: np.random.Generator,
    snr: tuple[float, float],
    margin: int = 0,
    kinds: Sequence[noise.Kind] = BEDS,
) -> np.ndarray:
    """Samples `(S,)` in a random noise, from so many frames before them to as many after: `(S + 2 * 160 margin,)`
    float32. They may exceed full scale.

    Args:
        snr: dB, of the RMS of the samples to that of the noise, between which it is drawn.
        kinds: of which the noise is one.
    """
    speech = np.pad(audio, margin * HOP)
    level = 10.0 * np.log10(max(float(np.mean(np.square(audio, dtype=np.float64))), 1e-12))  # dBFS
    wanted = float(np.clip(level - rng.uniform(*snr), SOFTEST_BED, 0.0))
    kind = kinds[int(rng.integers(len(kinds)))]
    bed = noise_clip(kind, samples_to_seconds(len(speech)), int(rng.integers(2**31)), wanted)
    return (speech + bed[: len(speech)]).astype(np.float32)
