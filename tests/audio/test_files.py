"""The file that a name means."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echo_asr.audio import find_file, load_audio
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.files import read_list
from echo_asr.errors import EchoError

NAME = "Ngữ/é ka\u0302.wav"
FORMS = [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")]


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(1600, 0.1), SAMPLE_RATE)
    return path


@pytest.mark.parametrize(("asked", "there"), FORMS)
def test_the_unicode_form_of_a_name_does_not_matter(tmp_path: Path, asked: str, there: str) -> None:
    write(tmp_path / unicodedata.normalize(there, NAME))  # type: ignore[arg-type]
    name = tmp_path / unicodedata.normalize(asked, NAME)  # type: ignore[arg-type]
    found = find_file(name)
    assert found is not None and found.is_file()
    assert len(load_audio(name)) == 1600
    assert len(load_audio(AudioSegment(name, 0.05))) == 800


@pytest.mark.parametrize(("asked", "there"), FORMS)
def test_nor_in_a_corpus_or_a_list(tmp_path: Path, asked: str, there: str) -> None:
    write(tmp_path / unicodedata.normalize(there, NAME))  # type: ignore[arg-type]
    name = unicodedata.normalize(asked, NAME)  # type: ignore[arg-type]
    (tmp_path / "metadata.csv").write_text(
        f"file_name,transcription,excerpt_start,duration\n{name},ka,,\n{name},ka,0.05,0.05\n", encoding="utf-8"
    )
    corpus = load_corpus(tmp_path)
    assert len(corpus.utterances) == 2
    for utterance in corpus.utterances:
        path = utterance.audio.path if isinstance(utterance.audio, AudioSegment) else utterance.audio
        assert path.is_file(), "what opens it later needs to look for nothing"
    (tmp_path / "list.txt").write_text(f"\ufeff{tmp_path / name} \r\n", encoding="utf-8")
    assert [len(load_audio(path)) for path in read_list(str(tmp_path / "list.txt"))] == [1600]


def test_neither_capitals_nor_one_of_two_are_guessed(tmp_path: Path) -> None:
    if sys.platform == "darwin":
        pytest.skip("the file system itself takes these for the same")
    write(tmp_path / "a.WAV")
    with pytest.raises(EchoError, match=r"a\.wav: no such file"):
        load_audio(tmp_path / "a.wav")
    first, second = "é.wav", unicodedata.normalize("NFD", "é.wav")
    write(tmp_path / first)
    write(tmp_path / second)
    assert find_file(tmp_path / first) == tmp_path / first and find_file(tmp_path / second) == tmp_path / second
    assert find_file(tmp_path / f" {first}") is None, "two files are meant"


def test_blanks_at_the_ends_of_a_name(tmp_path: Path) -> None:
    write(tmp_path / "a b.wav")
    assert find_file(tmp_path / " a b.wav ") == tmp_path / "a b.wav"
    assert find_file(tmp_path / "ab.wav") is None


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    try:
        write(tmp_path / "a.wav").rename(path)
    except OSError:
        pytest.skip("the file system takes no such names")
    assert len(load_audio(path)) == 1600
    (tmp_path / "list.txt").write_bytes(os.fsencode(path) + b"\n")
    assert read_list(str(tmp_path / "list.txt")) == [path]
    with pytest.raises(EchoError, match="no such file"):
        load_audio(tmp_path / "café.wav")  # what the byte stands for is not guessed


def test_what_is_no_name_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match="cannot be a file name|no such file"):
        load_audio("a\0b.wav")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.wav")
        with pytest.raises(EchoError, match=r"pipe\.wav: is not a regular file .*; write its audio to a file"):
            load_audio(tmp_path / "pipe.wav")


def test_a_list_names_files_with_other_line_ends_in_them(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("a\x0bb.wav\r\nc\u2028d.wav\n\n".encode())
    assert read_list(str(tmp_path / "list.txt")) == [Path("a\x0bb.wav"), Path("c\u2028d.wav")]
