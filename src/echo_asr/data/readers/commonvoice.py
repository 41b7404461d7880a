"""Common Voice (https://commonvoice.mozilla.org) as it is distributed: one folder a language, with tables and clips."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

from echo_asr.data.readers.lines import read_lines
from echo_asr.data.readers.records import LONGEST, Problems, Record, Unusable, note_errors, parse_number
from echo_asr.errors import EchoError

CLIPS = "clips"
TABLES = {"train.tsv": "train", "dev.tsv": "validation", "test.tsv": "test"}
ALL = "validated.tsv"  # read where there are no tables of splits; it holds what those hold, and more
DURATIONS = "clip_durations.tsv"
COLUMNS = ("client_id", "path", "sentence")


def is_common_voice(folder: Path) -> bool:
    """Whether a folder has clips and a table of them."""
    return (folder / CLIPS).is_dir() and any((folder / name).is_file() for name in (*TABLES, ALL))


def read_common_voice(folder: Path, problems: Problems) -> Iterator[Record]:
    """The records of ``train.tsv``, ``dev.tsv`` (validation) and ``test.tsv``, or else of ``validated.tsv``.

    The columns ``path``, ``sentence`` and ``client_id`` (the speaker) are read, and ``clip_durations.tsv`` where there
    is one, so that no clip need be opened; missing durations are read from the clips. The tables have no quotes: a
    quotation mark is part of a sentence. A table that cannot be read, or lacks one of the columns, is a problem.
    """
    durations = _durations(folder / DURATIONS)
    tables = {name: split for name, split in TABLES.items() if (folder / name).is_file()} or {ALL: "train"}
    for name, split in tables.items():
        yield from note_errors(_table(folder / name, split, durations, problems), folder / name, problems)


def _table(source: Path, split: str, durations: dict[str, float], problems: Problems) -> Iterator[Record]:
    lines = read_lines(source, problems, header=True)
    columns = next(lines, (0, ""))[1].split("\t")
    absent = [column for column in COLUMNS if column not in columns]
    if absent:
        raise EchoError(f"{source} has no column {' and no column '.join(absent)}; it has: {', '.join(columns)}")
    twice = [column for column in COLUMNS if columns.count(column) > 1]
    if twice:
        raise EchoError(f"{source} has the column {twice[0]} twice; keep one")
    speaker, path, sentence = (columns.index(column) for column in COLUMNS)
    for line, row in lines:
        with problems.noting(source, line):
            fields = [field.strip() for field in row.split("\t")]
            if not max(speaker, path, sentence) < len(fields) <= len(columns):  # a tab in a sentence would cut it
                raise Unusable(f"has {len(fields)} fields; expected {len(columns)}, tabs between")
            clip = fields[path]
            if not clip:
                raise Unusable("has no path; name a file of clips, or take the line out")
            file = clip if "." in clip else f"{clip}.mp3"  # tables of 2019 leave it out
            audio = source.parent / CLIPS / file
            yield Record(source, line, clip, audio, fields[sentence], fields[speaker], split, durations.get(file))


def _durations(path: Path) -> dict[str, float]:
    """Seconds by file, of a table of milliseconds. Durations that cannot be read, or that no clip can have, are left
    out with a warning."""
    found: dict[str, float] = {}
    if not path.is_file():
        return found
    unread, wrong = Problems(), 0
    try:
        for number, line in read_lines(path, unread):
            name, _, milliseconds = line.partition("\t")
            value = parse_number(milliseconds)
            if value is None:
                wrong += number > 1 or not milliseconds  # the first line names the columns
            elif 0 < value / 1000 <= LONGEST:  # false of NaN, too
                found[name] = value / 1000
            else:
                wrong += 1
    except EchoError as error:
        unread.add_error(str(path), error)
    if unread.found or wrong:
        why = unread.found[0].message if unread.found else f"{path}: durations that no clip has: {wrong}"
        warnings.warn(f"{why}; missing durations are read from the clips", stacklevel=2)
    return found
