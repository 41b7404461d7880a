"""Power spectra, mel filters and the zero-floored logarithm, in frames of 10 ms.

Shapes: `S` samples at 16 kHz, `T` frames of 10 ms, `M` mel bins.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from echo_asr.audio.convert import HOP, SAMPLE_RATE

WINDOW = 400  # samples, 25 ms, Hann
FFT = 512  # samples, the window centred in zeros
RANGE = 8.0  # decades of power, 80 dB, between the recording's peak (1) and silence (0)
ENERGY_FROM = 125.0  # Hz; frame power leaves out lower frequencies, so that DC or hum does not mask silence
TINY = 1e-30  # power, the least under a logarithm
CHUNK = 16_384  # frames transformed at a time, 164 s: 70 MB


def frame_levels(audio: np.ndarray, frames: int) -> np.ndarray:
    """Level of each frame of `audio` `(S,)`, from 125 Hz up: `(frames,)` dBFS, as in `FeatureExtractor`."""
    window = torch.hann_window(WINDOW)
    spectra = power_spectra(audio, frames, window, 256)  # what fits a processor's cache takes half the time
    power = torch.cat([mean_square(squared, window) for squared in spectra])
    return 10.0 * np.log10(np.maximum(power.double().numpy(), TINY))


def power_spectra(
    audio: np.ndarray, frames: int, window: torch.Tensor, chunk: int | None = None
) -> Iterator[torch.Tensor]:
    """Power spectra `(FFT/2 + 1, T)` of `frames` frames, `chunk` at a time; frame `t` is centred at sample `160 t`."""
    chunk = chunk or CHUNK
    before = FFT // 2
    padded = torch.zeros(max((frames - 1) * HOP + FFT, before + len(audio)))
    padded[before : before + len(audio)] = torch.from_numpy(audio)
    for start in range(0, frames, chunk):
        stop = min(start + chunk, frames)
        part = padded[start * HOP : (stop - 1) * HOP + FFT]
        spectrum = torch.stft(part, FFT, HOP, WINDOW, window, center=False, return_complex=True)
        yield power_of(spectrum).contiguous()


def power_of(spectrum: torch.Tensor) -> torch.Tensor:
    """The squared magnitudes of complex values."""
    return spectrum.real.square() + spectrum.imag.square()


def mean_square(squared: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """Mean square `(T,)` of frames from 125 Hz up, from their power spectra (Parseval)."""
    first = int(np.ceil(ENERGY_FROM * FFT / SAMPLE_RATE))
    return squared[first:].sum(dim=0) * (2 / FFT) / window.square().sum()


def zero_floored(power: torch.Tensor, lowest_peak: float) -> torch.Tensor:
    """`clip(log10(power) - (peak - 8), 0) / 8`, the peak at least `lowest_peak`: 0 for silence, at most 1."""
    decades = power.clamp(min=TINY).log10()
    peak = max(float(decades.max()), float(np.log10(max(lowest_peak, TINY))))
    return (decades - (peak - RANGE)).clamp(min=0.0, max=RANGE) / RANGE


def mel_edges(mels: int) -> np.ndarray:
    """Edges `(M + 2,)` in Hz, from 0 to 8000, of filters equally spaced in mel; filter `m` peaks at `m + 1`.

    Slaney's scale (Auditory Toolbox, 1998), linear to 1000 Hz and logarithmic above; librosa's default.
    """
    step, corner, log_step = 200.0 / 3, 1000.0, np.log(6.4) / 27  # Hz a mel, Hz, log Hz a mel
    top = corner / step + np.log(SAMPLE_RATE / 2 / corner) / log_step  # mel
    mel = np.linspace(0.0, top, mels + 2)
    logarithmic = corner * np.exp(log_step * (mel - corner / step))
    return np.where(mel < corner / step, mel * step, logarithmic)


def mel_filters(mels: int) -> np.ndarray:
    """Triangular filters `(M, FFT/2 + 1)` float32 of equal area between `mel_edges`."""
    edges = mel_edges(mels)
    bins = np.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1)  # Hz
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - lower) / (centre - lower), (upper - bins) / (upper - centre)
    return (np.maximum(0.0, np.minimum(rising, falling)) * 2 / (upper - lower)).astype(np.float32)
