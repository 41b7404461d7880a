"""Writes clips that are not files by themselves into the cache, once, as a folder with ``metadata.csv``."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from echo_asr.audio import audio_duration
from echo_asr.data.readers.metadata import METADATA, PROBLEM
from echo_asr.errors import EchoError
from echo_asr.libraries import default_cache_root
from echo_asr.storage import create_folder

VERSION = 1  # of the written folders; raised when this module writes them otherwise
COLUMNS = ("file_name", "transcription", "speaker", "duration", "excerpt_start", PROBLEM)
IN_A_FOLDER = 1000  # clips
MARKS = ((b"RIFF", "wav"), (b"fLaC", "flac"), (b"OggS", "ogg"), (b"ID3", "mp3"), (b"FORM", "aiff"))


class Export:
    """Writes the clips of one part of a corpus into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[tuple[str, str, str, str, str, str]] = []
        self.files = 0
        self.unpacked = 0  # bytes that came out of tables

    def add(self, data: bytes, hint: str = "") -> str:
        """Write the bytes of an audio file and return its name. `hint` is a file name for the ending, if `data` has no
        mark of its format."""
        name = f"{self.files // IN_A_FOLDER:04d}/{self.files:07d}.{suffix_of(data, hint)}"
        self.files += 1
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    def add_row(self, name: str, text: str, speaker: str, start: float = 0.0, duration: float | None = None) -> None:
        """Add the text of a clip, or of a segment of it (start and duration in seconds)."""
        whole = duration is None
        seconds = _seconds(self.folder / name) if whole else f"{duration:.6f}"
        text = " ".join(text.split())  # a table has a line a row
        speaker = " ".join(speaker.split())
        self.rows.append((name, text, speaker, seconds, "" if whole else f"{start:.6f}", ""))

    def add_broken(self, what: str) -> None:
        """Add a broken record in place of a clip that is not exported; `what` is reported when the corpus is read."""
        self.rows.append(("", "", "", "", "", " ".join(what.split())))


def _seconds(path: Path) -> str:
    """Seconds of a clip; empty for one that cannot be read, which is reported when the corpus is read."""
    try:
        return f"{audio_duration(path):.6f}"
    except EchoError:
        return ""


def suffix_of(data: bytes, hint: str = "") -> str:
    """The file name ending for an audio file's first bytes, or else that of `hint`; `bin` for neither."""
    for mark, suffix in MARKS:
        if data.startswith(mark):
            return suffix
    if data[4:8] == b"ftyp":
        return "m4a"
    if data[:1] == b"\xff" and len(data) > 1 and data[1] >= 0xE0:
        return "mp3"
    ending = os.path.splitext(hint)[1].lstrip(".").lower()
    return ending if re.fullmatch(r"[a-z0-9]{1,5}", ending) else "bin"


def export_folder(kind: str, name: str, content: object) -> Path:
    """The folder of the cache for an export, named by its source and a hash of all that determines its content."""
    key = hashlib.sha256(repr((VERSION, name, content)).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    slug = re.sub(r"[^\w.-]+", "-", name).strip("-.")[-60:]
    return default_cache_root() / kind / f"{slug}-{key}"


def export_once(folder: Path, write: Callable[[Export], None]) -> None:
    """Call `write` to fill a folder of clips, unless the folder exists; it appears whole or not at all.

    Raises:
        EchoError: the cache cannot be written, or what `write` raises.
    """
    if (folder / METADATA).is_file():
        return

    def fill(temporary: Path) -> None:
        export = Export(temporary)
        write(export)
        with (temporary / METADATA).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *export.rows])

    create_folder(folder, fill, folder / METADATA)


def state_of(paths: list[Path]) -> list[tuple[str, int, int]]:
    """Name, bytes and modification time (ns) of files: what an export of them depends on."""
    return [(os.path.abspath(path), (state := path.stat()).st_size, state.st_mtime_ns) for path in sorted(paths)]
