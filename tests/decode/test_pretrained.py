"""Transcribing with a model that reads the states of a pretrained encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from echo_asr.decode.given_texts import align_phrases
from echo_asr.decode.load import load_recognizer
from echo_asr.decode.results import Segment
from echo_asr.decode.transcribe import Recognizer
from tests.helpers.tone_corpus import tone

PAUSE = np.zeros(16_000, np.float32)


@pytest.fixture(scope="module")
def recognizer(learnt_states: Path) -> Recognizer:
    # Trained without pauses, so that none are left around segments.
    return load_recognizer(learnt_states, changes={"decode.beam": 2, "decode.segments.margin": 0.02})


@pytest.mark.parametrize("text", ["a", "b", "c", "a b", "c a"])
def test_it_transcribes(text: str, recognizer: Recognizer) -> None:
    assert recognizer.transcribe(tone(text, 1.01)).text == text


def test_a_long_recording_is_cut_at_its_pauses(recognizer: Recognizer, tmp_path: Path) -> None:
    texts = ["a b", "c", "b c", "a"]
    parts = [part for text in texts for part in (PAUSE, tone(text))]
    soundfile.write(tmp_path / "long.wav", np.concatenate([*parts, PAUSE]), 16_000)
    found = recognizer.transcribe(tmp_path / "long.wav")
    assert [segment.text for segment in found.segments] == texts
    at = 0.0
    for text, segment in zip(texts, found.segments, strict=True):
        at += 1.0
        assert segment.start < at + 0.04 and segment.end > at + len(tone(text)) / 16_000 - 0.04
        for number, (word, known) in enumerate(zip(segment.words, text.split(), strict=True)):
            assert word.word == known and abs((word.start + word.end) / 2 - (at + 0.12 + 0.2 * number)) < 0.1
        at += len(tone(text)) / 16_000


def test_silence_has_no_text(recognizer: Recognizer) -> None:
    assert recognizer.transcribe(np.zeros(32_000, np.float32)).text == ""


def test_a_given_text_is_aligned(recognizer: Recognizer) -> None:
    words = recognizer.align(tone("a c b"), "a c b").words
    assert [word.word for word in words] == ["a", "c", "b"]
    assert all(abs((word.start + word.end) / 2 - (0.12 + 0.2 * n)) < 0.1 for n, word in enumerate(words))


def test_a_text_is_aligned_with_a_long_recording(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held of it are states at the encoder's own rate; what each part is aligned with are those of a clip."""
    monkeypatch.setattr("echo_asr.decode.given_texts.LONGEST", 2.0)
    texts = ["a b", "c", "b c"]
    whole = np.concatenate([*(part for text in texts for part in (PAUSE, tone(text))), PAUSE])
    found = list(align_phrases(recognizer, [whole], [" ".join(texts)]))[0]
    segments = [one for one in found if isinstance(one, Segment)]
    assert [one.text for one in segments] == texts and len(found) == 3
    for one, text in zip(segments, texts, strict=True):
        (given,) = recognizer.transcribe(whole[round(one.start * 16_000) - 16_000 : round(one.end * 16_000)]).segments
        assert given.text == text
        for ours, alone in zip(one.words, given.words, strict=True):
            assert ours.start - one.start == pytest.approx(alone.start - given.start, abs=0.05)
            assert ours.probability == pytest.approx(alone.probability, abs=0.05)


def test_what_is_found_does_not_depend_on_what_is_decoded_with_it(recognizer: Recognizer) -> None:
    sounds = [tone("a"), tone("b c"), tone("c b")]
    alone = [recognizer.transcribe(sound) for sound in sounds]
    together = recognizer.transcribe(list(sounds))
    assert [one.text for one in together] == [one.text for one in alone] == ["a", "b c", "c b"]
    for one, other in zip(alone, together, strict=True):
        for ours, theirs in zip(one.segments[0].words, other.segments[0].words, strict=True):
            assert ours.start == theirs.start and ours.probability == pytest.approx(theirs.probability, abs=1e-3)


def test_pitch_alone_is_measured_without_the_encoder(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(recognizer.extractor.states), "of_each", lambda *_: pytest.fail("encoded"))
    features = recognizer.extractor.acoustic(tone("a"))
    assert features.states is None
    assert torch.equal(features.pitch, recognizer.extractor.measure_acoustic(tone("a")).pitch)


def test_nothing_is_loaded_after_the_warm_up(learnt_states: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = load_recognizer(learnt_states)
    recognizer.warm_up()
    monkeypatch.setattr("echo_asr.features.states.build", lambda *_: pytest.fail("built"))
    assert recognizer.transcribe(tone("a b")).text == "a b"
