"""Phrases of files of annotations: whole milliseconds, whatever the times of a transcription are."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.annotations.phrases import Phrase, TimedWord
from echo_asr.decode.phrases import make_phrases
from echo_asr.decode.results import Segment, Transcription, Word
from echo_asr.text.linebreak import clean_text
from tests.helpers.transcriptions import random_transcription

TIMES = st.one_of(st.floats(-1, 5), st.sampled_from((0.0, 0.0004, 0.0005, 1.0, float("nan"), float("inf"))))
TEXTS = st.sampled_from(("", " ", "a", "một hai", "b\nc", "\x00"))
WORDS = st.builds(Word, TEXTS, TIMES, TIMES, st.floats(0, 1))
SEGMENTS = st.builds(Segment, TIMES, TIMES, TEXTS, st.lists(WORDS, max_size=4).map(tuple))


@given(st.lists(SEGMENTS, max_size=6).map(tuple), st.floats(0, 5))
@settings(max_examples=40, deadline=None)
def test_all_last_a_millisecond_and_none_overlap(segments: tuple[Segment, ...], duration: float) -> None:
    phrases = make_phrases(Transcription("", duration, segments))
    texts = [text for segment in segments if (text := clean_text(segment.text))]
    assert [phrase.text for phrase in phrases] == texts
    assert all(0 <= phrase.start < phrase.end for phrase in phrases)
    assert all(first.end <= second.start for first, second in pairwise(phrases))
    for phrase in phrases:
        assert all(phrase.start <= word.start < word.end <= phrase.end and word.text for word in phrase.words)
        assert all(first.end <= second.start for first, second in pairwise(phrase.words))


def test_times_are_those_of_the_transcription() -> None:
    """Moved by no more than rounding, and by a millisecond for each neighbour that is shorter than one."""
    for seed in range(30):
        found = random_transcription(seed)
        for phrase, segment in zip(make_phrases(found), found.segments, strict=True):
            assert abs(phrase.start - 1000 * segment.start) < 4 and abs(phrase.end - 1000 * segment.end) < 4
            assert len(phrase.words) in (len(segment.words), 0)
            assert [word.text for word in phrase.words] == segment.text.split()[: len(phrase.words)]
            assert len(phrase.words) == len(segment.words) or phrase.end - phrase.start < len(segment.words)


def test_words_and_their_confidences() -> None:
    words = (Word("a", 0.5, 0.75, 0.9146), Word("b", 0.75, 0.7501, float("nan")), Word("\n", 0.8, 0.9, 1.0))
    (phrase,) = make_phrases(Transcription("a b", 2.0, (Segment(0.25, 1.0, "a b", words),)))
    assert phrase == Phrase(250, 1000, "a b", (TimedWord(500, 750, "a", "0.91"), TimedWord(750, 751, "b", "")))


def test_a_phrase_that_is_too_short_for_its_words_has_none() -> None:
    words = tuple(Word(text, 0.1, 0.1, 1.0) for text in "abc")
    (phrase,) = make_phrases(Transcription("a b c", 2.0, (Segment(0.1, 0.102, "a b c", words),)))
    assert phrase == Phrase(100, 102, "a b c", ())
