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
from echo_asr.decode.load import load
from echo_asr.decode.syllables import AlignedSpeech, speaker_ranges, syllable_contours
from echo_asr.decode.transcribe import Recognizer
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
    for before, one in zip([None, *found], found, strict=False):
        utterance = by_id[one.utterance]
        assert 0.0 <= one.start < one.end <= utterance.duration + 0.01
        assert one.start - 1e-9 <= one.times[0] < one.times[-1] <= one.end + 1e-9
        assert before is None or before.utterance != one.utterance or before.end <= one.start
        if len(utterance.text) == 1:  # the model finds one word where it is, and two of them nearer to each other
            assert (one.start, one.end) == pytest.approx((0.04, 0.2), abs=0.05)
            true = WORDS[one.base][0] * SHIFTS[utterance.split]
            assert one.voiced.all() and np.abs(12 * np.log2(one.f0 / true)).max() < 0.5  # semitones
    assert set(speaker_ranges(speech)) == {f"voice {shift:g}" for shift in SHIFTS.values()}


def test_times_of_a_segment_are_those_of_its_file(recognizer: Recognizer, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.concatenate((np.zeros(SAMPLE_RATE, np.float32), tone("c"))), SAMPLE_RATE)
    (found,) = align_given(recognizer, [GivenText(AudioSegment(tmp_path / "a.wav", 1.0), "c")])
    assert isinstance(found, AlignedSpeech)
    (one,) = syllable_contours([found], None)
    assert one.file == str(tmp_path / "a.wav") and (one.start, one.end) == pytest.approx((1.04, 1.2), abs=0.05)
    assert one.times[0] > 1.0 and np.median(one.f0) == pytest.approx(310, rel=0.02)


@pytest.mark.parametrize(
    ("text", "audio", "reason"),
    [
        ("a x", tone("a b"), "the tokenizer has no symbol for 'x'"),
        ("a b c a b c a b", tone("a"), "its text is too long for 0.24 s: it takes 15 encoder frames, and there are 6"),
        ("a", np.zeros(8000, np.float32), "is silent, and has the text 'a'"),
        ("a", np.zeros(122 * SAMPLE_RATE, np.float32), "lasts 122 s, and a text is aligned with up to 120 s"),
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


def test_recognised_texts_of_recordings(recognizer: Recognizer, tmp_path: Path) -> None:
    done: list[int] = []
    for word in ("a", "c"):
        soundfile.write(tmp_path / f"{word}.wav", tone(word), SAMPLE_RATE)
    paths = [tmp_path / f"{name}.wav" for name in ("a", "no", "c")]
    first, missing, second = align_recognized(recognizer, paths, done.append)
    assert isinstance(missing, EchoError) and "no.wav: no such file" in str(missing) and done == [1, 2, 3]
    assert isinstance(first, AlignedSpeech) and isinstance(second, AlignedSpeech)
    for one, word in ((first, "a"), (second, "c")):
        (found,) = syllable_contours([one], None)
        assert (found.file, found.utterance, found.base) == (str(tmp_path / f"{word}.wav"), "1", word)
        assert np.median(found.f0) == pytest.approx(WORDS[word][0], rel=0.02)
