"""metadata.csv as spreadsheets, scripts and hands leave it: a fault breaks its own row, is named with its line, and the
other rows are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from echo_asr.data.corpus import read_corpus
from echo_asr.data.readers.lines import LONGEST_LINE
from echo_asr.errors import EchoError

Put = Callable[..., Path]
HEADER = "file_name,transcription\n"


@pytest.fixture
def clips(put: Put) -> None:
    for name in "abcde":
        put(f"{name}.wav", 0.1)


def read(folder: Path, content: str | bytes) -> tuple[dict[str, str], list[str]]:
    """Texts by the clip's letter, and the lines of broken records."""
    table = folder / "metadata.csv"
    table.write_bytes(content.encode() if isinstance(content, str) else content)
    corpus = read_corpus(folder)
    assert all(broken.message.startswith(str(table)) for broken in corpus.broken)
    return {u.id[0]: u.text for u in corpus.utterances}, [b.where.rsplit(" ", 1)[1] for b in corpus.broken]


@pytest.mark.parametrize(
    ("rows", "texts", "broken"),
    [
        ('a.wav,"five inch nail\nb.wav,ma2\nc.wav,six foot"\n', {"b": "ma2", "c": 'six foot"'}, ["2"]),
        ('a.wav,"first line\nsecond, line\nthird"\nb.wav,ma2\n', {"b": "ma2"}, ["2", "3", "4"]),
        ('a.wav,"first line\nsecond line\nthird"\nb.wav,ma2\n', {"b": "ma2"}, ["2"]),  # one row, and one record
        ('a.wav,"first\rsecond"\nb.wav,ma2\n', {"b": "ma2"}, ["2"]),
        ('a.wav,"Go" he said\nb.wav,ma2\n', {"b": "ma2"}, ["2"]),
        ('a.wav,ma1\nb.wav,"never closed\n', {"a": "ma1"}, ["3"]),
        ('a.wav,"never closed\n' + "b.wav,ma2\n" * 1 + 'c.wav,"nor this\n', {"b": "ma2"}, ["2", "4"]),
        ('a.wav,"he said ""go"", so"\nb.wav,it\'s 5" long\n', {"a": 'he said "go", so', "b": 'it\'s 5" long'}, []),
        ("a.wav,x\0y\nb.wav,ma2\n", {"b": "ma2"}, ["2"]),
        ("a.wav,one,,\nb.wav,two,three\n", {"a": "one"}, ["3"]),
        (",\n \n\"\",\"\"\na.wav,one\n,,,,\n", {"a": "one"}, []),
        ("a.wav\nb.wav,ma2\n", {"b": "ma2"}, ["2"]),
        (f"a.wav,\"{'x' * 200_000}\"\nb.wav,ma2\n", {"b": "ma2"}, ["2"]),  # more than csv takes for a cell
    ],
)  # fmt: skip
def test_a_fault_breaks_its_own_row(
    clips: None, tmp_path: Path, rows: str, texts: dict[str, str], broken: list[str]
) -> None:
    assert read(tmp_path, HEADER + rows) == (texts, broken)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_spreadsheets_write(clips: None, tmp_path: Path, separator: str, encoding: str, end: str) -> None:
    """With empty columns and rows at the end, as the used range of a sheet has them."""
    rows = [
        ["file_name", "transcription", "speaker", "", ""], ["a.wav", '"xin; chào, bạn"', "Ngữ", "", ""],
        ["b.wav", "hai", "", "", ""], ["", "", "", "", ""], [" ", "", "", "", ""],
    ]  # fmt: skip
    content = "".join(separator.join(row) + end for row in rows)
    assert read(tmp_path, content.encode(encoding)) == ({"a": "xin; chào, bạn", "b": "hai"}, [])


def test_a_line_that_names_the_separator(clips: None, tmp_path: Path) -> None:
    assert read(tmp_path, "sep=;\nfile_name;text\na.wav;x, y\n") == ({"a": "x, y"}, [])
    assert read(tmp_path, "sep=|\nfile_name|text\na.wav|x, y\n") == ({"a": "x, y"}, [])


def test_rows_of_another_encoding_are_broken_one_by_one(clips: None, tmp_path: Path) -> None:
    assert read(tmp_path, HEADER.encode() + b"a.wav,caf\xe9\nb.wav,two\n") == ({"b": "two"}, ["2"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file_name,sentence,sentence\na.wav,x,y\n", r"metadata\.csv has the column sentence twice; keep one"),
        ("file_name,file_name,text\na.wav,b.wav,y\n", r"has the column file_name twice"),
        (b"file_name,transcription,\xe9\na.wav,x,\n", r"metadata\.csv is not UTF-8; save it as UTF-8"),
        (HEADER.encode("utf-16-le"), r"metadata\.csv is not UTF-8"),  # which nothing says
        ('file_name,"transcription\na.wav,x\n', r"metadata\.csv line 1 names no columns: its quotation marks"),
        (b"x" * (LONGEST_LINE + 1), r"metadata\.csv line 1 is longer than 8 MB"),
        ("", r"has no column file_name and no column transcription; it has: none"),
    ],
)
def test_a_first_row_that_names_no_columns(clips: None, tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(EchoError, match=message):
        read(tmp_path, content)


def test_the_rows_before_a_line_without_end_are_read(clips: None, tmp_path: Path) -> None:
    assert read(tmp_path, HEADER.encode() + b"a.wav,x\n" + b"y" * (LONGEST_LINE + 1)) == ({"a": "x"}, ["3"])
