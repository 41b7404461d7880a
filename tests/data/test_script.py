import codecs
from pathlib import Path

import pytest

from echo_asr.data.script import read_script
from echo_asr.errors import EchoError
from echo_asr.text.normalize import normalize_basic

SRT = "1\n00:00:01,000 --> 00:00:02,500\n<i>Good</i> morning,\nall!\n\n2\n00:00:03,000 --> 00:00:04,000\n12 foxes\n"
VTT = "WEBVTT\n\nNOTE for nobody\n\nintro\n00:01.000 --> 00:02.500 align:start\n<v Ann>Good morning,\nall!\n\n12\n01:00:03.000 --> 01:00:04.000\n12 foxes\n"  # noqa: E501


@pytest.mark.parametrize(("name", "content"), [("a.srt", SRT), ("a.vtt", VTT)])
def test_subtitles_are_read_without_numbers_times_and_tags(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    script = read_script(tmp_path / name, normalize_basic)
    assert script.text(range(len(script.words))) == "Good morning, all! 12 foxes"
    lines = content.splitlines()
    assert all(
        word.written.strip(",!") in lines[line - 1] for word, line in zip(script.words, script.lines, strict=True)
    )
    assert len(set(script.paragraphs)) == 1  # a subtitle ends anywhere in a sentence


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_texts_are_read_in_the_encodings_of_editors(mark: bytes, tmp_path: Path) -> None:
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-8"
    (tmp_path / "a.txt").write_bytes(mark + "chào\r\n\r\nbạn".encode(encoding))
    script = read_script(tmp_path / "a.txt", normalize_basic)
    assert [word.written for word in script.words] == ["chào", "bạn"]
    assert script.lines == (1, 3) and script.paragraphs == (0, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", " \n - \n", "has no words; give the text"),
        ("a.srt", "no times\n", "has no words; give subtitles"),
        ("a.ogg", "OggS\0\2words", r"a\.ogg: not a text file; give the text of the recording"),
    ],
)
def test_a_text_without_words_is_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(EchoError, match=message):
        read_script(tmp_path / name, normalize_basic)


def test_a_missing_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match=r"b\.txt cannot be read"):
        read_script(tmp_path / "b.txt", normalize_basic)
