"""A small network that measures F0, voicing and creak: a spectrum on a logarithmic frequency axis, of which every
candidate F0 gets the values at its harmonics and half-way between them.

Shapes: `B` recordings, `S` samples at 16 kHz, `T` frames of 10 ms, `C` channels, `P` positions a semitone apart, each
with `STEPS` candidates a quarter of a semitone apart.

A frame depends on 92 ms before and after it. Outside of a recording there is silence, so that its values do not depend
on others beside it in a batch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from echo_asr.audio.convert import HOP, SAMPLE_RATE

LOWEST, HIGHEST = 40.0, 800.0  # Hz, of the F0 that is given
WINDOW = 1024  # samples, 64 ms, Hann
STEPS = 4  # candidates a semitone
POSITIONS = 53
CANDIDATES = STEPS * POSITIONS
OCTAVE = 12 * STEPS  # candidates
FIRST = 39.0  # Hz, the first candidate
RATIOS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0)  # to F0, of what a candidate gets
OFFSETS = tuple(round(OCTAVE * math.log2(ratio / RATIOS[0])) for ratio in RATIOS)
GRID_FIRST = FIRST * RATIOS[0]  # Hz, the first point of the spectrum
GRID = 392  # points of the spectrum, up to 5.6 kHz; zeros above
BANDS = 28  # of 14 points each: the spectral envelope
HIGH = ((362, 430), (430, 513))  # bins of 5.6 to 6.7 and to 8 kHz, whose mean levels the envelope has, too
FLOOR = 1e-4  # -80 dB, of a sine at the recording's peak; softer parts of a spectrum are not seen
CHANNELS, HIDDEN = 24, 64
MARGIN = 6  # frames on either side that a frame depends on
NEAR = 4  # candidates about the best over which F0 is averaged: a semitone


class PitchEstimate(NamedTuple):
    """What is measured in each frame, `(B, T)`.

    Attributes:
        f0: Hz, 40 to 800, whether or not the frame is voiced.
        voicing: probability of a voice.
        creak: probability that the voice, if there is one, is creaky.
    """

    f0: Tensor
    voicing: Tensor
    creak: Tensor


class PitchNetwork(nn.Module):
    """Gives `PitchEstimate` of frames; see `forward`."""

    window: Tensor
    octaves: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        for number, (_, _, matrix) in enumerate(_interpolation()):
            self.register_buffer(f"interpolation{number}", matrix, persistent=False)
        frequencies = FIRST * 2.0 ** (torch.arange(CANDIDATES) / OCTAVE)
        self.register_buffer("octaves", frequencies.log2(), persistent=False)
        self.harmonics = nn.Conv2d(len(RATIOS), CHANNELS, (1, STEPS), stride=(1, STEPS))
        self.bias = nn.Parameter(torch.zeros(CHANNELS, 1, POSITIONS))
        self.near1 = nn.Conv2d(CHANNELS, CHANNELS, (3, 3), padding=(0, 1), groups=CHANNELS)
        self.mix1 = nn.Linear(CHANNELS, CHANNELS)
        self.near2 = nn.Conv2d(CHANNELS, CHANNELS, (5, 3), padding=(0, 1), groups=CHANNELS)
        self.mix2 = nn.Linear(CHANNELS, CHANNELS)
        self.candidates = nn.Linear(CHANNELS, STEPS)
        self.frame1 = nn.Linear(CHANNELS + BANDS + len(HIGH) + 2, HIDDEN)
        self.frame2 = nn.Conv1d(HIDDEN, HIDDEN, 3)
        self.frame3 = nn.Conv1d(HIDDEN, HIDDEN, 5)
        self.heads = nn.Linear(HIDDEN, 2)

    def forward(self, audio: Tensor) -> PitchEstimate:
        """Measure `T = (S - 1024) / 160 + 1 - 12` frames of `audio` `(B, S)`, the first centred at sample 1472.

        Args:
            audio: with a peak of 1 in each recording, and zeros outside of it.
        """
        scores, voicing, creak = self.scores(audio)
        return PitchEstimate(self.f0(scores), voicing.sigmoid(), creak.sigmoid())

    def scores(self, audio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unnormalised log-probabilities of the candidates `(B, T, CANDIDATES)`, and logits of voicing and creak
        `(B, T)`; float32."""
        spectrum, envelope = self.spectra(audio.float())
        dtype = self.mix1.weight.dtype
        spectrum, envelope = spectrum.to(dtype), envelope.to(dtype)
        padded = functional.pad(spectrum, (0, OFFSETS[-1] + CANDIDATES - GRID))
        inputs = torch.stack([padded[..., first : first + CANDIDATES] for first in OFFSETS], dim=1)
        found = torch.relu(self.harmonics(inputs) + self.bias)
        found = found.contiguous(memory_format=torch.channels_last)  # (B, C, T, P), here with T + 12 frames
        found = found[:, :, 1:-1] + torch.relu(_mixed(self.mix1, self.near1(found)))
        found = found[:, :, 2:-2] + torch.relu(_mixed(self.mix2, self.near2(found)))
        found = found.permute(0, 2, 3, 1)  # (B, T + 6, P, C)
        scores = self.candidates(found)
        best = scores.amax(dim=-1)
        share = best.softmax(dim=-1)
        chosen = (share[..., None] * found).sum(dim=2)
        summary = torch.stack([best.amax(dim=-1), best.mean(dim=-1)], dim=-1)
        frame = torch.cat([chosen, envelope[:, 3:-3], 0.1 * summary], dim=-1)
        frame = torch.relu(self.frame1(frame)).transpose(1, 2)
        frame = frame[..., 1:-1] + torch.relu(self.frame2(frame))
        frame = frame[..., 2:-2] + torch.relu(self.frame3(frame))
        voicing, creak = self.heads(frame.transpose(1, 2)).float().unbind(dim=-1)
        return scores[:, 3:-3].flatten(2).float(), voicing, creak

    def spectra(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """The log spectrum over its envelope `(B, T + 12, GRID)`, and the envelope `(B, T + 12, BANDS + 2)`: 0 for
        silence, 1 for 43 dB more."""
        spectrum = torch.fft.rfft(audio.unfold(-1, WINDOW, HOP) * self.window)
        power = spectrum.real.square() + spectrum.imag.square()
        floor = (FLOOR * WINDOW / 4) ** 2  # the power of a sine of that amplitude
        levels = 0.1 * (power / floor + 1.0).log()
        grid = torch.cat(
            [levels[..., first:last] @ getattr(self, f"interpolation{n}") for n, (first, last) in enumerate(EDGES)],
            dim=-1,
        )
        bands = grid.unflatten(-1, (BANDS, GRID // BANDS)).mean(dim=-1)
        smooth = functional.interpolate(bands, GRID, mode="linear")  # through the middles of the bands
        high = torch.stack([levels[..., first:last].mean(dim=-1) for first, last in HIGH], dim=-1)
        return grid - smooth, torch.cat([bands, high], dim=-1)

    def f0(self, scores: Tensor) -> Tensor:
        """F0 in Hz `(B, T)`: the mean of the candidates within a semitone of the best, in octaves, by probability."""
        number = torch.arange(CANDIDATES, device=scores.device)
        distance = (number - scores.argmax(dim=-1, keepdim=True)).abs()
        share = scores.masked_fill(distance > NEAR, -math.inf).softmax(dim=-1)
        return torch.exp2((share * self.octaves).sum(dim=-1)).clamp(LOWEST, HIGHEST)


def _mixed(linear: nn.Linear, found: Tensor) -> Tensor:
    """A linear layer over the channels of `(B, C, T, P)`."""
    return linear(found.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


# Bins of the spectrum from which the points of each range of the grid are interpolated; the points of these ranges.
EDGES = ((0, 23), (18, 85), (75, 362))
RANGES = ((0, 192), (192, 288), (288, GRID))


def _interpolation() -> list[tuple[int, int, Tensor]]:
    """First and last bin, and weights `(bins, points)`, of each range of the grid.

    A point is interpolated by a cubic (Keys 1981) where points are closer than bins, and the mean of the bins under a
    triangle one step of the grid wide where they are not.
    """
    bins = torch.arange(WINDOW // 2 + 1, dtype=torch.float64)
    points = GRID_FIRST * 2.0 ** (torch.arange(GRID, dtype=torch.float64) / OCTAVE) * WINDOW / SAMPLE_RATE  # in bins
    spacing = (points * math.log(2) / OCTAVE).clamp(min=1.0)
    distance = (bins[:, None] - points).abs() / spacing
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1.0
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4.0 * distance + 2.0
    cubic = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    weights = torch.where(spacing > 1.0, (1.0 - distance).clamp(min=0.0), cubic)
    weights = weights / weights.sum(dim=0)
    parts = []
    for (first, last), (begin, end) in zip(EDGES, RANGES, strict=True):
        assert not weights[:first, begin:end].any() and not weights[last:, begin:end].any()
        parts.append((first, last, weights[first:last, begin:end].float()))
    return parts
