import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.results import Segment, Transcription, Word
from echo_asr.decode.subtitles import LINE, LONGEST, SHORTEST, Cue, make_cues, segment_spans
from echo_asr.text.linebreak import display_width

NAN = math.nan


def say(text: str, start: float = 0.0, second: float = 0.3, **pauses: float) -> Segment:
    """A segment in which each word takes `second`, and is followed by a pause of that name (seconds) or none."""
    words, now = [], start
    for word in text.split():
        words.append(Word(word, now, now + second, 0.9))
        now += second + pauses.get(word.strip(",."), 0.0)
    return Segment(start, words[-1].end, text, tuple(words))


def cues_of(*segments: Segment, duration: float = 100.0) -> list[Cue]:
    return make_cues(Transcription(" ".join(s.text for s in segments), duration, segments))


def lines_of(*segments: Segment) -> list[tuple[str, ...]]:
    return [cue.lines for cue in cues_of(*segments)]


def times_of(*segments: tuple[float, float], duration: float = 100.0) -> list[tuple[int, int]]:
    """Start and end (ms) of the cues of segments (s) of one word."""
    found = cues_of(*(Segment(start, end, "word") for start, end in segments), duration=duration)
    return [(cue.start, cue.end) for cue in found]


def test_what_fits_is_one_cue_with_the_times_of_its_words() -> None:
    segment = say("one two three four", start=1.0)
    assert cues_of(segment) == [Cue(1000, 2200, ("one two three four",))]
    padded = Segment(0.5, 4.0, segment.text, segment.words)
    assert cues_of(padded) == [Cue(1000, 2200, ("one two three four",))]
    assert cues_of(Segment(0.5, 4.0, segment.text)) == [Cue(500, 4000, ("one two three four",))]


def test_lines_are_even_with_the_longer_one_below() -> None:
    assert lines_of(say("aaaa " * 10)) == [(("aaaa " * 5).strip(), ("aaaa " * 5).strip())]
    assert lines_of(say("aaaa " * 11)) == [(("aaaa " * 5).strip(), ("aaaa " * 6).strip())]


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), min_size=2, max_size=12))
def test_no_other_break_makes_lines_more_even(sizes: list[int]) -> None:
    words = ["x" * size for size in sizes]
    (lines, *others) = lines_of(say(" ".join(words), second=0.1))
    pairs = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]
    fitting = [(len(a), len(b)) for a, b in pairs if len(a) <= LINE and len(b) <= LINE]
    if len(" ".join(words)) <= LINE:
        assert lines == (" ".join(words),) and not others
    elif fitting:
        assert not others, "two lines hold it"
        assert abs(len(lines[0]) - len(lines[1])) == min(abs(a - b) for a, b in fitting)
    else:
        assert others


def test_lines_break_at_punctuation_that_is_near() -> None:
    assert lines_of(say("when he came home that day, nobody was there to see him")) == [
        ("when he came home that day,", "nobody was there to see him"),
    ]
    assert lines_of(say("Oh. She has been there before now, and will be again then")) == [
        ("Oh. She has been there before now,", "and will be again then"),
    ], "the comma, not the full stop that is far off"
    assert lines_of(say("the quick brown fox jumps over the lazy dog, and then it goes home", second=0.2)) == [
        ("the quick brown fox jumps over the", "lazy dog, and then it goes home"),
    ], "the comma is at column 44"


def test_a_long_segment_is_cut_at_its_longest_pause() -> None:
    text = " ".join(f"word{n:02d}" for n in range(20))  # 139 columns
    assert [" ".join(lines).split()[0] for lines in lines_of(say(text, word08=0.8))] == ["word00", "word09"]
    assert [" ".join(lines).split()[0] for lines in lines_of(say(text, word11=0.8))] == ["word00", "word12"]
    assert [" ".join(lines).split()[0] for lines in lines_of(say(text))] == ["word00", "word10"], "else evenly"
    both = lines_of(say(text, word08=0.4, word11=0.8))
    assert [" ".join(lines).split()[0] for lines in both] == ["word00", "word12"], "the longer of two"
    cues = cues_of(say(text, word08=0.8, word11=0.4))
    assert (cues[0].end, cues[1].start) == (2700, 3500), "the pause is dark"


