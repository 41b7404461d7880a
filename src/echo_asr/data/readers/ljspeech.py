"""Reads the form of LJSpeech (https://keithito.com/LJ-Speech-Dataset): ``metadata.csv`` without a header, and
``wavs``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from echo_asr.data.readers.lines import first_line, read_lines
from echo_asr.data.readers.metadata import METADATA
from echo_asr.data.readers.records import Notice, Problems, Record, Unusable
from echo_asr.text.normalize import normalize_basic

AUDIO = "wavs"
FIELDS = (2, 3)  # id|text, or id|text|normalised text


def is_ljspeech(folder: Path) -> bool:
    """Whether a folder has ``wavs`` and a ``metadata.csv`` whose first line has fields between bars and is no
    header."""
    if not (folder / METADATA).is_file() or not (folder / AUDIO).is_dir():
        return False
    first = first_line(folder / METADATA)
    return "|" in first and "file_name" not in first


def read_ljspeech(folder: Path, problems: Problems, chosen: int = 0) -> Iterator[Record]:
    """The records of ``metadata.csv``: ``id|text|normalised text``, of ``wavs/id.wav``.

    The normalised text is taken where there is one: it has numbers and abbreviations in words. If it shares no word
    with the text in most lines, a notice is added, since the field may be something else. There are no speakers or
    splits.

    Args:
        chosen: the number of the field, from 2, that holds the text; 0 for the rule above.
    """
    source = folder / METADATA
    both = apart = 0  # lines with a second and a third field, and those in which they share no word
    for line, row in read_lines(source, problems):
        fields = [cell.strip() for cell in row.split("|")]
        if not any(fields):
            continue
        with problems.noting(source, line):
            if len(fields) < chosen if chosen else len(fields) not in FIELDS:
                expected = f"expected {chosen} or more" if chosen else "expected id|text or id|text|normalised text"
                raise Unusable(f"has {len(fields)} fields between bars; {expected}")
            name = fields[0]
            if not name:
                raise Unusable("has no id; name a file of wavs, or take the line out")
            if not chosen and len(fields) == 3 and fields[1] and fields[2]:
                both += 1
                apart += not _words(fields[1]) & _words(fields[2])
            audio = folder / AUDIO / (name if name.lower().endswith(".wav") else f"{name}.wav")
            text = fields[chosen - 1] if chosen else next((text for text in reversed(fields[1:]) if text), "")
            yield Record(source, line, name, audio, text)
    if apart > both / 2:
        what = f"has third fields that share no word with the second in {apart} of {both} lines"
        mend = f"if they are speakers or durations, name the field of the text: {folder}:2"
        notice = Notice("third field", str(source), f"{what}, and they are taken for the texts; {mend}")
        problems.notices.append(notice)


def _words(text: str) -> set[str]:
    return set(normalize_basic(text).split())


def field_of(spec: str) -> tuple[Path, int] | None:
    """The folder and the field that `FOLDER:2` names; None for a spec of another form."""
    named = re.fullmatch(r"(?s)(.+):([2-9])", spec)
    if named and is_ljspeech(folder := Path(named[1]).expanduser()):
        return folder, int(named[2])
    return None
