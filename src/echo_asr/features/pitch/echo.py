"""F0, voicing and creak by Echo's own network.

Shapes: `S` samples at 16 kHz, `T` frames; frame `t` is centred at sample `160 t`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch

from echo_asr.audio.convert import HOP
from echo_asr.audio.level import over_peak
from echo_asr.features.pitch.network import BEFORE, PitchNetwork, samples_of
from echo_asr.features.pitch.track import PitchTracker
from echo_asr.storage import unpack

WEIGHTS = Path(__file__).with_name("echo.safetensors")
CHUNK = 512  # frames measured at a time, an even number, so that what is computed fits in a processor's cache
ROWS = 64  # chunks at a time on a GPU
VOICED = 0.4  # probability from which a frame is voiced, so that voices in white noise are found


class EchoPitch(NamedTuple):
    """What is measured in a recording, each `(T,)` float32.

    Attributes:
        f0: Hz, 0 where unvoiced.
        voicing: probability of a voice.
        creak: probability that the voice, if there is one, is creaky.
    """

    f0: np.ndarray
    voicing: np.ndarray
    creak: np.ndarray


class EchoTracker(PitchTracker):
    """Echo's own network, trained by `echo_asr.research.tracker` on a CC0 corpus and on synthetic voices alone.

    Periodicity is the probability of a voice; a frame is voiced from 0.4 up. Values depend on 0.2 s on either side and
    on the recording's peak, by which it is divided; a recording of zeros is unvoiced.
    """

    name = "echo"

    def __init__(self) -> None:
        self.network = load_network()
        self.version = f"2-{hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:12]}"
        self.device = torch.device("cpu")

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Self:
        """Measure on that device, with weights and values in float32 or bfloat16; spectra and F0 are float32."""
        self.network, self.device = load_network().to(device), torch.device(device)
        for weight in self.network.parameters():
            weight.data = weight.data.to(dtype)
        return self

    def __call__(self, audio: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """F0 and periodicity, as of any tracker."""
        found = self.measure([audio], [frames])[0]
        return found.f0, found.voicing

    def batch(self, recordings: Sequence[np.ndarray], frames: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """F0 and periodicity of several recordings, each of so many frames."""
        return [(found.f0, found.voicing) for found in self.measure(recordings, frames)]

    @torch.inference_mode()
    def measure(self, recordings: Sequence[np.ndarray], frames: Sequence[int]) -> list[EchoPitch]:
        """Recordings `(S,)` float32, each of so many frames; on a GPU together, on a CPU one after the other, where
        that is faster."""
        if self.device.type == "cpu":
            return [self._measure([one], [count])[0] for one, count in zip(recordings, frames, strict=True)]
        return self._measure(recordings, frames)

    def _measure(self, recordings: Sequence[np.ndarray], frames: Sequence[int]) -> list[EchoPitch]:
        counts = [-(-count // CHUNK) for count in frames]
        size = CHUNK if len(frames) > 1 else 2 * -(-frames[0] // (2 * counts[0]))
        rows = torch.cat([_chunks(one, size, count) for one, count in zip(recordings, counts, strict=True)])
        parts = [self.network(some.to(self.device)) for some in rows.split(1 if self.device.type == "cpu" else ROWS)]
        f0, voicing, creak = (torch.cat(each).cpu() for each in zip(*parts, strict=True))
        found, row = [], 0
        for one, count, wanted in zip(recordings, counts, frames, strict=True):
            own = slice(row, row + count)
            row += count
            whole = EchoPitch(*(values[own].flatten()[:wanted].numpy() for values in (f0, voicing, creak)))
            audible = np.float32(one.any())
            voiced = whole.voicing * audible >= VOICED
            found.append(EchoPitch(whole.f0 * voiced, whole.voicing * audible, whole.creak * audible))
        return found


@cache
def _weights() -> dict[str, torch.Tensor]:
    return {name: value.float() for name, value in unpack(WEIGHTS.read_bytes()).items()}


def load_network() -> PitchNetwork:
    """The network with the weights that ship with Echo, on the CPU in float32."""
    network = PitchNetwork()
    network.load_state_dict(_weights())
    return network.eval().requires_grad_(False)


def _chunks(audio: np.ndarray, size: int, count: int) -> torch.Tensor:
    """The samples of `count` chunks of `size` frames, with what lies around them: `(count, samples)`, peak 1."""
    padded = torch.zeros(samples_of(count * size))
    used = min(len(audio), len(padded) - BEFORE)
    padded[BEFORE : BEFORE + used] = torch.from_numpy(over_peak(audio[:used]))
    return padded.unfold(0, samples_of(size), size * HOP)
