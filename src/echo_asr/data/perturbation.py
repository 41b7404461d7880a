"""How a recording is rendered for training: faster or slower, in a higher or lower voice, as it is or in noise."""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass

import numpy as np

from echo_asr.audio import resample
from echo_asr.audio.convert import HOP, SAMPLE_RATE, samples_to_seconds
from echo_asr.data import noise, psola
from echo_asr.data.noise import BEDS, noise_clip
from echo_asr.data.provenance import constants_digest
from echo_asr.data.psola import shift_semitones

SNR_RANGE = (10.0, 40.0)  # dB, of the recording's RMS to the noise's
MARGIN = 60  # frames of 10 ms of noise before a recording and after it
SOFTEST_BED = -110.0  # dBFS
VERSION = 1  # raise it when the same perturbation comes to sound otherwise: cached features then lapse


@dataclass(frozen=True)
class Perturbation:
    """A way to play a recording: calling it turns samples `(S,)` into others.

    Attributes:
        speed: factor of speed perturbation (Ko et al. 2015), pitch and all, as on a tape.
        semitones: by which the voice is moved up, or down where below 0; formants and tempo stay.
        noise: 0, as it was recorded; 1, 2, ...: in a noise, which begins `MARGIN` before it and ends that much after
            it, and whose kind and level (10 to 40 dB below the recording) this number and the samples decide.
    """

    speed: float = 1.0
    semitones: float = 0.0
    noise: int = 0

    @property
    def name(self) -> str:
        """Names what is done and by which code, as the feature cache asks; empty where nothing is."""
        parts = [f"speed={float(self.speed)!r}"] if self.speed != 1.0 else []
        parts += [f"semitones={float(self.semitones)!r}~{constants_digest(psola)}"] if self.semitones else []
        parts += [f"noise={self.noise}~{constants_digest(noise)}"] if self.noise else []
        return ",".join([*parts, constants_digest(sys.modules[__name__])]) if parts else ""

    @property
    def f0_factor(self) -> float:
        """What F0 is multiplied by."""
        return float(self.speed * 2.0 ** (self.semitones / 12.0))

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        if self.speed != 1.0:
            audio = perturb_speed(audio, self.speed)
        if self.semitones:
            audio = shift_semitones(audio, self.semitones)
        return add_noise(audio, self.noise) if self.noise else audio


UNPERTURBED = Perturbation()


def perturb_speed(audio: np.ndarray, factor: float) -> np.ndarray:
    """Samples `(S,)` played `factor` times as fast: `(about S / factor,)`, at least one sample."""
    return resample(audio, SAMPLE_RATE * factor, SAMPLE_RATE)


def add_noise(audio: np.ndarray, number: int) -> np.ndarray:
    """Samples `(S,)` in the `number`-th noise, with `MARGIN` on either side: `(S + 2 * 160 MARGIN,)` float32. They may
    pass full scale."""
    rng = np.random.default_rng([number, zlib.crc32(np.ascontiguousarray(audio).tobytes())])
    speech = np.pad(audio, MARGIN * HOP)
    level = 10.0 * np.log10(max(float(np.mean(np.square(audio, dtype=np.float64))), 1e-12))  # dBFS
    wanted = float(np.clip(level - rng.uniform(*SNR_RANGE), SOFTEST_BED, 0.0))
    kind = BEDS[int(rng.integers(len(BEDS)))]
    noise = noise_clip(kind, samples_to_seconds(len(speech)), int(rng.integers(2**31)), wanted)
    mixed: np.ndarray = (speech + noise[: len(speech)]).astype(np.float32)
    return mixed
