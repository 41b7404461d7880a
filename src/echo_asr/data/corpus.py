"""A corpus: recordings, their texts, and which of them are for training, validation and test.

A corpus is named by one string, the *spec*:

- the path of a folder with ``metadata.csv`` beside the audio that it names (the "audiofolder" of the Hugging
  Face ``datasets`` library, https://huggingface.co/docs/datasets/audio_dataset#audiofolder);
- ``synth:NAME``, speech made by `echo_asr.data.synth`, rendered once and then read as such a folder;
- any of these with a suffix such as ``@noise:10``, a variant of it; see `echo_asr.data.variants`.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from echo_asr.audio import SoundSource, audio_duration
from echo_asr.errors import EchoError

METADATA = "metadata.csv"
REQUIRED_COLUMNS = ("file_name", "transcription")
OPTIONAL_COLUMNS = ("speaker", "split", "duration")
SPLITS = ("train", "validation", "test")
LONGEST = 86_400  # seconds that a recording may be stated to last: a day
SYNTH_PREFIX = "synth:"


@dataclass(frozen=True)
class Utterance:
    """One recording and its text."""

    id: str  # the file name as metadata.csv gives it, unique in its corpus
    audio: Path | SoundSource  # the audio file, or what stands for one
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
            splits = ", ".join(self.splits)
            raise EchoError(f"corpus {self.name} has no split {name!r}; choose from: {splits}")
        return chosen


def load_corpus(spec: str | os.PathLike[str]) -> Corpus:
    """The corpus that ``spec`` names: a folder with ``metadata.csv``, or ``synth:NAME``.

    ``metadata.csv`` is UTF-8 (a byte-order mark is allowed) and begins with the names of its columns:
    ``file_name`` (relative to the folder), ``transcription`` (may be empty: no speech), and optionally
    ``speaker`` (default empty), ``split`` (``train``, ``validation`` or ``test``; default ``train``) and
    ``duration`` (seconds; default: what the header of the audio file says). An empty cell stands for the
    default; other columns are ignored.

    Raises:
        EchoError: the folder or ``metadata.csv`` is missing or unreadable, a column or audio files are missing,
            a cell is not legal, a file is listed twice, the corpus is empty, or ``synth:NAME`` is unknown or
            cannot be rendered.
    """
    spec = os.fspath(spec)
    if "@" in spec:
        from echo_asr.data.variants import altered, split_variant  # here, for it knows what a corpus is

        if found := split_variant(spec):
            inner, variant = found
            return altered(load_corpus(inner), variant)
    if spec.startswith(SYNTH_PREFIX):
        from echo_asr.data.synth import synthetic_corpus  # here, so that reading a folder never loads it

        folder = synthetic_corpus(spec.removeprefix(SYNTH_PREFIX))
    else:
        folder = Path(spec).expanduser()
    metadata = _find_metadata(folder)
    utterances = tuple(_read_utterances(folder, metadata))
    if not utterances:
        raise EchoError(f"{metadata} lists no recordings; add a line for each audio file")
    return Corpus(name=spec, utterances=utterances)


def _find_metadata(folder: Path) -> Path:
    if not folder.exists():
        raise EchoError(f"corpus folder {folder} does not exist; give a folder with {METADATA}, or synth:NAME")
    if not folder.is_dir():
        raise EchoError(f"corpus {folder} is a file; give the folder that holds {METADATA} and the audio")
    metadata = folder / METADATA
    if not metadata.is_file():
        columns = ", ".join(REQUIRED_COLUMNS)
        raise EchoError(f"corpus folder {folder} has no {METADATA}; add one with the columns {columns}")
    return metadata


def _read_utterances(folder: Path, metadata: Path) -> Iterator[Utterance]:
    rows = list(_read_rows(metadata))
    missing = [row["file_name"] for _, row in rows if not os.path.isfile(folder / row["file_name"])]
    if missing:
        first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise EchoError(
            f"{metadata} names {len(missing)} audio file{'s' * (len(missing) > 1)} not found in {folder}:"
            f" {first}; put them there, or take their lines out"
        )
    for where, row in rows:
        audio = folder / row["file_name"]
        yield Utterance(
            id=row["file_name"],
            audio=audio,
            text=row["transcription"],
            speaker=row.get("speaker", ""),
            split=_parse_split(row.get("split", ""), where),
            duration=_parse_duration(row.get("duration", ""), where) or audio_duration(audio),
        )


def _read_rows(metadata: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row as where it stands and its cells by column, stripped; file names are present and unique."""
    try:
        with metadata.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            _check_columns(columns, metadata)
            reader.fieldnames = columns
            rows = [(f"{metadata} line {reader.line_num}", row) for row in reader]
    except UnicodeDecodeError as error:
        raise EchoError(f"{metadata} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise EchoError(f"{metadata} is no legal CSV: {error}; mend its quotes") from None
    except OSError as error:
        raise EchoError(f"{metadata} cannot be read: {error.strerror}; check its permissions") from None
    seen: set[str] = set()
    for where, row in rows:
        if None in row:  # the key of DictReader for cells beyond the last column
            raise EchoError(f"{where} has more cells than columns; put a text with commas in double quotes")
        cells = {column: (cell or "").strip() for column, cell in row.items()}
        name = cells["file_name"]
        if not name:
            raise EchoError(f"{where} has no file_name; name an audio file, or take the line out")
        if name in seen:
            raise EchoError(f"{where} lists {name} again; list each file once")
        seen.add(name)
        yield where, cells


def _check_columns(columns: list[str], metadata: Path) -> None:
    twice = [name for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS) if columns.count(name) > 1]
    if twice:
        raise EchoError(f"{metadata} has the column {twice[0]} twice; keep one")
    absent = [name for name in REQUIRED_COLUMNS if name not in columns]
    if absent:
        raise EchoError(
            f"{metadata} has no column {' and no column '.join(absent)}; it has: {', '.join(columns) or 'none'};"
            f" needed: {', '.join(REQUIRED_COLUMNS)}; optional: {', '.join(OPTIONAL_COLUMNS)}"
        )


def _parse_split(cell: str, where: str) -> str:
    if cell and cell not in SPLITS:
        raise EchoError(f"{where} has the split {cell!r}; expected one of: {', '.join(SPLITS)}")
    return cell or "train"


def _parse_duration(cell: str, where: str) -> float | None:
    """Seconds; None for an empty cell."""
    if not cell:
        return None
    try:
        duration = float(cell)
    except ValueError:
        duration = math.nan
    if not 0 < duration <= LONGEST:  # false of NaN, too
        raise EchoError(f"{where} has the duration {cell!r}; expected seconds above 0, at most {LONGEST}, or nothing")
    return duration
