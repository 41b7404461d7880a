import json
import math
import os
import re
import unicodedata
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.formats import FORMATS, render, render_line
from echo_asr.decode.results import Segment, Transcription, Word
from echo_asr.errors import EchoError

TWO = Transcription(
    "mā <i>ni3</i> & 你好",
    4.5004,
    (
        Segment(
            0.12,
            1.70049,
            "mā <i>ni3</i>",
            (Word("mā", 0.12, 0.5, 0.98765), Word("<i>ni3</i>", 0.75, 1.70049, 1.0)),
            (),
            (("mā <i>ni3</i>", -0.51234), ("ma ni3", -3.0)),
        ),
        Segment(2.0, 2.4, "& 你好", (), (), (("& 你好", -1.0),)),
    ),
)
EMPTY = Transcription("", 2.0)
EMPTY_FILES = {
    "txt": "",
    "json": '{"file": "a.wav", "duration": 2.0, "text": "", "segments": []}\n',
    "srt": "",
    "vtt": "WEBVTT\n",
    "tsv": "start\tend\ttext\n",
    "ctm": "",
}
Parsed = list[tuple[int, int, list[str]]]  # of cues: start and end in ms, lines


def parse_srt(content: str) -> Parsed:
    """SubRip: number, `HH:MM:SS,mmm --> HH:MM:SS,mmm`, lines, then a blank line before the next number."""
    assert "\r" not in content
    if not content:
        return []
    assert content.endswith("\n") and not content.endswith("\n\n")
    cues = []
    for number, block in enumerate(content.removesuffix("\n").split("\n\n"), 1):
        head, timing, *lines = block.split("\n")
        assert head == str(number)
        cues.append((*parse_timing(timing, ","), lines))
    return cues


def parse_vtt(content: str) -> Parsed:
    """WebVTT (https://www.w3.org/TR/webvtt1/, section 4.1): the file body, then blocks between blank lines."""
    assert "\r" not in content and "\0" not in content
    header, *blocks = content.removesuffix("\n").split("\n\n")
    assert header == "WEBVTT" and content.endswith("\n") and not content.endswith("\n\n")
    cues = []
    for block in blocks:
        timing, *lines = block.split("\n")
        for line in lines:
            assert "-->" not in line and "<" not in line and ">" not in line
            assert re.fullmatch(r"(?:[^&]|&(?:amp|lt|gt);)*", line), "every & begins an entity"
        texts = [line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for line in lines]
        cues.append((*parse_timing(timing, "."), texts))
    return cues


