"""What is done to clips while a pitch tracker is trained: noise, rooms, filters, clipping and coarse codecs.

Shapes: `B` clips of `S` samples at 16 kHz.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.research.tracker.pool import SAMPLES

SIZE = 45_000  # samples of a transform: a clip and a room; a product of small primes
ROOM_SECONDS = 0.35
WITHOUT_VOICE = 0.1  # share of clips that are noise alone
BABBLE = 0.18
STEADY = 0.5  # of noises, drawn anew each time
CLEAN = 0.25
TINY = 1e-9


class Corruption:
    """Corrupts batches; everything random follows the generator.

    Args:
        noises: `(M, S)` int16.
    """

    def __init__(self, noises: np.ndarray, generator: torch.Generator) -> None:
        self.noises, self.generator = torch.from_numpy(noises), generator

    def __call__(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Corrupted samples `(B, S)` of peak 1, and whether there is a voice `(B,)`."""
        count = len(clean)
        clean = self._level(clean)
        noise = self._noise(count)
        others = [torch.roll(clean[self._order(count)], self._whole(SAMPLES), dims=1) for _ in range(5)]
        babble = torch.stack(others).sum(dim=0)
        chosen = self._uniform(count)
        is_babble = chosen < BABBLE
        noise = torch.where(is_babble[:, None], self._level(babble), noise)
        ratio = self._between(count, -3.0, 30.0)  # dB, of voice over noise
        ratio = torch.where(is_babble, ratio.clamp(min=5.0), ratio)
        ratio = torch.where((chosen > 1.0 - CLEAN), 120.0, ratio)
        has_voice = self._uniform(count) >= WITHOUT_VOICE
        ratio = torch.where(has_voice | is_babble, ratio, torch.full_like(ratio, -80.0))
        has_voice = has_voice | is_babble
        noise = noise * 10 ** (-ratio / 20)[:, None]
        voice = torch.fft.rfft(clean, SIZE) * self._rooms(count)
        mixed = torch.fft.irfft((voice + torch.fft.rfft(noise, SIZE)) * self._filters(count), SIZE)[:, :SAMPLES]
        return self._peak(self._coarse(self._peak(mixed))), has_voice

    def _noise(self, count: int) -> Tensor:
        """Noises of power 1, a third of them sums of two, half steady."""
        total = torch.zeros(count, SAMPLES)
        for share in (1.0, 0.33):
            rows = torch.randint(len(self.noises), (count,), generator=self.generator)
            one = torch.roll(self._level(self.noises[rows].float()), self._whole(SAMPLES), dims=1)
            size = torch.where(self._uniform(count) < share, 10 ** (-self._between(count, 0.0, 12.0) / 20), 0.0)
            total += one * size[:, None]
        frequencies = torch.fft.rfftfreq(SIZE, 1 / SAMPLE_RATE).clamp(min=20.0)
        white = torch.fft.rfft(torch.randn(count, SIZE, generator=self.generator))
        exponent = torch.where(self._uniform(count) < 0.4, 0.0, self._between(count, -0.5, 1.0))[:, None]
        steady = torch.fft.irfft(white * frequencies**-exponent, SIZE)[:, :SAMPLES]
        return torch.where((self._uniform(count) < STEADY)[:, None], self._level(steady), self._level(total))

    def _rooms(self, count: int) -> Tensor:
        """Spectra of rooms, of half of the clips; 1 for the others."""
        length = round(ROOM_SECONDS * SAMPLE_RATE)
        time = torch.arange(length) / SAMPLE_RATE
        decay = self._between(count, math.log(0.1), math.log(0.7)).exp()[:, None]  # seconds for 60 dB
        tail = torch.randn(count, length, generator=self.generator) * torch.exp(-6.9 * time / decay)
        tail[:, : SAMPLE_RATE // 1000] = 0.0
        strength = 10 ** (-self._between(count, 0.0, 18.0) / 20)[:, None]
        response = tail / tail.square().sum(dim=1, keepdim=True).sqrt() * strength
        response *= (self._uniform(count) < 0.4)[:, None]
        response[:, 0] = 1.0
        return torch.fft.rfft(response, SIZE)

    def _filters(self, count: int) -> Tensor:
        """Magnitudes of microphones: tilts and bumps, and of telephones and low-pass filters a fourth."""
        frequencies = torch.fft.rfftfreq(SIZE, 1 / SAMPLE_RATE)
        octaves = (frequencies.clamp(min=20.0) / 1000.0).log2()
        gains = self._between(count, -3.0, 3.0)[:, None] * octaves  # dB
        for _ in range(2):
            middle = self._between(count, -3.5, 2.5)[:, None]
            gains = gains + self._between(count, -10.0, 8.0)[:, None] * torch.exp(-((octaves - middle) ** 2))
        made = 10 ** (gains.clamp(-40.0, 25.0) / 20)
        low = self._between(count, 80.0, 350.0)[:, None]
        high = self._between(count, 2000.0, 7000.0)[:, None]
        top = 1.0 / (1.0 + (frequencies / high) ** 12)
        band = top / (1.0 + (low / frequencies.clamp(min=1.0)) ** 8)
        which = self._uniform(count)[:, None]
        made = made * torch.where(which < 0.15, band, torch.where(which < 0.27, top, 1.0))
        return made * (frequencies > 20.0)

    def _coarse(self, audio: Tensor) -> Tensor:
        """Clipped, companded to few bits, soft in few bits, or beside a bump; most left as they are."""
        count = len(audio)
        which = self._uniform(count)[:, None]
        limit = self._between(count, 0.1, 0.7)[:, None]
        clipped = torch.maximum(torch.minimum(audio, limit), -limit)
        companded = torch.sign(audio) * torch.log1p(255 * audio.abs()) / math.log(256)
        steps = 2.0 ** self._between(count, 3.5, 8.0)[:, None]
        coded = torch.round(companded * steps) / steps
        coded = torch.sign(coded) * torch.expm1(coded.abs() * math.log(256)) / 255
        gain = 10 ** (-self._between(count, 0.0, 55.0) / 20)[:, None] * 32767
        rounded = torch.round(audio * gain) / gain
        bumped = audio.clone()
        at = self._whole(SAMPLES - 500)
        bumped[:, at : at + 400] += 10 ** (self._between(count, 0.0, 25.0) / 20)[:, None] * torch.hann_window(400)
        found = torch.where(which < 0.08, clipped, torch.where(which < 0.16, coded, audio))
        return torch.where(which > 0.85, rounded, torch.where((which > 0.78) & (which <= 0.85), bumped, found))

    def _level(self, audio: Tensor) -> Tensor:
        return audio / audio.square().mean(dim=1, keepdim=True).sqrt().clamp(min=TINY)

    def _peak(self, audio: Tensor) -> Tensor:
        return audio / audio.abs().amax(dim=1, keepdim=True).clamp(min=TINY)

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, generator=self.generator)

    def _between(self, count: int, low: float, high: float) -> Tensor:
        return low + (high - low) * self._uniform(count)

    def _whole(self, below: int) -> int:
        return int(torch.randint(below, (), generator=self.generator))

    def _order(self, count: int) -> Tensor:
        return torch.randperm(count, generator=self.generator)