def test_a_long_segment_is_cut_after_punctuation() -> None:
    text = "aaa bbb ccc ddd eee fff ggg hhh iii jjj kkk lll mmm nnn ooo ppp qqq rrr sss ttt uuu vvv www xxx yyy zzz"
    for word in ("jjj", "ppp"):
        for mark in ".,?":
            first = lines_of(say(text.replace(word, word + mark)))[0]
            assert first[-1].endswith(word + mark)
            quoted = lines_of(say(text.replace(word, word + mark + "”")))[0]
            assert quoted[-1].endswith(word + mark + "”")
    both = lines_of(say(text.replace("kkk", "kkk,").replace("ooo", "ooo.")))[0]
    assert both[-1].endswith("ooo."), "a sentence's end rather than a clause's"


def test_no_cue_is_cut_so_small_that_it_flashes() -> None:
    text = "so. " + " ".join(["worded"] * 12)  # 87 columns, 83 without `so.`
    assert len(lines_of(say(text, start=5.0, second=0.2))[0]) == 2, "not `so.` alone for 0.2 s"


def test_what_takes_long_to_say_is_cut_too() -> None:
    cues = cues_of(say("one two three four", second=0.5, two=6.5))
    assert [(cue.start, cue.end, *cue.lines) for cue in cues] == [(0, 1000, "one two"), (7500, 8500, "three four")]
    assert cues_of(Segment(0.0, 20.0, "hm")) == [Cue(0, LONGEST, ("hm",))]
    assert len(cues_of(say("one two", second=3.4))) == 1
    words = (Word("so", 1.0, 1.9, 0.9), Word("hm", 2.0, 12.0, 0.9), Word("no", 12.5, 13.0, 0.9))
    cues = cues_of(Segment(1.0, 13.0, "so hm no", words))
    assert [(cue.start, cue.end, *cue.lines) for cue in cues] == [
        (1000, 2000, "so"),
        (2000, 9000, "hm"),
        (12_500, 13_500, "no"),
    ], "a word that is longer than a cue may be is alone"


def test_characters_share_the_time_where_words_have_none() -> None:
    text = "abcd " * 32  # four to a second
    assert [(cue.start, cue.end) for cue in cues_of(Segment(10.0, 18.0, text))] == [(10_000, 14_000), (14_000, 18_000)]
    wrong = Segment(10.0, 18.0, text, (Word("something", 10.0, 10.1, 0.5), Word("else", 10.1, 10.2, 0.5)))
    assert cues_of(wrong) == cues_of(Segment(10.0, 18.0, text)), "words that are not the text's"


def test_words_need_not_be_those_between_spaces() -> None:
    """Chinese in words of one or two characters, or with their spaces, as Whisper writes them."""
    text = "今天天气很好" * 10  # 120 columns
    words = tuple(Word(text[i : i + 2], i * 0.1, i * 0.1 + 0.1, 1.0) for i in range(0, 60, 2))
    first, second = cues_of(Segment(0.0, 50.0, text, words))
    assert (first.start, second.start, second.end) == (0, 3000, 5900)
    spaced = tuple(Word(f" {word.word}", word.start, word.end, 1.0) for word in say("one two").words)
    assert cues_of(Segment(0.0, 9.0, "one two", spaced)) == [Cue(0, 1000, ("one two",))]


