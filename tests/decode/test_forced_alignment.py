"""Given and recognised texts, aligned with recordings of words whose times and F0 are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.forced_alignment import GivenText, align_given, align_recognized
from echo_asr.decode.syllables import AlignedSpeech, speaker_ranges, syllable_contours
from echo_asr.decode.transcribe import Recognizer, load
from echo_asr.errors import EchoError
from tests.helpers.tone_corpus import SHIFTS, WORDS, tone


@pytest.fixture(scope="module")
def recognizer(learnt: Path) -> Recognizer:
    return load(learnt, "cpu")


def test_contours_of_a_corpus_are_those_of_its_words(recognizer: Recognizer, corpus: Path) -> None:
    utterances = load_corpus(corpus).utterances
    given = [GivenText(u.audio, u.text, u.speaker, u.id) for u in utterances]
    done: list[int] = []
    speech = [one for one in align_given(recognizer, given, done.append) if isinstance(one, AlignedSpeech)]
    assert done[-1] == len(speech) == len(utterances)
    found = syllable_contours(speech, None)
    assert [one.base for one in found] == [word for u in utterances for word in u.text.split()]
    by_id = {u.id: u for u in utterances}
    near = []
    for one in found:
        utterance = by_id[one.utterance]
        place = 0.04 + 0.2 * (one.number - 1)  # seconds, where the word begins
        assert 0.0 <= one.start < one.end <= utterance.duration + 0.01
        assert one.start - 1e-9 <= one.times[0] < one.times[-1] <= one.end + 1e-9
        near.append(abs(one.start - place) < 0.1 and abs(one.end - place - 0.16) < 0.1)
        true = WORDS[one.base][0] * SHIFTS[utterance.split]
        if near[-1]:
            assert np.abs(12 * np.log2(one.f0 / true)).max() < 0.5  # semitones
    assert np.mean(near) > 0.9
    assert set(speaker_ranges(speech)) == {f"voice {shift:g}" for shift in SHIFTS.values()}


def test_times_of_a_segment_are_those_of_its_file(recognizer: Recognizer, tmp_path: Path) -> None:
    audio = np.concatenate((np.zeros(SAMPLE_RATE, np.float32), tone("a c")))
    soundfile.write(tmp_path / "a.wav", audio, SAMPLE_RATE)
    (found,) = align_given(recognizer, [GivenText(AudioSegment(tmp_path / "a.wav", 1.0), "a c")])
    assert isinstance(found, AlignedSpeech)
    first, second = syllable_contours([found], None)
    assert first.file == str(tmp_path / "a.wav") and 1.0 <= first.start < 1.15 < second.times[0] < 1.4
    assert np.median(second.f0) == pytest.approx(310, rel=0.02)


@pytest.mark.parametrize(
    ("text", "audio", "reason"),
    [
        ("a x", tone("a b"), "the tokenizer has no symbol for 'x'"),
        ("a b c a b c a b", tone("a"), "its text needs 15 encoder frames, and it has 6"),
        ("a", np.zeros(8000, np.float32), "is silent, and has the text 'a'"),
        ("a", np.tile(tone("a"), 510), "lasts 122 s; a text is aligned with up to 120 s"),
    ],
)
def test_what_cannot_be_aligned_is_named_and_the_others_are(
    recognizer: Recognizer, text: str, audio: np.ndarray, reason: str, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "bad.wav", audio, SAMPLE_RATE)
    given = [GivenText(tone("a"), "a"), GivenText(tmp_path / "bad.wav", text), GivenText(tone("b"), "b")]
    first, second, third = align_given(recognizer, given)
    assert isinstance(first, AlignedSpeech) and isinstance(third, AlignedSpeech)
    assert isinstance(second, EchoError) and f"bad.wav: {reason}"[:60] in str(second).replace("text 'a x': ", "")


def test_recognised_texts_of_long_recordings(recognizer: Recognizer, tmp_path: Path) -> None:
    pause = np.zeros(SAMPLE_RATE * 2, np.float32)
    soundfile.write(tmp_path / "a.wav", np.concatenate((tone("a b"), pause, tone("c"))), SAMPLE_RATE)
    found, missing = align_recognized(recognizer, [tmp_path / "a.wav", tmp_path / "no.wav"])
    assert isinstance(missing, EchoError) and "no.wav: no such file" in str(missing)
    assert isinstance(found, AlignedSpeech) and [name for name, _ in found.texts] == ["1", "2"]
    contours = syllable_contours([found], None)
    assert [(one.utterance, one.number, one.base) for one in contours] == [("1", 1, "a"), ("1", 2, "b"), ("2", 1, "c")]
    for one in contours:
        assert np.median(one.f0) == pytest.approx(WORDS[one.base][0], rel=0.02)
    assert contours[-1].start > 2.4
