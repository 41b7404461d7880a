"""A corpus: recordings, their texts, and which of them are for training, validation and test.

A corpus is named by one string, the *spec*:

- the path of a folder with ``metadata.csv`` beside the audio that it names (the "audiofolder" of the Hugging Face
  ``datasets`` library, see https://huggingface.co/docs/datasets/audio_dataset#audiofolder);
- ``synth:NAME``, speech made by `echo_asr.data.synth`, rendered once and then read as such a folder.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from echo_asr.errors import EchoError

METADATA = "metadata.csv"
REQUIRED_COLUMNS = ("file_name", "transcription")
OPTIONAL_COLUMNS = ("speaker", "split", "duration")
SPLITS = ("train", "validation", "test")
SYNTH_PREFIX = "synth:"


@dataclass(frozen=True)
class Utterance:
    """One recording and its text."""

    id: str  # the file name as metadata.csv gives it, unique in its corpus
    audio: Path  # the audio file
    text: str  # as transcribed, not normalised; empty for a recording without speech
    speaker: str  # empty if unknown
    split: str  # one of SPLITS
    duration: float  # seconds


@dataclass(frozen=True)
class Corpus:
    """Utterances in the order of ``metadata.csv``, and the spec that named them."""

    name: str  # the spec, such as "synth:tones" or the path of a folder
    utterances: tuple[Utterance, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have utterances, in the order train, validation, test."""
        present = {utterance.split for utterance in self.utterances}
        return tuple(split for split in SPLITS if split in present)

    def split(self, name: str) -> tuple[Utterance, ...]:
        """The utterances of one split. Raises EchoError, naming the splits there are, if it has none."""
        chosen = tuple(utterance for utterance in self.utterances if utterance.split == name)
        if not chosen:
            raise EchoError(f"corpus {self.name} has no split {name!r}; its splits are: {', '.join(self.splits)}")
        return chosen


def load_corpus(spec: str | os.PathLike[str]) -> Corpus:
    """The corpus that ``spec`` names: a folder with ``metadata.csv``, or ``synth:NAME``.

    ``metadata.csv`` is UTF-8 (a byte-order mark is allowed) with a header line. Columns: ``file_name`` (relative to
    the folder), ``transcription`` (may be empty: no speech), and optionally ``speaker`` (default empty), ``split``
    (``train``, ``validation`` or ``test``; default ``train``) and ``duration`` (seconds; default: read from the
    audio file's header). An empty cell of an optional column means its default; other columns are ignored.

    Raises:
        EchoError: the folder or ``metadata.csv`` is missing or unreadable, a column or audio files are missing, a
            cell is not legal, a file is listed twice, the corpus is empty, or no synthetic corpus has that name.
    """
    spec = os.fspath(spec)
    if spec.startswith(SYNTH_PREFIX):
        from echo_asr.data.synth import synthetic_corpus  # renders: needs the extra, so only when it is asked for

        folder = synthetic_corpus(spec.removeprefix(SYNTH_PREFIX))
    else:
        folder = Path(spec).expanduser()
    metadata = _find_metadata(folder)
    utterances = tuple(_read_utterances(folder, metadata))
    if not utterances:
        raise EchoError(f"{metadata} lists no recordings; add one line for each audio file")
    return Corpus(name=spec, utterances=utterances)


def _find_metadata(folder: Path) -> Path:
    if not folder.exists():
        raise EchoError(
            f"corpus folder {folder} does not exist; give a folder with {METADATA}, or {SYNTH_PREFIX}NAME"
        )
    if not folder.is_dir():
        raise EchoError(f"corpus {folder} is a file; give the folder that holds {METADATA} and the audio")
    metadata = folder / METADATA
    if not metadata.is_file():
        raise EchoError(
            f"corpus folder {folder} has no {METADATA}; add one with the columns {', '.join(REQUIRED_COLUMNS)}"
        )
    return metadata


def _read_utterances(folder: Path, metadata: Path) -> Iterator[Utterance]:
    rows = _read_rows(metadata)
    missing = [row["file_name"] for _, row in rows if not (folder / row["file_name"]).is_file()]
    if missing:
        first = ", ".join(missing[:3])
        raise EchoError(
            f"{metadata} names {len(missing)} audio file(s) that are not in {folder}: {first}"
            f"{' and more' if len(missing) > 3 else ''}; copy them there or take their lines out"
        )
    for line, row in rows:
        yield Utterance(
            id=row["file_name"],
            audio=folder / row["file_name"],
            text=row["transcription"],
            speaker=row.get("speaker", ""),
            split=_parse_split(row.get("split", ""), metadata, line),
            duration=_parse_duration(row.get("duration", ""), folder / row["file_name"], metadata, line),
        )


def _read_rows(metadata: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows as (line number, column to cell), every cell a stripped string, ``file_name`` present and unique."""
    try:
        with metadata.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            absent = [name for name in REQUIRED_COLUMNS if name not in columns]
            if absent:
                raise EchoError(
                    f"{metadata} has no column {' and '.join(absent)}; it has: {', '.join(columns) or 'none'};"
                    f" it needs: {', '.join(REQUIRED_COLUMNS)} (optional: {', '.join(OPTIONAL_COLUMNS)})"
                )
            reader.fieldnames = columns
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise EchoError(f"{metadata} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise EchoError(f"{metadata} is not a legal CSV file: {error}; write quotes inside a cell twice") from None
    except OSError as error:
        raise EchoError(f"{metadata} cannot be read: {error.strerror}") from None
    seen: set[str] = set()
    checked = []
    for line, row in rows:
        if None in row:  # DictReader's key for cells beyond the last column
            raise EchoError(
                f"{metadata} line {line} has more cells than the header; put texts with commas in double quotes"
            )
        cells = {column: (cell or "").strip() for column, cell in row.items()}
        if not cells["file_name"]:
            raise EchoError(f"{metadata} line {line} has an empty file_name; name the audio file or drop the line")
        if cells["file_name"] in seen:
            raise EchoError(f"{metadata} line {line} lists {cells['file_name']} again; list each file once")
        seen.add(cells["file_name"])
        checked.append((line, cells))
    return checked


def _parse_split(cell: str, metadata: Path, line: int) -> str:
    if cell and cell not in SPLITS:
        raise EchoError(f"{metadata} line {line} has the split {cell!r}; expected one of: {', '.join(SPLITS)}")
    return cell or "train"


def _parse_duration(cell: str, audio: Path, metadata: Path, line: int) -> float:
    """Seconds, from the cell or, if it is empty, from the header of the audio file."""
    if not cell:
        from echo_asr.audio import audio_duration

        return audio_duration(audio)
    try:
        duration = float(cell)
    except ValueError:
        duration = math.nan
    if not (math.isfinite(duration) and duration > 0):
        raise EchoError(
            f"{metadata} line {line} has the duration {cell!r}; expected seconds above 0 (or empty: read from the file)"
        )
    return duration