def test_chinese_breaks_anywhere_but_before_closing_punctuation() -> None:
    """Two columns a character: a line holds 21."""
    assert lines_of(Segment(0.0, 6.0, "好" * 21)) == [("好" * 21,)]
    assert lines_of(Segment(0.0, 6.0, "好" * 22)) == [("好" * 11, "好" * 11)]
    assert lines_of(Segment(0.0, 6.0, "好" * 11 + "，" + "好" * 11)) == [("好" * 11 + "，", "好" * 11)]
    assert lines_of(Segment(0.0, 6.0, "好" * 21 + "。")) == [("好" * 11, "好" * 10 + "。")], "not 。 alone"
    assert lines_of(Segment(0.0, 6.0, "好" * 15 + " " + "好" * 10)) == [("好" * 15, "好" * 10)], "best at a space"
    halves = [("好" * 11, "好" * 11)] * 2
    assert lines_of(Segment(0.0, 6.0, "好" * 44)) == halves


def test_a_word_longer_than_a_line_is_cut_between_characters() -> None:
    assert lines_of(Segment(0.0, 6.0, "n" * 42)) == [("n" * 42,)]
    assert lines_of(Segment(0.0, 6.0, "n" * 50)) == [("n" * 25, "n" * 25)]
    assert lines_of(Segment(0.0, 6.0, "ने" * 50)) == [("ने" * 25, "ने" * 25)], "and not before its mark"


def test_cues_are_held_until_they_can_be_read() -> None:
    assert times_of((1.0, 1.2), (5.0, 5.2)) == [(1000, 2000), (5000, 6000)]
    assert times_of((1.0, 1.2), (1.5, 3.0)) == [(1000, 1500), (1500, 3000)], "or until the next"
    assert times_of((1.0, 9.0), (9.0, 9.5)) == [(1000, 8000), (9000, 10_000)], "and no longer than that"


def test_two_cues_are_apart_by_two_frames_or_not_at_all() -> None:
    assert times_of((1.0, 3.0), (3.08, 5.0)) == [(1000, 3000), (3080, 5000)]
    assert times_of((1.0, 3.0), (3.079, 5.0)) == [(1000, 3079), (3079, 5000)]
    assert times_of((11.0, 13.0), (13.05, 15.0)) == [(11_000, 13_050), (13_050, 15_000)]
    assert times_of((1.0, 1.2), (2.05, 5.0)) == [(1000, 2050), (2050, 5000)]
    assert times_of((1.0, 7.98), (8.01, 9.5)) == [(1000, 7930), (8010, 9500)], "closing it would make it too long"
    assert times_of((1.0, 3.0), duration=3.05) == [(1000, 3000)], "to the end there is no next one"


def test_nothing_goes_beyond_the_recording() -> None:
    assert times_of((1.0, 2.5), (2.6, 2.8), duration=3.0) == [(1000, 2500), (2500, 3000)]
    assert times_of((1.0, 1.5), (2.6, 2.8), duration=3.0) == [(1000, 2000), (2000, 3000)], "it begins early instead"
    assert times_of((1.5, 1.6), (2.6, 2.8), duration=3.0) == [(1500, 2500), (2500, 3000)], "but not too early"
    assert times_of((1.0, 9.0), duration=3.0) == [(1000, 3000)]
    assert times_of((5.0, 9.0), duration=3.0) == [(2000, 3000)]
    assert times_of((0.1, 0.3), duration=0.5) == [(0, SHORTEST)], "unless it is shorter than a cue"


def test_cues_that_would_begin_together_share_the_time_until_the_next() -> None:
    assert times_of((4.0, 6.0), (4.0, 6.0), (6.0, 8.0)) == [(4000, 5000), (5000, 6000), (6000, 8000)]
    assert times_of(*3 * [(4.0, 4.0)], (4.6, 8.0)) == [(4000, 4200), (4200, 4400), (4400, 4600), (4600, 8000)]
    first = [(0, 2000), (2000, 3000)]
    assert times_of((0.0, 2.0), (2.0, 3.0), *2 * [(4.0, 4.0)], (4.6, 8.0)) == [
        *first,
        (4000, 4300),
        (4300, 4600),
        (4600, 8000),
    ]
    assert times_of(*3 * [(4.0, 4.0)]) == [(4000, 5000), (5000, 6000), (6000, 7000)]


