from functools import partial

import numpy as np
import pytest

from echo_asr.audio.convert import HOP, SAMPLE_RATE
from echo_asr.data.psola import change_f0, flatten_f0, shift_semitones
from echo_asr.features.pitch import AutocorrelationTracker


def vowel(f0: np.ndarray, formants: tuple[float, ...] = (700.0, 1200.0, 2600.0)) -> np.ndarray:
    """Pulses at F0 `(S,)` in Hz through resonances of 80 Hz width: something like a vowel."""
    phase = np.cumsum(f0) / SAMPLE_RATE
    pulses = np.diff(np.floor(phase), prepend=0.0)
    out = pulses
    for formant in formants:
        radius = np.exp(-np.pi * 80.0 / SAMPLE_RATE)
        a, b = -2 * radius * np.cos(2 * np.pi * formant / SAMPLE_RATE), radius**2
        filtered = np.zeros(len(out))
        for n in range(len(out)):
            filtered[n] = out[n] - a * filtered[n - 1] * (n > 0) - b * filtered[n - 2] * (n > 1)
        out = filtered
    return (0.5 * out / np.abs(out).max()).astype(np.float32)


def measured(audio: np.ndarray) -> np.ndarray:
    """F0 `(T,)` in Hz of the inner frames, 0 where unvoiced."""
    frames = -(-len(audio) // HOP)
    return AutocorrelationTracker()(audio, frames)[0][5:-5]


def envelope(audio: np.ndarray) -> np.ndarray:
    """Log spectrum in dB, smoothed over about 300 Hz, so that harmonics are gone and formants are left."""
    power = np.abs(np.fft.rfft(audio)) ** 2
    width = int(300 * len(audio) / SAMPLE_RATE)
    smooth = np.convolve(power, np.hanning(width), "same")
    return 10 * np.log10(smooth[: int(4000 * len(audio) / SAMPLE_RATE)])


RISING = vowel(np.linspace(110.0, 170.0, 12_000))


@pytest.mark.parametrize("semitones", [-5.0, -2.0, 2.0, 5.0])
def test_pitch_moves_by_what_was_asked_and_nothing_else_does(semitones: float) -> None:
    shifted = shift_semitones(RISING, semitones)
    assert shifted.shape == RISING.shape and shifted.dtype == np.float32
    before, after = measured(RISING), measured(shifted)
    both = (before > 0) & (after > 0)
    assert both.mean() > 0.9
    moved = 12 * np.log2(after[both] / before[both])
    assert np.median(moved) == pytest.approx(semitones, abs=0.1)
    assert np.mean(np.abs(moved - semitones) < 0.5) > 0.9
    assert np.corrcoef(envelope(RISING), envelope(shifted))[0, 1] > 0.93, "formants stay"
    level = 10 * np.log10(np.mean(shifted**2) / np.mean(RISING**2))
    assert abs(level) < 3.0


def test_a_shift_by_nothing_gives_the_recording_back() -> None:
    assert np.abs(shift_semitones(RISING, 0.0) - RISING).max() < 1e-6


def test_a_flat_voice_stays_on_one_pitch() -> None:
    after = measured(flatten_f0(RISING))
    assert np.ptp(12 * np.log2(measured(RISING)[measured(RISING) > 0])) > 5
    voiced = after[after > 0]
    assert len(voiced) > 0.9 * len(after)
    assert np.ptp(np.quantile(12 * np.log2(voiced), (0.05, 0.95))) < 0.6


@pytest.mark.parametrize("size", [1, 2, 79, 161, 4000])
def test_what_has_no_pitch_is_left_alone(size: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, size).astype(np.float32)
    for change in (partial(shift_semitones, semitones=3.0), flatten_f0, partial(change_f0, change=lambda f0: f0)):
        out = change(noise)
        assert out.shape == noise.shape and np.isfinite(out).all()
    assert np.array_equal(shift_semitones(np.zeros(size, np.float32), 4.0), np.zeros(size))
