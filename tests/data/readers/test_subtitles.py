"""Subtitles as editors and download sites write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import load_corpus
from echo_asr.data.readers.records import Problems
from echo_asr.data.readers.subtitles import clean, parse_subtitles
from echo_asr.decode.formats import render
from echo_asr.decode.results import Segment, Transcription
from echo_asr.errors import EchoError
from tests.helpers.corpora import load_without_broken

Put = Callable[..., Path]

SRT = """1
00:00:00,500 --> 00:00:01,250
<i>xin</i> chào

2
00:00:01,000 --> 00:00:02,000 X1:63 X2:223 Y1:43 Y2:58
{\\an8}- Một?
- Hai &amp; ba.

3
00:00:02,250-->00:00:02,500


4
0:0:2.5 --> 0:0:2.75
bốn

với một dòng trống
"""
VTT = """WEBVTT - a title

STYLE
::cue(b) { color: red }

NOTE
00:00 is no cue

intro
00:00.500 --> 00:01.250 align:start position:0%
<v.loud Lan Anh>Xin <00:00:00.900><c.yellow>chào</c></v>

00:01.000 --> 00:00:02.000
<v Lan>Một</v>
<v Minh>hai</v> &lt;ba&gt;

NOTE a comment after a cue

00:00:02.250 --> 00:00:02.500
<lang vi>bốn</lang> <ruby>漢<rt>hàn</rt></ruby> &nbsp;<3
"""


def found(spec: Path | str) -> list[tuple[str, str, str, float, float]]:
    rows = []
    for u in load_corpus(spec).utterances:
        assert isinstance(u.audio, AudioSegment)
        rows.append((u.id, u.text, u.speaker, round(u.audio.start, 3), round(u.audio.start + u.duration, 3)))
    return rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_srt(put: Put, encoding: str, end: str) -> None:
    """Numbers of cues, tags, settings, dots for commas, and empty lines within a text; an empty cue is not yet
    written."""
    put("film.wav", 3.0)
    path = put("film.srt", "")
    path.write_bytes(SRT.replace("\n", end).encode(encoding))
    with pytest.warns(UserWarning, match="1 of 4 texts empty, which is left out as not yet transcribed"):
        assert found(path) == [
            ("1", "xin chào", "", 0.5, 1.25),
            ("2", "- Một? - Hai & ba.", "", 1.0, 2.0),
            ("4", "bốn với một dòng trống", "", 2.5, 2.75),
        ]


def test_vtt(put: Put) -> None:
    """Hours may be missing; a voice is the speaker, two in one cue are none."""
    put("film.wav", 3.0)
    assert found(put("film.vtt", VTT)) == [
        ("1", "Xin chào", "Lan Anh", 0.5, 1.25),
        ("2", "Một hai <ba>", "", 1.0, 2.0),
        ("3", "bốn 漢 <3", "", 2.25, 2.5),
    ]


def test_latin_1(put: Put) -> None:
    put("film.wav", 3.0)
    path = put("film.srt", "")
    path.write_bytes("1\n00:00:00,500 --> 00:00:01,250\n\u201cél\u201d\n".encode("cp1252"))
    with pytest.warns(UserWarning, match=r"film\.srt is not UTF-8 and is read as Windows-1252"):
        assert found(path)[0][1] == "\u201cél\u201d"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I <3 you > me", "I <3 you > me"),
        ("<unk> [cough] <laugh>", "<unk> [cough] <laugh>"),  # no tags of subtitles: they are of the text
        ('<font color="#fff">a</font><br/>b\\Nc', "a b c"),
        ("<b>b</b><u>u</u> < i> <s>s</S>", "bu < i> s"),
        ("AT&T &copy &#233;&#xe9;", "AT&T &copy éé"),
        ("{y:i}{\\pos(1,2)}a", "{y:i}a"),
    ],
)
def test_tags_of_subtitles_alone_are_taken_out(text: str, expected: str) -> None:
    assert clean(text) == (expected, "")


TEXTS = st.lists(
    st.tuples(
        st.integers(0, 300), st.integers(50, 200), st.sampled_from(["xin chào", "Một, hai.", "漢字", "7", "a-b"])
    ),
    min_size=1,
    max_size=6,
)


@given(TEXTS, st.sampled_from(["srt", "vtt"]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_echo_writes_is_read(tmp_path: Path, drawn: list[tuple[int, int, str]], form: str) -> None:
    segments, at = [], 0.0
    for pause, lasts, text in drawn:
        start = at + pause / 100
        at = start + 1 + lasts / 100
        segments.append(Segment(start, at, text))
    path = tmp_path / f"x.{form}"
    path.write_text(render("x", Transcription("", at, tuple(segments)), form), encoding="utf-8")
    cues = parse_subtitles(path, Problems())
    assert [cue.text for cue in cues] == [segment.text for segment in segments]
    for cue, segment in zip(cues, segments, strict=True):
        assert cue.start == pytest.approx(segment.start, abs=0.0006)
        assert cue.end == pytest.approx(segment.end, abs=0.1)


def test_languages_and_the_recording(put: Put, tmp_path: Path) -> None:
    put("film.wav", 3.0), put("film.mp4", "a film is asked only where there is no audio file")
    put("film.vi.srt", SRT), put("film.pt-BR.vtt", VTT)
    with pytest.raises(
        EchoError, match=r"film has several subtitles, film\.pt-BR\.vtt, film\.vi\.srt; keep one, or name"
    ):
        load_corpus(tmp_path)
    assert len(found(f"{tmp_path}:pt-BR")) == 3
    assert found(tmp_path / "film.pt-BR.vtt") == found(f"{tmp_path}:pt-BR")
    with pytest.raises(
        EchoError, match=r"no subtitles are named NAME\.en\.srt or \.vtt; languages in the names: pt-BR, vi"
    ):
        load_corpus(f"{tmp_path}:en")
    with pytest.raises(EchoError, match=r"film\.vi\.srt has no tiers, and its name no language 'tx'; give"):
        load_corpus(f"{tmp_path}/film.vi.srt:tx")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.srt", "", r"bad\.srt has no subtitles; expected times such as 00:00:01,000 --> 00:00:02,500 above each"),
        ("bad.vtt", "WEBVTT\n", r"bad\.vtt has no subtitles"),
        ("bad.srt", "1\n00:00:01,0x --> 00:00:02,000\nx\n", r"bad\.srt line 2 has times that cannot be read"),
        (
            "bad.srt",
            "1\n00:00:01: --> 00:00:02,000\nx\n",
            r"bad\.srt line 2 has times that cannot be read \(00:00:01: -->",
        ),
        ("bad.srt", "1\n-00:00:01,0 --> 00:00:02,0\nx\n", r"bad\.srt line 2 has times that cannot be read"),
        ("bad.srt", "1\n00:00:02,000 --> 00:00:01,000\nx\n", r"bad\.srt line 2 has the times 2 to 1 s"),
        ("bad.vtt", "00:02.000 --> 00:09.000\nx\n", r"bad\.vtt line 1 ends at 9 s, and its recording lasts 3\.000 s"),
    ],
)
def test_a_fault_is_a_broken_record(put: Put, tmp_path: Path, name: str, content: str, message: str) -> None:
    put("good.wav", 3.0), put("good.srt", "1\n00:00:00,0 --> 00:00:01,0\nx\n")
    put("bad.wav", 3.0), put(name, content)
    corpus = load_without_broken(tmp_path, message, r"1 of 2 records are left out, first: .*bad\.")
    assert [u.id for u in corpus.utterances] == ["good/1"]


def test_a_subtitle_without_its_recording(put: Put) -> None:
    with pytest.raises(EchoError, match=r"film\.en\.srt: its recording is not there; put it beside .* as film\.wav"):
        load_corpus(put("film.en.srt", SRT))
