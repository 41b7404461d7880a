import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from echo_asr.audio.segment import AudioSegment
from echo_asr.decode import cutting
from echo_asr.decode.cutting import (
    CheckedPiece,
    Clip,
    Least,
    cut_recording,
    join_pieces,
    least_values,
    without_other_texts,
)
from echo_asr.decode.placing import Piece
from echo_asr.decode.results import Segment, Token, Transcription
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.segments import SegmentConfig
from echo_asr.errors import EchoError
from echo_asr.features.voice import UNKNOWN, Voice
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.script import make_script
from tests.helpers.recognised import segments_of

SCRIPT = make_script([(1, "One two, three four."), (2, "Five six"), (3, ""), (4, "seven eight.")], normalize_basic)
GOOD, BAD, LEAST = math.log(0.8), math.log(0.01), Least(math.log(0.1), 0.45)


def piece(
    start: float, end: float, *words: int, score: float = GOOD, alike: float = 0.9, error: str = ""
) -> CheckedPiece:  # noqa: E501
    recognized = " ".join(SCRIPT.words[word].normal for word in words) or "uh huh"
    return CheckedPiece(Piece(start, end, words, recognized, alike if words else 0.0), score, error)


def spans(clips: tuple[Clip, ...]) -> list[tuple[float, float, str]]:
    return [(clip.start, clip.end, clip.text) for clip in clips]


def test_pieces_are_joined_over_short_pauses_within_a_paragraph_up_to_the_longest() -> None:
    pieces = [
        piece(0.0, 1.0, 0, 1),
        piece(1.2, 2.0, 2, 3),
        piece(2.5, 3.0, 4),
        piece(3.1, 4.0, 5),
        piece(4.1, 5.0, 6, 7),
    ]
    cut = join_pieces(SCRIPT, pieces, LEAST, SegmentConfig(), 5.0)
    joined = [(0.0, 2.0, "One two, three four."), (2.5, 4.0, "Five six"), (4.1, 5.0, "seven eight.")]
    assert spans(cut.clips) == joined and cut.unspoken == () and cut.unwritten == ()
    shorter = join_pieces(SCRIPT, pieces, LEAST, SegmentConfig(longest=1.5), 5.0)
    assert [clip.text for clip in shorter.clips] == ["One two,", "three four.", "Five six", "seven eight."]
    whole = join_pieces(SCRIPT, pieces, LEAST, SegmentConfig(pause=1.0), 5.0)
    assert [clip.text for clip in whole.clips] == ["One two, three four. Five six", "seven eight."]


def test_what_is_in_one_of_them_alone_is_listed_and_divides_clips() -> None:
    pieces = [piece(0.0, 1.0, 0), piece(1.1, 1.2), piece(1.3, 1.4), piece(1.5, 2.0, 1), piece(2.1, 3.0, 4, 5)]
    cut = join_pieces(SCRIPT, pieces, LEAST, SegmentConfig(), 5.0)
    assert [clip.text for clip in cut.clips] == ["One", "two,", "Five six"]
    assert cut.unwritten == ((1.1, 1.4, "uh huh uh huh"),)
    assert cut.unspoken == ((2, 3), (6, 7))


def test_improbable_texts_beside_a_difference_lose_their_words_and_others_are_doubtful() -> None:
    pieces = [
        piece(0.0, 1.0, 0, 1),
        piece(2.0, 3.0, 2, score=BAD),  # a changed word between good ones
        piece(4.0, 5.0, 3),
        piece(6.0, 7.0, 4, score=BAD),  # before speech without a text
        piece(8.0, 9.0),
        piece(10.0, 11.0, 5, score=BAD),  # and after it
        piece(12.0, 13.0, 7),
    ]
    kept = without_other_texts(SCRIPT, pieces, LEAST)
    assert [one.piece.words for one in kept] == [(0, 1), (2,), (3,), (), (), (), (7,)]
    cut = join_pieces(SCRIPT, kept, LEAST, SegmentConfig(), 13.0)
    assert [bool(clip.doubt) for clip in cut.clips] == [False, True, False, False]
    assert cut.unspoken == ((4, 6),) and [row[:2] for row in cut.unwritten] == [(6.0, 11.0)]


