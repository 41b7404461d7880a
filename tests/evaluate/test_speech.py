"""The probability that a text was spoken, fitted to clips and to sounds without speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from echo_asr.data.noise import OTHER_KINDS, noise_clip
from echo_asr.decode.load import load_recognizer
from echo_asr.decode.results import Segment
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.speech import CROWD_SECONDS, FEWEST, crowds, fit_speech, in_noise, sounds_without_speech
from tests.helpers.tone_corpus import tone

SAID = ("a", "b", "c", "a b", "b c", "c a")


@pytest.fixture
def recognizer(learnt: Path) -> Recognizer:
    return load_recognizer(learnt)


def test_sounds_are_told_from_speech(recognizer: Recognizer) -> None:
    clips = [tone(text, 0.97 + 0.01 * turn) for turn in range(6) for text in SAID]
    speech = [recognizer.extractor(clip) for clip in clips]
    noisy = [recognizer.extractor(in_noise(clip, number)) for number, clip in enumerate(clips)]
    sounds = [*sounds_without_speech()[:120], *crowds(clips)]
    fitted = fit_speech(recognizer, recognizer.recognize(speech), [*speech, *noisy], map(recognizer.extractor, sounds))
    assert fitted is not None and fitted.samples >= len(clips) * 2
    recognizer.bundle.speech = fitted
    assert all(one.text for one in recognizer.recognize(speech))
    others = [noise_clip(kind, 1.0, 7 + seed, -20.0) for kind in OTHER_KINDS for seed in range(8)]
    assert sum(bool(one.text) for one in recognizer.recognize([recognizer.extractor(one) for one in others])) <= 1


def test_of_few_texts_nothing_is_known(recognizer: Recognizer) -> None:
    few = [Segment(0.0, 1.0, "a", evidence=9.0)] * (FEWEST - 1) + [Segment(0.0, 1.0, "")] * 9
    assert fit_speech(recognizer, few, [recognizer.extractor(tone("a"))], [recognizer.extractor(tone("b"))]) is None


def test_noise_is_as_far_below_as_is_said() -> None:
    audio = 0.1 * np.sin(np.arange(16_000) / 5).astype(np.float32)
    for number in range(12):
        noise = in_noise(audio, number) - audio
        below = 10 * np.log10(np.mean(audio**2) / np.mean(noise**2))
        assert 4.5 < below < 20.5 and np.array_equal(in_noise(audio, number), audio + noise)


def test_a_crowd_has_several_voices_at_once_however_short_their_recordings_are() -> None:
    clips = [tone("a"), np.ones(7, np.float32), np.zeros(3, np.float32)]
    for made in crowds(clips):
        assert CROWD_SECONDS[0] <= len(made) / 16_000 <= CROWD_SECONDS[1] + 1e-3
        assert np.isfinite(made).all() and np.abs(made).max() <= 0.8 and made.dtype == np.float32
    assert all(np.array_equal(a, b) for a, b in zip(crowds(clips), crowds(clips), strict=True))
