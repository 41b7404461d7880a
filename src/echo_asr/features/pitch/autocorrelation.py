"""F0 and periodicity by autocorrelation, without weights.

Shapes: `S` samples at 16 kHz, `T` frames; frame `t` is centred at sample `160 t`.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from echo_asr.audio.convert import HOP, SAMPLE_RATE
from echo_asr.features.pitch.track import PitchTracker


class AutocorrelationTracker(PitchTracker):
    """Boersma's method: the autocorrelation of a windowed frame over that of the window, and a Viterbi path.

    P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of
    a sampled sound", IFA Proceedings 17, 1993. Frames are batched in torch. It differs in two points: peaks
    are refined by a parabola, not by sinc interpolation, and each frame has a fixed number of candidates.
    """

    name = "autocorrelation"
    version = "1"
    LOWEST = 60.0  # Hz; the window is three periods of it
    HIGHEST = 500.0  # Hz; above, a first formant may be taken for F0
    WINDOW = int(3 * SAMPLE_RATE / LOWEST)  # samples, 50 ms
    FFT = 2048  # samples, at least 1.5 windows
    CANDIDATES = 6
    VOICING_THRESHOLD = 0.45  # normalised autocorrelation
    SILENCE_THRESHOLD = 0.03  # of the recording's peak
    SILENCE_PEAK = 1e-3  # full scale, -60 dBFS: below it nothing is voiced
    OCTAVE_COST = 0.01  # strength an octave, favours the higher of two equals
    JUMP_COST = 0.35  # strength an octave between frames
    VOICING_COST = 0.14  # strength at a change of voicing
    CHUNK = 4096  # frames at a time: 32 MB

    def __call__(self, audio: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
        half = self.WINDOW // 2
        needed = (frames - 1) * HOP + self.WINDOW
        padded = np.zeros(max(needed, half + len(audio)), dtype=np.float32)
        padded[half : half + len(audio)] = audio
        windows = torch.from_numpy(padded).unfold(0, self.WINDOW, HOP)[:frames]
        loudest = float(np.abs(audio).max())  # full scale
        parts = [self._candidates(part, loudest) for part in windows.split(self.CHUNK)]
        lag, strength, unvoiced = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        chosen = self._path(lag, strength, unvoiced)
        rows = np.arange(frames)
        voiced = chosen < self.CANDIDATES
        picked = np.minimum(chosen, self.CANDIDATES - 1)
        f0 = np.where(voiced, SAMPLE_RATE / lag[rows, picked], 0.0)
        periodicity = np.where(voiced, strength[rows, picked], strength.max(axis=1))
        return f0.astype(np.float32), np.clip(periodicity, 0.0, 1.0).astype(np.float32)

    def _candidates(self, windows: torch.Tensor, loudest: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Lags in samples and strengths `(T, CANDIDATES)`, and the strength of being unvoiced `(T,)`."""
        windows = windows - windows.mean(dim=1, keepdim=True)
        hann = torch.hann_window(self.WINDOW, periodic=False)
        window_correlation = self._correlate(hann[None])
        shortest, longest = int(SAMPLE_RATE / self.HIGHEST), math.ceil(SAMPLE_RATE / self.LOWEST)
        correlation = self._correlate(windows * hann)[:, : longest + 2] / window_correlation[:, : longest + 2]
        left, middle, right = (correlation[:, shortest + i : longest + i + 1] for i in (-1, 0, 1))
        curvature = (2 * middle - left - right).clamp(min=1e-12)
        offset = ((right - left) / (2 * curvature)).clamp(-0.5, 0.5)  # samples, of the parabola's top
        height = middle + 0.25 * (right - left) * offset
        is_peak = (middle > left) & (middle >= right) & (middle > 0)
        lag = torch.arange(shortest, longest + 1) + offset
        strength = torch.where(is_peak, height.clamp(max=1.0), 0.0)
        favour = self.OCTAVE_COST * torch.log2(SAMPLE_RATE / (self.LOWEST * lag))
        ranked = torch.where(is_peak, strength + favour, -1.0)
        best = ranked.topk(self.CANDIDATES, dim=1).indices
        peak = windows.abs().amax(dim=1)
        quiet = peak < self.SILENCE_PEAK
        loudness = peak / max(loudest, self.SILENCE_PEAK)
        silence = (2 - loudness * (1 + self.VOICING_THRESHOLD) / self.SILENCE_THRESHOLD).clamp(min=0)
        strength = torch.where(quiet[:, None], 0.0, strength.gather(1, best))
        return lag.gather(1, best), strength, self.VOICING_THRESHOLD + silence

    def _correlate(self, frames: torch.Tensor) -> torch.Tensor:
        """Autocorrelation `(T, lags)`, 1 at lag 0."""
        power = torch.fft.rfft(frames, self.FFT).abs().square()
        correlation = torch.fft.irfft(power, self.FFT)
        return correlation / correlation[:, :1].clamp(min=1e-12)

    def _path(self, lag: np.ndarray, strength: np.ndarray, unvoiced: np.ndarray) -> np.ndarray:
        """The candidate `(T,)` of each frame on the strongest path (Viterbi); `CANDIDATES` means unvoiced."""
        octaves = np.log2(SAMPLE_RATE / lag)
        # Lags that are not peaks (strength 0) are excluded.
        gain = np.where(strength > 0, strength + self.OCTAVE_COST * octaves, -1e6)
        gain = np.concatenate([gain, (unvoiced + self.OCTAVE_COST * math.log2(self.LOWEST))[:, None]], axis=1)
        step = np.full((self.CANDIDATES + 1, self.CANDIDATES + 1), self.VOICING_COST)
        step[-1, -1] = 0.0
        score, origin = gain[0], np.zeros(gain.shape, dtype=np.int64)
        for frame in range(1, len(gain)):
            step[:-1, :-1] = self.JUMP_COST * np.abs(octaves[frame - 1][:, None] - octaves[frame])
            total = score[:, None] - step
            origin[frame] = total.argmax(axis=0)
            score = total.max(axis=0) + gain[frame]
        path = np.empty(len(gain), dtype=np.int64)
        path[-1] = score.argmax()
        for frame in range(len(gain) - 1, 0, -1):
            path[frame - 1] = origin[frame, path[frame]]
        return path
