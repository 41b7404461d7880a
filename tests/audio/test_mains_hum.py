"""Hum of the mains is taken away, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from echo_asr.audio.mains_hum import remove_hum
from echo_asr.features import FeatureExtractor
from tests.helpers.voices import syllables, voice

RATE = 16_000


def hum(seconds: float, frequency: float, seed: int = 0) -> np.ndarray:
    """The mains and seven harmonics, of an RMS of one."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    strengths = np.concatenate([[1.0], random.uniform(0.02, 0.5, 7)])
    phases = random.uniform(0, 2 * np.pi, 8)
    turns = 2 * np.pi * frequency * np.arange(1, 9)[:, None] * time + phases[:, None]
    signal: np.ndarray = strengths @ np.sin(turns)
    return signal / np.sqrt(np.mean(signal**2))


def spoken(seconds: float, base: float = 150.0) -> np.ndarray:
    return voice(*syllables(base, seconds))


def db(signal: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(signal, dtype=np.float64)) + 1e-12))


@settings(max_examples=25, deadline=None)
@given(
    mains=st.sampled_from([50.0, 60.0]),
    stray=st.floats(-0.15, 0.15),
    seconds=st.floats(0.8, 6.0),
    level=st.floats(-25.0, 0.0),
    seed=st.integers(0, 99),
)
@example(mains=60.0, stray=-0.119, seconds=3.37, level=-16.0, seed=26)  # its harmonics were taken for the voice's
@example(mains=50.0, stray=0.0, seconds=3.0, level=-16.0, seed=0)
def test_of_hum_under_speech_little_is_left(
    mains: float, stray: float, seconds: float, level: float, seed: int
) -> None:
    speech = spoken(seconds)
    signal = hum(seconds, mains + stray, seed)[: len(speech)] * 10 ** ((db(speech) + level) / 20)
    left = remove_hum((speech + signal).astype(np.float32)) - speech
    assert db(left) < max(db(signal) - 10.0, db(speech) - 25.0)


@pytest.mark.parametrize("f0", [50.5, 75.0, 100.0, 120.0, 150.0, 180.0, 200.0, 240.0, 300.0])
def test_a_steady_voice_at_a_multiple_of_the_mains_stays(f0: float) -> None:
    """Without a pause, as a sung note; at 50 Hz itself it would pass for hum."""
    time = np.arange(2 * RATE) / RATE
    audio = np.sum([0.2 / n * np.sin(2 * np.pi * f0 * n * time) for n in range(1, 9)], axis=0).astype(np.float32)
    assert remove_hum(audio) is audio


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.2, 0.5, 1.0, 9.0, 17.0])
@pytest.mark.parametrize("kind", ["speech", "noise", "silence"])
def test_without_hum_the_very_samples_come_back(kind: str, seconds: float) -> None:
    size = int(seconds * RATE)
    noise = 0.1 * np.random.default_rng(1).standard_normal(size)
    audio = {"speech": spoken(17.0)[:size], "noise": noise, "silence": np.zeros(size)}[kind].astype(np.float32)
    assert remove_hum(audio) is audio


def test_digital_silence_around_does_not_hide_it() -> None:
    speech, signal = spoken(1.5), hum(1.5, 50.0) * 0.02
    edge = np.zeros(RATE)
    cleaned = remove_hum(np.concatenate([edge, speech + signal, edge]).astype(np.float32))
    assert db(cleaned[RATE:-RATE] - speech) < db(signal) - 10.0


def test_a_long_recording_may_have_it_in_a_part() -> None:
    speech = spoken(24.0)
    signal = hum(24.0, 60.03) * 0.03 * (np.arange(24 * RATE) >= 16 * RATE)
    cleaned = remove_hum((speech + signal).astype(np.float32))
    np.testing.assert_array_equal(cleaned[: 16 * RATE], speech[: 16 * RATE].astype(np.float32))
    assert db(cleaned[16 * RATE :] - speech[16 * RATE :]) < db(signal[16 * RATE :]) - 12.0


@pytest.mark.parametrize("mains", [50.0, 59.95])
def test_it_passes_for_no_voice(mains: float) -> None:
    """10 dB below it: pauses stay unvoiced, and voiced frames keep their F0."""
    speech = spoken(3.0)
    recognised = speech + hum(3.0, mains) * 10 ** ((db(speech) - 10.0) / 20)
    extract = FeatureExtractor()
    clean, found = (extract(audio.astype(np.float32)).pitch[0].numpy() for audio in (speech, recognised))
    assert (found[clean == 0] > 0).mean() < 0.05
    voiced = clean > 0
    assert (found[voiced] > 0).mean() > 0.9
    both = voiced & (found > 0)
    assert np.median(np.abs(np.log2(found[both] / clean[both]))) < 0.01
