"""The form of LJSpeech (https://keithito.com/LJ-Speech-Dataset): ``metadata.csv`` without a header, and ``wavs``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from echo_asr.data.readers.lines import first_line, read_lines
from echo_asr.data.readers.metadata import METADATA
from echo_asr.data.readers.records import Problems, Record, place

AUDIO = "wavs"
FIELDS = (2, 3)  # id|text, or id|text|normalised text


def is_ljspeech(folder: Path) -> bool:
    """Whether a folder has ``wavs`` and a ``metadata.csv`` that begins with fields between bars and not with names."""
    if not (folder / METADATA).is_file() or not (folder / AUDIO).is_dir():
        return False
    first = first_line(folder / METADATA)
    return "|" in first and "file_name" not in first


def read_ljspeech(folder: Path, problems: Problems) -> Iterator[Record]:
    """The records of ``metadata.csv``: ``id|text|normalised text``, of ``wavs/id.wav``.

    The normalised text is taken where there is one: it has numbers and abbreviations in words. Nothing is said of
    speakers or splits.
    """
    source = folder / METADATA
    for line, row in read_lines(source, problems):
        fields = [cell.strip() for cell in row.split("|")]
        if len(fields) not in FIELDS:
            expected = "expected id|text or id|text|normalised text"
            problems.add(place(source, line), f"has {len(fields)} fields between bars; {expected}")
            continue
        name = fields[0]
        if not name:
            problems.add(place(source, line), "has no id; name a file of wavs, or take the line out")
            continue
        audio = folder / AUDIO / (name if name.lower().endswith(".wav") else f"{name}.wav")
        yield Record(source, line, name, audio, next((text for text in reversed(fields[1:]) if text), ""))
