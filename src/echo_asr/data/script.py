"""Reads the text of a long recording: paragraphs, a whole transcript, or subtitles, whose times are not used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from echo_asr.data.readers.subtitles import SUFFIXES, TIMES, clean
from echo_asr.errors import EchoError
from echo_asr.text.normalize import Normalizer
from echo_asr.text.script import Script, make_script
from echo_asr.text.textfile import read_text_file


def read_script(path: Path, normalize: Normalizer) -> Script:
    """The script in a file: of plain text, whose paragraphs are divided by blank lines, or of subtitles (.srt, .vtt).

    Raises:
        EchoError: it cannot be read, or has no words.
    """
    data = read_text_file(path).data
    if b"\0" in data:
        raise EchoError(f"{path}: not a text file; give the text of the recording, or its subtitles")
    lines = data.decode("utf-8", "replace").splitlines()
    subtitles = path.suffix.lower() in SUFFIXES
    numbered = _subtitle_lines(lines) if subtitles else enumerate(lines, 1)
    script = make_script(numbered, normalize)
    if not script.words:
        expected = "subtitles with their times" if subtitles else "the text of the recording"
        raise EchoError(f"{path}: has no words; give {expected}")
    return script


def _subtitle_lines(lines: list[str]) -> Iterator[tuple[int, str]]:
    """The lines of text of subtitles, with their numbers in the file."""
    inside = False
    for number, line in enumerate(lines, 1):
        if TIMES.fullmatch(line):
            inside = True
        elif not line.strip():
            inside = False
        elif inside:
            yield number, clean(line)[0]