def test_an_improbable_end_of_the_text_is_not_spoken() -> None:
    pieces = [piece(0.0, 1.0, *range(6)), piece(2.0, 3.0, 6, score=BAD)]  # the last word is missing
    assert [one.piece.words for one in without_other_texts(SCRIPT, pieces, LEAST)] == [tuple(range(6)), ()]
    pieces[1] = piece(2.0, 3.0, 6, 7, score=BAD)
    assert without_other_texts(SCRIPT, pieces, LEAST) == pieces


@pytest.mark.parametrize(
    ("one", "doubt"),
    [
        (piece(0.0, 1.0, 0, score=BAD), "the text is improbable"),
        (piece(0.0, 1.0, 0, alike=0.3), "little of the text was recognised"),
        (piece(0.0, 1.0, 0, score=BAD, error="no symbol for 'x'"), "no symbol for 'x'"),
        (piece(0.0, 1.0, 0), ""),
    ],
)
def test_doubts_are_named(one: CheckedPiece, doubt: str) -> None:
    others = [piece(2.0 * number, 2.0 * number + 1.0, number) for number in (1, 2, 3)]
    cut = join_pieces(SCRIPT, [one, *others], LEAST, SegmentConfig(), 10.0)
    assert [clip.doubt for clip in cut.clips] == [doubt, "", "", ""]
    assert len(cut.clips) == 4 and cut.unspoken == ((4, 7),)  # nothing is lost


def test_a_text_that_is_altogether_another_is_doubtful() -> None:
    segments = segments_of(["one two", "three four"])  # recognised with a probability of 0.9
    right = [piece(0.0, 1.0, 0, score=math.log(0.5)), piece(2.0, 3.0, 1, score=math.log(0.3))]
    other = [piece(0.0, 1.0, 0, score=math.log(0.02)), piece(2.0, 3.0, 1, score=math.log(0.03))]
    assert min(one.score for one in right) > least_values(right, segments).score
    assert max(one.score for one in other) < least_values(other, segments).score


class Stub:
    """Recognises given texts, and aligns others with a probability of 0.9 where they are these, 0.001 elsewhere."""

    def __init__(self, texts: list[str]) -> None:
        self.segments = segments_of(texts)
        self.decode = DecodeConfig()
        self.pauses: list[float] = []

    def voice(self, sources: list[Any]) -> Voice:
        return UNKNOWN

    def transcribe_each(self, sources: list[Any], voices: list[Voice]) -> Iterator[tuple[int, Any]]:
        self.pauses.append(self.decode.segments.pause)
        yield from ((0, segment) for segment in self.segments)
        yield 0, Transcription("", self.segments[-1].end + 1.0, tuple(self.segments))

    def align_each(self, sources: list[AudioSegment], texts: list[str]) -> Iterator[Segment | EchoError]:
        for source, text in zip(sources, texts, strict=True):
            if "§" in text:
                yield EchoError(f"{source}: text {text!r}: the tokenizer has no symbol for '§' (U+00A7); correct it")
                continue
            assert source.duration is not None
            inside = [s for s in self.segments if source.start <= s.start < source.start + source.duration]
            same = normalize_basic(text) == " ".join(segment.text for segment in inside)
            yield Segment(0.0, 1.0, text, (), (Token("a", 0.0, 1.0, 0.9 if same else 0.001),))


def cut_with(stub: Stub, script: list[str], monkeypatch: pytest.MonkeyPatch, **recording: Any) -> cutting.CutRecording:
    monkeypatch.setattr(cutting, "settle_edges", lambda recognizer, recording, script, pieces, voice: pieces)
    aligned = lambda recognizer, sources, texts, voices: stub.align_each(sources, texts)  # noqa: E731
    monkeypatch.setattr(cutting, "align_each", aligned)
    source = AudioSegment(Path("a.wav"), **recording) if recording else Path("a.wav")
    return cut_recording(stub, source, make_script(enumerate(script, 1), normalize_basic))  # type: ignore[arg-type]


