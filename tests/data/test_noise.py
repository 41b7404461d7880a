import numpy as np
import pytest
import scipy.signal
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.data.noise import AUDIBLE, KINDS, OTHER_KINDS, Kind, OtherKind, noise_clip
from echo_asr.errors import EchoError

RATE = 16_000  # Hz


def density(kind: Kind, seconds: float = 60.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and power density in dB, by Welch's method."""
    frequencies, power = scipy.signal.welch(noise_clip(kind, seconds, seed), RATE, nperseg=8192)
    return frequencies, 10 * np.log10(power + 1e-30)


def slope(kind: Kind, lowest: float, highest: float, bands: int = 24) -> float:
    """Decibels an octave between two frequencies in Hz, by least squares on a log frequency axis."""
    frequencies, level = density(kind)
    edges = np.geomspace(lowest, highest, bands + 1)
    band_of = np.digitize(frequencies, edges) - 1
    levels = [level[band_of == band].mean() for band in range(bands)]
    centres = np.sqrt(edges[1:] * edges[:-1])
    return scipy.stats.linregress(np.log2(centres), levels).slope


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from((*KINDS, *OTHER_KINDS)),
    seconds=st.floats(1e-5, 1.5),
    seed=st.integers(0, 2**32),
    level=st.floats(-100.0, 0.0),
)
def test_every_clip_has_its_length_and_level(kind: Kind | OtherKind, seconds: float, seed: int, level: float) -> None:
    clip = noise_clip(kind, seconds, seed, level)
    assert clip.dtype == np.float32 and clip.shape == (max(1, round(seconds * RATE)),)
    peak, rms = np.abs(clip).max(), np.sqrt(np.mean(clip.astype(float) ** 2))
    if kind == "silence":
        assert not clip.any()
    elif peak < 0.999:
        assert 20 * np.log10(rms) == pytest.approx(level, abs=1e-3)
    else:  # as loud as it goes without clipping
        assert peak <= 1.0 and 20 * np.log10(rms) <= level + 1e-3
    assert np.array_equal(clip, noise_clip(kind, seconds, seed, level))


@pytest.mark.parametrize("kind", (*AUDIBLE, *OTHER_KINDS))
def test_seeds_give_different_clips(kind: Kind | OtherKind) -> None:
    assert not np.array_equal(noise_clip(kind, 0.5, 1), noise_clip(kind, 0.5, 2))


@pytest.mark.parametrize(("kind", "expected"), [("white", 0.0), ("pink", -3.01), ("brown", -6.02)])
def test_the_colours_fall_as_theory_says(kind: Kind, expected: float) -> None:
    assert slope(kind, 40, 7500) == pytest.approx(expected, abs=0.1)  # dB an octave
    frequencies, level = density(kind)
    within = level[(frequencies > 25) & (frequencies < 7900)].max()
    assert level[frequencies < 10].max() < within - 20  # dB; nothing wanders below 20 Hz
    assert abs(scipy.stats.kurtosis(noise_clip(kind, 20.0, 3))) < 0.3  # Gaussian


def test_a_room_rumbles_and_falls_off() -> None:
    assert slope("room", 25, 80, bands=4) == pytest.approx(0.0, abs=0.5)
    # The density of a one-pole low pass at 400 Hz, 1 / (1 + (f / 400)^2):
    frequencies, level = density("room")
    low = level[(frequencies > 25) & (frequencies < 80)].mean()
    for frequency in (400.0, 1600.0, 6400.0):
        near = np.abs(np.log2(np.maximum(frequencies, 1) / frequency)) < 0.1
        theory = -10 * np.log10(1 + (frequency / 400) ** 2)
        assert level[near].mean() - low == pytest.approx(theory, abs=0.7)  # dB


@pytest.mark.parametrize("seed", range(6))
def test_hum_is_mains_and_its_harmonics(seed: int) -> None:
    spectrum = np.abs(np.fft.rfft(noise_clip("hum", 1.0, seed)))  # bins of 1 Hz
    peaks = np.flatnonzero(spectrum > 1e-3 * spectrum.max())
    mains = peaks[0]
    assert mains in (50, 60) and spectrum.argmax() == mains
    assert (peaks % mains == 0).all() and peaks.size >= 3


@pytest.mark.parametrize("seed", range(6))
def test_a_tone_is_one_steady_line(seed: int) -> None:
    clip = noise_clip("tone", 1.0, seed)
    spectrum = np.abs(np.fft.rfft(clip * np.hanning(clip.size))) ** 2
    peak = int(spectrum.argmax())
    assert 99 <= peak <= 4001  # Hz
    assert spectrum[peak - 3 : peak + 4].sum() > 0.999 * spectrum.sum()


def test_clicks_are_short_and_mostly_nothing() -> None:
    clip = noise_clip("clicks", 20.0, 0)
    assert scipy.stats.kurtosis(clip) > 20  # a Gaussian has 0
    loud = np.abs(clip) > 0.05 * np.abs(clip).max()
    onsets = np.flatnonzero(np.diff(np.flatnonzero(loud)) > 0.02 * RATE).size + 1
    assert 30 <= onsets <= 90  # 60 expected
    assert (clip == 0).mean() > 0.9
    assert noise_clip("clicks", 0.01, 5).any()  # one at least


def test_what_is_mixed_is_of_many_courses() -> None:
    """Clips differ in how their loudness goes; one sound alone, as a tone or noise, would keep its level."""
    clips = np.stack([noise_clip("mixed", 2.0, seed) for seed in range(40)]).reshape(40, 40, -1)
    swing = np.ptp(10 * np.log10(np.mean(clips**2, axis=2) + 1e-12), axis=1)  # dB, of 50 ms
    assert (swing < 6).any() and (swing > 20).any()
    assert len(np.unique(swing.round(2))) == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("purple", 1.0, 0, -40.0), r"kind is 'purple'; expected one of: silence, white"),
        (("white", 0.0, 0, -40.0), r"seconds is 0\.0; expected a duration above 0"),
        (("white", float("nan"), 0, -40.0), r"seconds is nan"),
        (("white", 1.0, -1, -40.0), r"seed is -1; expected 0 or more"),
        (("white", 1.0, 0, 3.0), r"level_db is 3\.0; expected -120 to 0 dBFS"),
        (("white", 1.0, 0, float("nan")), r"level_db is nan"),
    ],
)
def test_arguments_that_are_wrong(arguments: tuple, message: str) -> None:
    with pytest.raises(EchoError, match=message):
        noise_clip(*arguments)