def parse_timing(line: str, mark: str) -> tuple[int, int]:
    clock = rf"(\d\d+):([0-5]\d):([0-5]\d){re.escape(mark)}(\d\d\d)"
    match = re.fullmatch(f"{clock} --> {clock}", line, re.ASCII)
    assert match, line
    values = [int(group) for group in match.groups()]
    start, end = (((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (values[:4], values[4:]))
    return start, end


def columns(line: str) -> int:
    width = 0
    for character in line:
        if unicodedata.category(character) not in ("Mn", "Me", "Cf"):
            width += 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
    return width


def letters(text: str) -> str:
    """What must come through: all but white space and controls."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) != "Cc" and c != "\ufeff")


WORDS = st.lists(st.text("abcdefgh'.,<&ā", min_size=1, max_size=42), max_size=60).map(" ".join)
TEXTS = st.one_of(
    WORDS,
    st.text(st.characters(), max_size=120),
    st.text("ab c<>&-\n\t\x00\u2028\u00a0\u3000。你🇩🇪\u0301\u200d", max_size=200),
    st.text("abcdefgh", min_size=40, max_size=150),
    st.text("今天好，。", max_size=300),
)


@st.composite
def ordered(draw: Any, texts: st.SearchStrategy[str] = TEXTS) -> Transcription:
    """Segments in order, words in their segments; half of them without words."""
    now, segments = draw(st.integers(0, 400_000_000)), []  # ms, up to 111 hours
    for text in draw(st.lists(texts, max_size=5)):
        start, words = now, []
        for token in text.split() if draw(st.booleans()) else ():
            length, pause = draw(st.integers(0, 900)), draw(st.sampled_from((0, 10, 500, 3000)))
            words.append(Word(token, now / 1000, (now + length) / 1000, draw(st.floats(0, 1))))
            now += length + pause
        now += draw(st.integers(0, 20_000))
        segments.append(Segment(start / 1000, now / 1000, text, tuple(words)))
        now += draw(st.sampled_from((0, 1, 79, 80, 5000)))
    return Transcription(" ".join(s.text for s in segments), (now + draw(st.integers(0, 2000))) / 1000, tuple(segments))


TIMES = st.one_of(st.sampled_from((0.0, 1.0, 1.0001, -1.0, math.nan, math.inf, -math.inf, 1e300)), st.floats(0, 1e6))


@st.composite
def wild(draw: Any) -> Transcription:
    """Any times at all, and words that may not be the text's."""
    segments = []
    for text in draw(st.lists(TEXTS, max_size=5)):
        words = draw(st.sampled_from((text.split(), text.split()[1:], list(text), ["else"])))
        timed = tuple(Word(word, draw(TIMES), draw(TIMES), draw(TIMES)) for word in words[:20])
        segments.append(Segment(draw(TIMES), draw(TIMES), text, timed, (), (("a", draw(TIMES)), ("b", 0.0))))
    return Transcription(" ".join(s.text for s in segments), draw(TIMES), tuple(segments))


def check_cues(cues: Parsed, found: Transcription) -> None:
    for start, end, lines in cues:
        assert 0 <= start < end <= start + 7000
        assert 1 <= len(lines) <= 2
        assert all(0 < columns(line.strip()) <= 42 or not columns(line) and line.strip() for line in lines), lines
        assert all(line == line.strip() for line in lines)
    for (start, end, _), (following, _, _) in pairwise(cues):
        assert end <= following, "no overlap"
        assert end == following or following - end >= 80, "no flicker"
        assert end - start >= 1000 or end == following, "long enough where there is room"
    if cues:
        known = math.isfinite(found.duration * 1000) and round(found.duration * 1000) > 0
        ends = [found.duration] if known else [0, *(s.end for s in found.segments if math.isfinite(s.end * 1000))]
        latest = max(round(1000 * max(ends)), 1000, len(cues))
        assert cues[-1][1] <= latest, "not beyond the recording"
        assert cues[-1][1] - cues[-1][0] >= 1000 or cues[-1][1] == latest


@settings(max_examples=150, deadline=None)
@given(st.one_of(ordered(), wild()))
def test_subtitles_are_valid_whatever_was_heard(found: Transcription) -> None:
    vtt, srt = (render("a.wav", found, form) for form in ("vtt", "srt"))
    assert vtt.encode("utf-8") and srt.encode("utf-8").decode("utf-8") == srt
    cues = parse_vtt(vtt)
    check_cues(cues, found)
    assert letters("".join(line for *_, lines in cues for line in lines)) == letters(
        "".join(segment.text for segment in found.segments)
    )
    same = parse_srt(srt)
    assert [cue[:2] for cue in same] == [cue[:2] for cue in cues]
    assert [cue[2] for cue in same] == [[line.replace("-->", "→") for line in cue[2]] for cue in cues]
    assert srt.count("-->") == len(cues)


@settings(deadline=None)
@given(ordered(WORDS))
def test_words_that_fit_on_a_line_stay_whole(found: Transcription) -> None:
    for parsed in (parse_srt(render("a.wav", found, "srt")), parse_vtt(render("a.wav", found, "vtt"))):
        lines = [line for *_, lines in parsed for line in lines]
        assert " ".join(lines).split() == found.text.split()


@settings(max_examples=60, deadline=None)
@given(st.one_of(ordered(), wild()))
def test_the_other_formats_are_valid_whatever_was_heard(found: Transcription) -> None:
    spoken = [segment for segment in found.segments if letters(segment.text)]
    lines = render("a.wav", found, "txt").split("\n")
    assert lines.pop() == "" and [letters(line) for line in lines] == [letters(segment.text) for segment in spoken]
    header, *rows = render("a.wav", found, "tsv").removesuffix("\n").split("\n")
    assert header == "start\tend\ttext" and len(rows) == len(spoken)
    last = 0
    for row, segment in zip(rows, spoken, strict=True):
        start, end, text = row.split("\t")
        assert last <= int(start) <= int(end) and letters(text) == letters(segment.text)
        last = int(end)
    content = render("a.wav", found, "json")
    assert len(content.splitlines()) == 1 and content.encode("utf-8")

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    parsed = json.loads(content, parse_constant=refuse)
    assert [letters(s["text"]) for s in parsed["segments"]] == [letters(s.text) for s in found.segments]
    assert [len(s["words"]) for s in parsed["segments"]] == [len(s.words) for s in found.segments]


def test_txt() -> None:
    assert render("a.wav", TWO, "txt") == "mā <i>ni3</i>\n& 你好\n"


def test_json() -> None:
    line = (
        '{"file": "x/a.wav", "duration": 4.5, "text": "mā <i>ni3</i> & 你好", "segments": ['
        '{"start": 0.12, "end": 1.7, "text": "mā <i>ni3</i>", "words": ['
        '{"word": "mā", "start": 0.12, "end": 0.5, "probability": 0.9877}, '
        '{"word": "<i>ni3</i>", "start": 0.75, "end": 1.7, "probability": 1.0}], '
        '"alternatives": [{"text": "mā <i>ni3</i>", "score": -0.512}, {"text": "ma ni3", "score": -3.0}]}, '
        '{"start": 2.0, "end": 2.4, "text": "& 你好", "words": []}]}'
    )
    assert render("x/a.wav", TWO, "json") == line + "\n"
    assert render_line("x/a.wav", TWO, "json") == line


def test_srt() -> None:
    assert render("a.wav", TWO, "srt") == (
        "1\n00:00:00,120 --> 00:00:01,700\nmā <i>ni3</i>\n\n2\n00:00:02,000 --> 00:00:03,000\n& 你好\n"
    )


def test_vtt() -> None:
    assert render("a.wav", TWO, "vtt") == (
        "WEBVTT\n\n00:00:00.120 --> 00:00:01.700\nmā &lt;i&gt;ni3&lt;/i&gt;\n\n"
        "00:00:02.000 --> 00:00:03.000\n&amp; 你好\n"
    )


def test_tsv() -> None:
    assert render("a.wav", TWO, "tsv") == "start\tend\ttext\n120\t1700\tmā <i>ni3</i>\n2000\t2400\t& 你好\n"
    found = Transcription("a b c", 1.0, (Segment(0.0, 1.0, "a\tb\r\nc"),))
    assert render("a.wav", found, "tsv") == "start\tend\ttext\n0\t1000\ta b c\n"


def test_a_cue_of_two_lines() -> None:
    text = "the first of these lines is broken here, and then the second one follows"
    found = Transcription(text, 9.0, (Segment(1.0, 5.0, text),))
    assert render("a.wav", found, "srt") == (
        "1\n00:00:01,000 --> 00:00:05,000\nthe first of these lines is broken here,\nand then the second one follows\n"
    )


def test_arrows_are_not_taken_for_timings() -> None:
    found = Transcription("a --> b", 2.0, (Segment(0.0, 2.0, "a --> b"),))
    assert render("a.wav", found, "srt").endswith("\na → b\n")
    assert render("a.wav", found, "vtt").endswith("\na --&gt; b\n")


@pytest.mark.parametrize("form", EMPTY_FILES)
def test_nothing_heard(form: str) -> None:
    assert render("a.wav", EMPTY, form) == EMPTY_FILES[form]
    if form != "json":
        silent = Transcription("", 2.0, (Segment(0.0, 1.0, " "),))
        assert render("a.wav", silent, form) == EMPTY_FILES[form]


def test_hours() -> None:
    start = 123 * 3600 + 4 * 60 + 5.678
    found = Transcription("late", start + 60, (Segment(start, start + 2, "late"),))
    assert render("a.wav", found, "srt") == "1\n123:04:05,678 --> 123:04:07,678\nlate\n"
    assert render("a.wav", found, "vtt") == "WEBVTT\n\n123:04:05.678 --> 123:04:07.678\nlate\n"
    assert render("a.wav", found, "tsv").endswith(f"\n{123 * 3_600_000 + 245_678}\t{123 * 3_600_000 + 247_678}\tlate\n")
    assert parse_srt(render("a.wav", found, "srt"))[0][0] == round(start * 1000)


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9.wav"), "caf\ud800.wav"])
def test_a_name_that_is_no_utf8(name: str) -> None:
    for form in FORMATS:
        render(name, TWO, form).encode("utf-8")
    assert json.loads(render(name, TWO, "json"))["file"] == "caf?.wav"


def test_text_that_is_no_utf8_or_has_ends_of_lines() -> None:
    text = "a\ud800 b\n\u2028c\x85\x00d"
    found = Transcription(text, 2.0, (Segment(0.0, 2.0, text, (Word("a\ud800", 0.0, 1.0, 1.0),)),))
    for form in FORMATS:
        render("a.wav", found, form).encode("utf-8")
    assert render("a.wav", found, "txt") == "a? b c d\n" == render_line("a.wav", found, "txt") + "\n"
    content = render("a.wav", found, "json")
    assert len(content.splitlines()) == 1 and json.loads(content)["text"] == "a? b\n\u2028c\x85\x00d"


def test_json_has_null_for_what_is_no_number() -> None:
    found = Transcription("a", math.inf, (Segment(-0.0, math.nan, "a", (Word("a", 0.0, 1.0, math.nan),)),))
    content = render("a.wav", found, "json")
    assert '"duration": null' in content and '"start": 0.0, "end": null' in content and '"probability": null' in content


def test_lines_for_standard_output() -> None:
    assert render_line("a.wav", TWO, "txt") == "mā <i>ni3</i> & 你好"
    assert render_line("a.wav", EMPTY, "txt") == ""
    for form in ("json", "srt", "vtt", "tsv"):
        assert render_line("a.wav", TWO, form) + "\n" == render("a.wav", TWO, form)


def test_a_text_without_segments() -> None:
    found = Transcription("mā ni3", 1.5)
    assert render("a.wav", found, "txt") == "mā ni3\n"
    assert render("a.wav", found, "srt") == "1\n00:00:00,000 --> 00:00:01,500\nmā ni3\n"
    assert json.loads(render("a.wav", found, "json"))["segments"] == []


def test_an_unknown_format_is_reported() -> None:
    for write in (render, render_line):
        with pytest.raises(EchoError, match="format 'ass': there is no such format; choose one of txt, json, srt, vtt"):
            write("a.wav", TWO, "ass")