SPOKEN = ["the boat came in at dawn", "nobody was on the shore", "they tied it to a post", "and went up to the house"]


def test_a_recording_is_cut_by_its_script(monkeypatch: pytest.MonkeyPatch) -> None:
    script = ["The boat came in at dawn.", "Nobody was on the shore.", "", "It rained all morning long.", "",
              "They tied it to a post,", "and went up to the house."]  # fmt: skip
    stub = Stub([SPOKEN[0], SPOKEN[1], "wait is this thing on", *SPOKEN[2:]])
    cut = cut_with(stub, script, monkeypatch)
    assert [clip.text for clip in cut.clips] == [script[0], script[1], script[5], script[6]]
    assert [(clip.start, clip.end) for clip in cut.clips] == [
        (s.start, s.end) for s in stub.segments if "wait" not in s.text
    ]  # noqa: E501
    assert [clip.doubt for clip in cut.clips] == [""] * 4
    assert cut.unspoken == ((11, 15),) and [row[2] for row in cut.unwritten] == ["wait is this thing on"]
    assert stub.pauses == [0.3] and stub.decode == DecodeConfig()


def test_an_unknown_character_makes_a_clip_doubtful_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = cut_with(Stub(SPOKEN), [SPOKEN[0], SPOKEN[1].replace("shore", "shore §"), *SPOKEN[2:]], monkeypatch)
    assert [clip.doubt for clip in cut.clips].count("") == 3
    assert "no symbol for '§'" in cut.clips[1].doubt and "a.wav" not in cut.clips[1].doubt


def test_times_in_a_part_of_a_file_are_aligned_there(monkeypatch: pytest.MonkeyPatch) -> None:
    stub, seen = Stub(SPOKEN), list[AudioSegment]()
    later = Stub(SPOKEN)
    later.segments = [replace(segment, start=segment.start + 10.0) for segment in stub.segments]
    monkeypatch.setattr(
        stub, "align_each", lambda sources, texts: (seen.extend(sources), later.align_each(sources, texts))[1]
    )  # noqa: E501
    cut = cut_with(stub, SPOKEN, monkeypatch, start=10.0, duration=60.0, channel=1)
    assert [clip.doubt for clip in cut.clips] == [""] * 4
    assert [(one.start, one.channel) for one in seen] == [(segment.start + 10.0, 1) for segment in stub.segments]


def test_an_unlike_text_loses_its_words_beside_a_difference_alone() -> None:
    pieces = [piece(0.0, 1.0, 0, 1), piece(2.0, 3.0, 2, alike=0.3), piece(4.0, 5.0, 3), piece(6.0, 7.0, *range(4, 8))]
    assert without_other_texts(SCRIPT, pieces, LEAST) == pieces
    pieces[2] = piece(4.0, 5.0)
    assert [one.piece.words for one in without_other_texts(SCRIPT, pieces, LEAST)] == [(0, 1), (), (), (4, 5, 6, 7)]


def test_a_word_alone_between_differences_loses_its_place_and_many_do_not() -> None:
    pieces = [piece(0.0, 1.0), piece(2.0, 3.0, 1), piece(4.0, 5.0), piece(6.0, 7.0, 3, 4, 5, 6), piece(8.0, 9.0)]
    assert [one.piece.words for one in without_other_texts(SCRIPT, pieces, LEAST)] == [(), (), (), (3, 4, 5, 6), ()]


def test_a_long_text_that_was_not_recognised_and_is_improbable_is_another() -> None:
    pieces = [piece(0.0, 1.0, 0), piece(2.0, 3.0, 1, 2, 3, 4, score=BAD, alike=0.2), piece(4.0, 5.0, 5, 6, 7)]
    assert [one.piece.words for one in without_other_texts(SCRIPT, pieces, LEAST)] == [(0,), (), (5, 6, 7)]