def test_segments_that_overlap_or_run_backwards() -> None:
    assert times_of((1.0, 4.0), (3.0, 6.0)) == [(1000, 3000), (3000, 6000)]
    assert times_of((5.0, 7.0), (3.0, 9.0)) == [(5000, 6000), (6000, 9000)]
    assert times_of((5.0, 3.0), (9.0, 11.0)) == [(5000, 6000), (9000, 11_000)]
    assert times_of((-3.0, 2.0), (4.0, 6.0)) == [(0, 2000), (4000, 6000)]


def test_times_that_are_no_numbers() -> None:
    assert times_of((NAN, 2.0), (3.0, NAN)) == [(0, 2000), (3000, 10_000)]
    assert times_of((1.0, math.inf), (3.0, 5.0)) == [(1000, 3000), (3000, 5000)]
    assert times_of((1.0, 2.0), (3.0, 5.0), duration=NAN) == [(1000, 2000), (3000, 5000)]
    assert times_of((NAN, NAN), duration=NAN) == [(0, SHORTEST)]
    words = (Word("one", NAN, 1.0, NAN), Word("two", 2.0, NAN, 0.5))
    assert cues_of(Segment(0.5, 4.0, "one two", words)) == [Cue(500, 4000, ("one two",))]


def test_a_text_without_segments_counts_as_one() -> None:
    assert make_cues(Transcription("one two", 3.0)) == [Cue(0, 3000, ("one two",))]
    assert segment_spans(Transcription("one two", 3.0)) == [(0, 3000, "one two", ())]
    assert make_cues(Transcription("", 3.0)) == [] == segment_spans(Transcription(" ", 3.0))


def test_segments_without_text_are_left_out() -> None:
    found = Transcription("a b", 9.0, (Segment(0, 1, "a"), Segment(1, 5, " \n"), Segment(6, 7, "b")))
    assert segment_spans(found) == [(0, 1000, "a", ()), (6000, 7000, "b", ())]
    assert [cue.lines for cue in make_cues(found)] == [("a",), ("b",)]


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 15), st.integers(100, 900), st.integers(0, 2000)), min_size=1, max_size=30),
        min_size=1,
        max_size=4,
    )
)
def test_words_are_shown_when_they_are_said(speech: list[list[tuple[int, int, int]]]) -> None:
    """Segments of words: letters, length and the pause after it in ms."""
    now, segments = 0, []
    for sizes in speech:
        words = []
        for size, length, pause in sizes:
            words.append(Word("x" * size, now / 1000, (now + length) / 1000, 1.0))
            now += length + pause
        segments.append(Segment(words[0].start, words[-1].end, " ".join(w.word for w in words), tuple(words)))
    cues = cues_of(*segments, duration=now / 1000 + 1)
    spoken = [word for segment in segments for word in segment.words]
    for cue in cues:
        said, spoken = spoken[: len(" ".join(cue.lines).split())], spoken[len(" ".join(cue.lines).split()) :]
        assert [word.word for word in said] == " ".join(cue.lines).split()
        assert cue.start == round(said[0].start * 1000)
        assert cue.end >= round(said[-1].end * 1000) - 80 or said[-1].end - said[0].start > LONGEST / 1000
        assert said[-1].end - said[0].start <= LONGEST / 1000 or len(said) == 1
    assert not spoken
    assert all(before.end <= after.start for before, after in pairwise(cues))


def test_long_segments_are_cut_through_and_through() -> None:
    cues = cues_of(Segment(0.0, 1000.0, "好" * 4000), duration=1000.0)
    assert "".join(line for cue in cues for line in cue.lines) == "好" * 4000
    assert len(cues) == pytest.approx(1000 / 7, rel=0.1), "each nearly as long as may be"
    assert len(cues_of(Segment(0.0, 1000.0, "word " * 4000), duration=1000.0)) == pytest.approx(4000 / 16, rel=0.1)
    assert all(display_width(line) <= LINE for lines in lines_of(Segment(0.0, 9.0, "好a" * 500)) for line in lines)
