"""A small network that measures F0, voicing and creak: a spectrum on a logarithmic frequency axis, of which every
candidate F0 gets the values at its harmonics and half-way between them.

Shapes: `B` recordings, `S` samples at 16 kHz, `T` frames of 10 ms, an even number, `N` pairs of frames, `C` channels,
`P` positions two semitones apart, each with `STEPS` candidates a quarter of a semitone apart.

Harmonics are sought once for each pair of frames, whose candidates are then told apart; voicing and creak are sought in
frames. A pair depends on 197 ms before and after its middle. Outside of a recording there is silence, so that values
do not depend on others beside it in a batch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from echo_asr.audio.convert import HOP, SAMPLE_RATE
from echo_asr.features.log_mel import FFT, mel_filters, power_of

LOWEST, HIGHEST = 40.0, 800.0  # Hz, of the F0 that is given
WINDOW = 1024  # samples, 64 ms, Hann, about the middle of a pair
STEPS = 8  # candidates of a position
POSITIONS = 27
CANDIDATES = STEPS * POSITIONS
OCTAVE = 48  # candidates
FIRST = 39.0  # Hz, the first candidate
RATIOS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0)  # to F0, of what a candidate gets
OFFSETS = tuple(round(OCTAVE * math.log2(ratio / RATIOS[0])) for ratio in RATIOS)
GRID_FIRST = FIRST * RATIOS[0]  # Hz, the first point of the spectrum
GRID = 392  # points of the spectrum, up to 5.6 kHz; zeros above
BANDS = 28  # of 14 points each, whose levels are its envelope
MELS = 24  # bands of a frame, in windows of 32 ms, Hann
FLOOR = 1e-4  # -80 dB, of a sine at the recording's peak; softer parts of a spectrum are not seen
CHANNELS, HIDDEN = 32, 64
AROUND = (1, 2, 2)  # pairs on either side that the layers over candidates see
DILATIONS = (1, 2)  # of the layers over frames, which see two frames so far apart on either side
PAIRS_AROUND, FRAMES_AROUND = sum(AROUND), 2 * sum(DILATIONS)
MARGIN = FRAMES_AROUND + 2 * PAIRS_AROUND  # frames on either side that are needed
BEFORE = WINDOW // 2 + MARGIN * HOP - HOP // 2  # samples that are needed before the middle of the first frame
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
    short_window: Tensor
    mels: Tensor
    octaves: Tensor
    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("short_window", torch.hann_window(FFT), persistent=False)
        filters = torch.from_numpy(mel_filters(MELS)).T
        self.register_buffer("mels", (filters / filters.sum(dim=0)).contiguous(), persistent=False)
        for number, (_, _, matrix) in enumerate(_interpolation()):
            self.register_buffer(f"interpolation{number}", matrix, persistent=False)
        frequencies = FIRST * 2.0 ** (torch.arange(CANDIDATES) / OCTAVE)
        self.register_buffer("octaves", frequencies.log2(), persistent=False)
        # Where in the spectrum the candidates of each position find each of the ratios.
        places = STEPS * torch.arange(POSITIONS)[:, None] + torch.tensor(OFFSETS)
        self.register_buffer("places", places.flatten(), persistent=False)
        self.harmonics = nn.Linear(len(RATIOS) * STEPS, CHANNELS)
        self.bias = nn.Parameter(torch.zeros(POSITIONS, CHANNELS))
        self.near = nn.ModuleList(
            nn.Conv2d(CHANNELS, CHANNELS, (2 * around + 1, 3), padding=(0, 1), groups=CHANNELS) for around in AROUND
        )
        self.mix = nn.ModuleList(nn.Linear(CHANNELS, CHANNELS) for _ in self.near)
        self.candidates = nn.Linear(CHANNELS, 2 * STEPS)
        self.pair = nn.Linear(CHANNELS + 2, 2 * HIDDEN)
        self.frame = nn.Linear(MELS, HIDDEN)
        self.frames = nn.ModuleList(nn.Conv1d(HIDDEN, HIDDEN, 5, dilation=dilation) for dilation in DILATIONS)
        self.heads = nn.Linear(HIDDEN, 2)

    def forward(self, audio: Tensor) -> PitchEstimate:
        """Measure `audio` `(B, samples_of(T))`, of which the first frame's middle is sample `BEFORE`.

        Args:
            audio: with a peak of 1 in each recording, and zeros outside of it.
        """
        scores, voicing, creak = self.scores(audio)
        return PitchEstimate(self.f0(scores), voicing.sigmoid(), creak.sigmoid())

    def scores(self, audio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unnormalised log-probabilities of the candidates `(B, T, CANDIDATES)`, and logits of voicing and creak
        `(B, T)`; float32."""
        dtype = self.harmonics.weight.dtype
        spectrum, levels = self.spectra(audio.float()).to(dtype), self.levels(audio.float()).to(dtype)
        padded = functional.pad(spectrum, (0, OFFSETS[-1] + CANDIDATES - GRID))
        inputs = padded.unfold(-1, STEPS, 1).index_select(-2, self.places).flatten(-2).unflatten(-1, (POSITIONS, -1))
        found = torch.relu_(self.harmonics(inputs).add_(self.bias))  # (B, N, P, C)
        for around, near, mix in zip(AROUND, self.near, self.mix, strict=True):
            about = near(found.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            found = found[:, around : found.shape[1] - around] + torch.relu_(mix(about))
        scores = self.candidates(found).unflatten(-1, (2, STEPS))  # (B, N, P, 2, STEPS)
        best = scores.float().amax(dim=(-2, -1))
        share = best.softmax(dim=-1).to(dtype)
        chosen = (share[:, :, None] @ found).squeeze(2)
        summary = torch.stack([best.amax(dim=-1), best.mean(dim=-1)], dim=-1).to(dtype)
        pairs = self.pair(torch.cat([chosen, 0.1 * summary], dim=-1))
        frames = torch.relu(pairs.unflatten(-1, (2, HIDDEN)).flatten(1, 2) + self.frame(levels)).transpose(1, 2)
        for dilation, layer in zip(DILATIONS, self.frames, strict=True):
            around = 2 * dilation
            frames = frames[..., around : frames.shape[-1] - around] + torch.relu_(layer(frames))
        voicing, creak = self.heads(frames.transpose(1, 2)).float().unbind(dim=-1)
        inner = scores[:, FRAMES_AROUND // 2 : scores.shape[1] - FRAMES_AROUND // 2]
        return inner.transpose(2, 3).flatten(3).flatten(1, 2).float(), voicing, creak

    def spectra(self, audio: Tensor) -> Tensor:
        """The log spectrum of pairs over its envelope, `(B, N, GRID)`."""
        spectrum = torch.fft.rfft(audio.unfold(-1, WINDOW, 2 * HOP) * self.window)
        levels = _levels(power_of(spectrum), WINDOW)
        grid = torch.cat(
            [levels[..., first:last] @ getattr(self, f"interpolation{n}") for n, (first, last) in enumerate(EDGES)],
            dim=-1,
        )
        bands = grid.unflatten(-1, (BANDS, GRID // BANDS)).mean(dim=-1)
        return grid - functional.interpolate(bands, GRID, mode="linear")  # through the middles of the bands

    def levels(self, audio: Tensor) -> Tensor:
        """Levels of frames in mel bands, `(B, T + 2 FRAMES_AROUND, MELS)`: 0 for silence, 1 for 43 dB more."""
        first = BEFORE - FFT // 2 - FRAMES_AROUND * HOP
        spectrum = torch.fft.rfft(audio[..., first : audio.shape[-1] - first].unfold(-1, FFT, HOP) * self.short_window)
        return _levels(power_of(spectrum) @ self.mels, FFT)

    def f0(self, scores: Tensor) -> Tensor:
        """F0 in Hz `(B, T)`: the mean of the candidates within a semitone of the best, in octaves, by probability."""
        number = scores.argmax(dim=-1, keepdim=True) + torch.arange(-NEAR, NEAR + 1, device=scores.device)
        outside = (number < 0) | (number >= CANDIDATES)
        number = number.clamp(0, CANDIDATES - 1)
        share = scores.gather(-1, number).masked_fill(outside, -math.inf).softmax(dim=-1)
        return torch.exp2((share * self.octaves[number]).sum(dim=-1)).clamp(LOWEST, HIGHEST)


def samples_of(frames: int) -> int:
    """Samples that are needed to measure an even number of frames."""
    return (frames - 2 + 2 * MARGIN) * HOP + WINDOW


def _levels(power: Tensor, window: int) -> Tensor:
    """Tenths of natural logarithms of power over that of a sine at the floor, in a Hann window of so many samples; 0 is
    silence."""
    return 0.1 * torch.log1p(power / (FLOOR * window / 4) ** 2)


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
