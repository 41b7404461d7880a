"""Common Voice (https://commonvoice.mozilla.org) as it is handed out: a folder a language, with tables and clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from echo_asr.data.readers.lines import read_lines
from echo_asr.data.readers.records import Problems, Record, one_of_many, place
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
    is one, so that no clip need be looked into. The tables have no quotes: a quotation mark is part of a sentence. A
    table that cannot be read, or lacks one of the columns, is a problem.
    """
    durations = dict(_durations(folder / DURATIONS))
    tables = {name: split for name, split in TABLES.items() if (folder / name).is_file()} or {ALL: "train"}
    for name, split in tables.items():
        yield from one_of_many(_table(folder / name, split, durations, problems), folder / name, problems)


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
        fields = row.split("\t")
        if not max(speaker, path, sentence) < len(fields) <= len(columns):  # a tab in a sentence would cut it
            problems.add(place(source, line), f"has {len(fields)} fields; expected {len(columns)}, with tabs between")
            continue
        clip = fields[path].strip()
        if not clip:
            problems.add(place(source, line), "has no path; name a file of clips, or take the line out")
            continue
        file = clip if "." in clip else f"{clip}.mp3"  # tables of 2019 leave it out
        text = fields[sentence].strip()
        audio = source.parent / CLIPS / file
        yield Record(source, line, clip, audio, text, fields[speaker].strip(), split, durations.get(file))


def _durations(path: Path) -> Iterator[tuple[str, float]]:
    """File and seconds, of a table of milliseconds; what is no such line is passed over."""
    if not path.is_file():
        return
    for _, line in read_lines(path, Problems()):
        name, _, milliseconds = line.partition("\t")
        try:
            seconds = float(milliseconds) / 1000
        except ValueError:
            continue  # the names of the columns
        if seconds > 0:
            yield name, seconds
