"""Adds recordings to a corpus, a folder with a ``metadata.csv``, to which others may add at the same time."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import Utterance
from echo_asr.data.readers.csvrows import SEPARATORS
from echo_asr.data.readers.metadata import METADATA, SPEAKER, TEXT
from echo_asr.data.writers.clips import COLUMNS, clip_rows
from echo_asr.data.writers.names import plain_name
from echo_asr.errors import EchoError
from echo_asr.storage import StorageError, create_folder, hold_lock, make_folder, replace_file

LOCK = ".echo-asr.lock"  # in the folder of the corpus
LOCK_SECONDS = 60.0  # for which an addition waits for others
DIGITS = 12  # of the hash of a recording, in the name of the folder of its clips


class AlreadyThere(EchoError):
    """The recording has been added before."""


def open_additions(folder: Path) -> None:
    """Make a folder to which recordings can be added, or see that they can be added to the one that is there.

    Raises:
        EchoError: it cannot be written, holds something else, or its table is one that cannot be added to.
    """
    make_folder(folder, "choose another --corpus")
    if (folder / METADATA).is_file():
        _read_table(folder / METADATA)
    elif any(not path.name.startswith(".") for path in folder.iterdir()):
        what = f"holds something, and no {METADATA}"
        raise EchoError(f"{folder}: {what}; choose an empty folder, or a corpus with a {METADATA}")


def add_recording(
    folder: Path, recording: Path, name: str, utterances: Sequence[Utterance], speaker: str = ""
) -> list[str]:
    """Add the utterances of a recording as FLAC clips in a folder of their own, and a row for each to the end of
    ``metadata.csv``, whose other rows stay as they are. Returns the names of the clips.

    What is added appears as a whole or not at all: the clips come first, and the table, which names them, is replaced.

    Args:
        folder: as `open_additions` leaves it.
        name: of the recording's file, for the names of the clips.
        utterances: segments of the recording, in order of time.

    Raises:
        AlreadyThere: the recording was added before.
        StorageError: a file cannot be written; nothing is added.
        EchoError: the recording or the table cannot be read.
    """
    inner = f"{plain_name(Path(name).stem)}-{_hash(recording)}"
    clips, table = folder / inner, folder / METADATA
    rows: list[dict[str, str]] = []

    def fill(part: Path) -> None:
        rows[:] = clip_rows(part, AudioSegment(recording), utterances, name)

    with hold_lock(folder / LOCK, LOCK_SECONDS, "others are adding to it; try again later"):
        content = table.read_bytes() if table.is_file() else b""
        if f"{inner}/".encode() in content:
            what = f"{name} is in the corpus already, as {inner}"
            raise AlreadyThere(f"{what}; correct its texts in {METADATA}, or take its lines out and add it again")
        shutil.rmtree(clips, ignore_errors=True)  # of an addition that did not come to its end
        create_folder(clips, fill, clips / "none", "choose another folder")
        try:
            named = [{**row, "file_name": f"{inner}/{row['file_name']}", "speaker": speaker} for row in rows]
            content = _with_rows(table, content, named)
            replace_file(table, lambda part: part.write_bytes(content))
        except BaseException:
            shutil.rmtree(clips, ignore_errors=True)
            raise
    return [row["file_name"] for row in named]


def _hash(recording: Path) -> str:
    try:
        with recording.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
    except OSError as error:
        raise StorageError(f"{recording}: cannot be read ({error.strerror}); give another file") from None


def _with_rows(table: Path, content: bytes, rows: Iterable[Mapping[str, str]]) -> bytes:
    """The content of a table with rows at its end."""
    columns, separator, end = _read_table(table) if content else (list(COLUMNS), ",", "\n")
    text = next(column for column in TEXT if column in columns)
    speaker = next((column for column in SPEAKER if column in columns), SPEAKER[0])
    added = io.StringIO()
    writer = csv.DictWriter(added, columns, extrasaction="ignore", delimiter=separator, lineterminator=end)
    if not content:
        writer.writeheader()
    for row in rows:
        writer.writerow({**row, text: row["transcription"], speaker: row["speaker"]})
    gap = b"" if not content or content.endswith(b"\n") else end.encode()
    return content + gap + added.getvalue().encode()


def _read_table(path: Path) -> tuple[list[str], str, str]:
    """The names of a table's columns, what separates its cells, and its line ends.

    Raises:
        EchoError: it cannot be read, or rows cannot be added to it.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise EchoError(f"{path}: nothing can be added to it ({reason}); save it as UTF-8") from None
    line = content.partition("\n")[0]
    for separator in SEPARATORS:
        columns = [cell.strip() for cell in next(csv.reader([line.rstrip("\r")], delimiter=separator), [])]
        if "file_name" in columns and any(column in TEXT for column in columns):
            return columns, separator, "\r\n" if line.endswith("\r") else "\n"
    needed = f"the first line names file_name and transcription; it is {line[:80]!r}"
    raise EchoError(f"{path}: nothing can be added to it; expected a table of which {needed}")
