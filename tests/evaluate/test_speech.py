"""The probability that a text was spoken, fitted to clips and to sounds without speech."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from echo_asr.data.batch import Example
from echo_asr.data.corpus import Utterance
from echo_asr.data.noise import OTHER_KINDS, noise_clip
from echo_asr.decode.load import load_recognizer
from echo_asr.decode.results import Segment
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.speech import FEWEST, LEVELS, QUIET, SECONDS, crowds, fit_speech, noisy, sounds_without_speech
from echo_asr.model.checkpoint import load_bundle
from echo_asr.train.validation import calibrate
from tests.helpers.tone_corpus import tone

SAID = ("a", "b", "c", "a b", "b c", "c a")


@pytest.fixture
def recognizer(learnt: Path) -> Recognizer:
    return load_recognizer(learnt)


def test_sounds_are_told_from_speech(recognizer: Recognizer) -> None:
    clips = [tone(text, 0.97 + 0.01 * turn) for turn in range(6) for text in SAID]
    speech = [recognizer.extractor(clip) for clip in clips]
    in_noise = [recognizer.extractor(noisy(clip, number)) for number, clip in enumerate(clips)]
    sounds = [*sounds_without_speech()[:120], *crowds(clips)[:40]]
    fitted = fit_speech(
        recognizer, recognizer.recognize(speech), [*speech, *in_noise], map(recognizer.extractor, sounds)
    )
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
        noise = noisy(audio, number) - audio
        below = 10 * np.log10(np.mean(audio**2) / np.mean(noise**2))
        assert 4.5 < below < 20.5 and np.array_equal(noisy(audio, number), audio + noise)


def test_a_crowd_has_several_voices_at_once_however_short_their_recordings_are() -> None:
    clips = [tone("a"), np.ones(7, np.float32), np.zeros(3, np.float32)]
    for made in crowds(clips):
        assert SECONDS[0] <= len(made) / 16_000 <= SECONDS[1] + 2 * QUIET[1] + 1e-3
        assert np.isfinite(made).all() and np.abs(made).max() <= 1.001 and made.dtype == np.float32
        assert np.sqrt(np.mean(made**2)) <= 1.01 * 10 ** (LEVELS[1] / 20)
    assert all(np.array_equal(a, b) for a, b in zip(crowds(clips), crowds(clips), strict=True))


def test_texts_in_clips_that_have_none_say_nothing_about_speech(
    recognizer: Recognizer, learnt: Path, tmp_path: Path
) -> None:
    """Of a validation split of many such clips and few with speech it is not known what is usual."""
    run = shutil.copytree(learnt, tmp_path / "run")
    features = [recognizer.extractor(tone(text)) for text in SAID for _ in range(FEWEST // len(SAID) + 1)]
    examples = [
        Example(
            Utterance(str(number), tone("a"), text, "", "validation", 0.24),
            text,
            tuple(recognizer.bundle.tokenizer.encode(text)),
        )
        for number, text in enumerate(["a", *[""] * (len(features) - 1)])
    ]
    calibrate(run, recognizer.decode, torch.device("cpu"), examples, features, [], [], lambda _: None, warnings.warn)
    assert load_bundle(run).speech is None
