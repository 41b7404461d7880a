"""Reads folders with ``metadata.csv`` or ``metadata.jsonl`` beside the audio that they name.

It is the "audiofolder" of the Hugging Face ``datasets`` library (https://huggingface.co/docs/datasets/audio_dataset),
with columns of our own for speakers, splits, durations and segments of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from echo_asr.audio.segment import AudioSegment
from echo_asr.data.readers.csvrows import read_rows
from echo_asr.data.readers.lines import is_text, read_objects
from echo_asr.data.readers.records import LONGEST, SPLITS, Problems, Record, Recording, Unusable, parse_number
from echo_asr.errors import EchoError

METADATA = "metadata.csv"
METADATA_LINES = "metadata.jsonl"
TEXT = ("transcription", "text", "sentence")  # columns for the text; the first that exists is read
SPEAKER = ("speaker", "speaker_id", "client_id")  # columns; the first that is not empty is read
REQUIRED_COLUMNS = ("file_name", "transcription")
OPTIONAL_COLUMNS = ("speaker", "split", "duration", "excerpt_start", "excerpt_channel")
PROBLEM = "echo_problem"  # column of an export: why it has no clip there
COLUMNS = ("file_name", PROBLEM, *TEXT, *SPEAKER, *OPTIONAL_COLUMNS[1:])  # that are read


def read_metadata(folder: Path, problems: Problems, split: str = "train", prefix: str = "") -> Iterator[Record]:
    """The records of a folder's ``metadata.csv``, or ``metadata.jsonl``.

    ``metadata.csv`` begins with the names of its columns and has a row a line; ``metadata.jsonl`` has a JSON object a
    line, with these keys: ``file_name`` (relative to the folder, or a whole path), ``transcription`` (or ``text``, or
    ``sentence``; may be empty: no speech), and optionally ``speaker`` (or ``speaker_id``, or ``client_id``; default
    empty), ``split`` (``train``, ``validation`` or ``test``), ``duration`` (seconds; default: the header of the audio
    file), ``excerpt_start`` (seconds: the utterance is the segment of the file that begins there and lasts
    ``duration``) and ``excerpt_channel`` (from 0; default: the mean of all). An empty cell stands for the default;
    other columns are ignored.

    Args:
        split: of a row that names none.
        prefix: before every id, where several folders make one corpus.

    Raises:
        EchoError: the file is unreadable, or a column is missing or there twice.
    """
    table = folder / METADATA
    rows = _table_rows(table, problems) if table.is_file() else _json_rows(folder / METADATA_LINES, problems)
    source = table if table.is_file() else folder / METADATA_LINES
    for line, row in rows:
        with problems.noting(source, line):
            if row.get(PROBLEM):
                raise Unusable(row[PROBLEM])
            name = row.get("file_name", "")
            if not name:
                raise Unusable("has no file_name; name an audio file, or take the line out")
            if not is_text("".join(row.values())):
                raise Unusable("is not UTF-8; save the file as UTF-8")
            duration = _seconds(row.get("duration"), "duration", above_zero=True)
            start = _seconds(row.get("excerpt_start"), "excerpt_start")
            channel = _channel(row.get("excerpt_channel", ""))
            own_split = _split(row.get("split", ""))
            audio: Recording = folder / name
            key = prefix + name
            if start is not None or channel is not None:
                audio = AudioSegment(folder / name, start or 0.0, duration, channel)
                key += f":{audio.start:.3f}" + ("" if channel is None else f":{channel}")
            text = next((row[column] for column in TEXT if column in row), None)
            if text is None:
                raise Unusable(f"has no {' and no '.join(TEXT)}; give it one, empty if nobody speaks")
            speaker = next(filter(None, map(row.get, SPEAKER)), "")
            yield Record(source, line, key, audio, text, speaker, own_split or split, duration)


def _table_rows(path: Path, problems: Problems) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row as its line and its cells by column, stripped; unknown columns are left out."""
    table = read_rows(path, problems, wanted="file_name")
    columns = next(table)[1]
    _check_columns(columns, path)
    ours = [(columns.index(name), name) for name in COLUMNS if name in columns]
    first_text = min(columns.index(name) for name in TEXT if name in columns)
    for line, row in table:
        with problems.noting(path, line):
            if any(row[len(columns) :]):  # a spreadsheet may add empty ones
                raise Unusable("has more cells than columns; put a text with commas in double quotes")
            if len(row) <= first_text:
                less = "write a comma and the text, or nothing after it if nobody speaks"
                raise Unusable(f"ends before its {columns[first_text]}; {less}")
            row += [""] * (len(columns) - len(row))
            yield line, {name: row[index] for index, name in ours}


def _check_columns(columns: list[str], path: Path) -> None:
    twice = [name for name in COLUMNS if columns.count(name) > 1]
    if twice:
        raise EchoError(f"{path} has the column {twice[0]} twice; keep one")
    absent = ["file_name"] if "file_name" not in columns else []
    absent += [] if any(name in columns for name in TEXT) else ["transcription"]
    if absent:
        what = f"has no column {' and no column '.join(absent)}; it has: {', '.join(columns) or 'none'}"
        known = f"needed: {', '.join(REQUIRED_COLUMNS)}; optional: {', '.join(OPTIONAL_COLUMNS)}"
        raise EchoError(f"{path} {what}; {known}")


def _json_rows(path: Path, problems: Problems) -> Iterator[tuple[int, dict[str, str]]]:
    """Each object as its line and its values as strings, stripped; other values are left out."""
    for line, row in read_objects(path, problems):
        with problems.noting(path, line):
            wrong = [k for k in ("file_name", *TEXT) if isinstance(row.get(k), int | float | list | dict)]
            if wrong:
                raise Unusable(f"has a {wrong[0]} that is no string; write it in quotes")
            plain = {k: v for k, v in row.items() if isinstance(v, str | int | float) and not isinstance(v, bool)}
            yield line, {key: str(value).strip() for key, value in plain.items()}


def _split(cell: str) -> str:
    if cell and cell not in SPLITS:
        raise Unusable(f"has the split {cell!r}; expected one of: {', '.join(SPLITS)}")
    return cell


def _seconds(cell: str | None, column: str, above_zero: bool = False) -> float | None:
    """Seconds; None for a cell that is empty or not there."""
    if not cell:
        return None
    seconds = parse_number(cell)
    if seconds is None or not 0 <= seconds <= LONGEST or (above_zero and not seconds):  # false of NaN, too
        lowest = "above 0" if above_zero else "from 0"
        raise Unusable(f"has the {column} {cell!r}; expected seconds {lowest}, at most {LONGEST}, or nothing")
    return seconds


def _channel(cell: str) -> int | None:
    if cell and not (cell.isascii() and cell.isdigit() and len(cell) < 5):
        raise Unusable(f"has the excerpt_channel {cell!r}; expected a whole number from 0, or nothing")
    return int(cell) if cell else None


def has_metadata(folder: Path) -> bool:
    """Whether a folder is in this form."""
    return (folder / METADATA).is_file() or (folder / METADATA_LINES).is_file()
