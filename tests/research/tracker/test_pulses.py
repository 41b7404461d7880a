"""Voices that a pitch tracker is trained on have the F0 that is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from echo_asr.features.pitch import AutocorrelationTracker
from echo_asr.research.tracker.pulses import FREQUENCIES, SIZE, Speech, minimum_phase, synthesise
from echo_asr.research.tracker.resynthesis import lpc_speech
from echo_asr.research.tracker.voices import random_voice
from tests.helpers.voices import syllables, voice


def flat(f0: np.ndarray, voiced: float = 1.0, noise: float = 0.0) -> Speech:
    steps, zeros = len(f0), np.zeros(len(f0))
    tract = np.ones((steps, len(FREQUENCIES)))
    return Speech(f0, np.full(steps, voiced), tract, noise * tract, zeros, zeros, zeros, zeros, np.ones(steps))


@pytest.mark.parametrize("hz", [70.0, 123.4, 310.0])
def test_pulses_come_at_the_frequency_that_is_asked_for(hz: float) -> None:
    audio = synthesise(flat(np.full(400, hz)), np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(audio[1000:-1000] * np.hanning(len(audio) - 2000)))
    frequencies = np.fft.rfftfreq(len(audio) - 2000, 1 / 16000)
    near = (frequencies > 9.5 * hz) & (frequencies < 10.5 * hz)
    assert frequencies[near][spectrum[near].argmax()] == pytest.approx(10 * hz, abs=1.0)


def test_pulses_and_noise_have_the_power_of_their_filters() -> None:
    rng = np.random.default_rng(0)
    assert np.mean(synthesise(flat(np.full(400, 150.0)), rng) ** 2) == pytest.approx(1.0, rel=0.1)
    assert np.mean(synthesise(flat(np.full(400, 150.0), 0.0, 0.5), rng) ** 2) == pytest.approx(0.25, rel=0.1)


def test_minimum_phase_keeps_magnitudes_and_comes_early() -> None:
    magnitude = 1.0 / np.abs(1.0 - 0.95 * np.exp(-1j * np.pi * FREQUENCIES / 8000))[None]
    found = minimum_phase(magnitude)
    np.testing.assert_allclose(np.abs(found), magnitude, rtol=1e-3)
    response = np.fft.irfft(found[0], SIZE)
    np.testing.assert_allclose(response[:20], 0.95 ** np.arange(20), atol=1e-3)


def test_a_random_voice_has_the_contour_that_is_said_of_it() -> None:
    near = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        speech = random_voice(480, rng)
        found = AutocorrelationTracker()(synthesise(speech, rng), 240)[0]
        known = (speech.voiced > 0.05) & (speech.creak == 0) & (speech.sure == 1) & (speech.f0 > 65) & (speech.f0 < 350)
        both = known[::2] & (found > 0)
        near.append(np.abs(np.log2(found[both] / speech.f0[::2][both])) < 0.05)
    assert np.concatenate(near).mean() > 0.9


def test_a_recording_gets_the_f0_that_is_said_of_it() -> None:
    rng = np.random.default_rng(5)
    speech = lpc_speech(voice(*syllables(150.0, 2.0)), rng)
    found = AutocorrelationTracker()(synthesise(speech, rng), len(speech.f0) // 2)[0]
    f0 = speech.f0[::2][: len(found)]
    both = (speech.voiced[::2][: len(found)] > 0.9) & (found > 0) & (f0 > 65) & (f0 < 480)
    assert both.sum() > 40 and np.median(np.abs(1200 * np.log2(found[both] / f0[both]))) < 20
