"""Finds the file of a recording by its name, and refuses files that cannot be audio before they are opened."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from echo_asr.errors import EchoError

HEAD = 4096  # bytes by which a file is judged
# Formats whose header is text; any other has a zero byte early on, and text has none.
TEXT_HEADERS = (b"NIST_1A", b"PVF1")


def find_file(path: str | os.PathLike[str]) -> Path | None:
    """The file of a name; None where there is none.

    Where no file has exactly that name, the one whose name differs only in the Unicode form of its letters (`é` may be
    one code point, NFC, or two, NFD, which macOS writes) or in blanks at its ends; the same holds for each folder above
    it. None where several files match.
    """
    path = Path(path)
    try:
        if path.is_file():
            return path
        there = _alike(path)
        return there if there is not None and there.is_file() else None
    except (OSError, ValueError):
        return None


def _alike(path: Path) -> Path | None:
    """The path as the file system has it, each part matched by `same_name`; None where that is not unique."""
    if os.path.lexists(path):
        return path
    folder = None if path.parent == path else _alike(path.parent)
    if folder is None:
        return None
    try:
        with os.scandir(folder) as entries:
            same = [entry.name for entry in entries if same_name(entry.name, path.name)]
    except OSError:
        return None
    return folder / same[0] if len(same) == 1 else None


def same_name(first: str, second: str) -> bool:
    """Whether two names are equal in Unicode normal form C and without blanks at their ends."""
    return unicodedata.normalize("NFC", first).strip() == unicodedata.normalize("NFC", second).strip()


def leads_into_network(path: str | os.PathLike[str], source: Path, windows: bool = os.name == "nt") -> bool:
    """Whether a path in the file `source` is on another machine (``\\\\server\\share``), which Windows would contact;
    false where `source` itself is on one."""

    def shared(name: str) -> bool:
        return name.replace("/", "\\").startswith("\\\\")

    return windows and shared(os.fspath(path)) and not shared(str(source))


def checked_file(path: Path) -> tuple[Path, bytes]:
    """The file of a recording, and its first 4 KiB.

    Raises:
        EchoError: it is missing, a folder, empty, text, or cannot be read.
    """
    try:
        if path.is_dir():
            raise EchoError(f"{path}: is a folder; name one audio file in it")
        found = find_file(path)
        if found is None:
            if os.path.exists(path):
                raise EchoError(f"{path}: is not a regular file (a device or a pipe); write its audio to a file")
            raise EchoError(f"{path}: no such file; check the path")
        with found.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise EchoError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    except ValueError:  # a name with a zero byte
        raise EchoError(f"{path!r}: cannot be a file name; check the path") from None
    if not head:
        raise EchoError(f"{path}: is an empty file (0 bytes); record or copy it again")
    # libsndfile would search text for MP3 frames, and print to standard error while it does.
    if 0 not in head and not head.startswith(TEXT_HEADERS):
        raise not_audio(path)
    return found, head


def truncated(path: Path, why: str) -> EchoError:
    """The error for a file that ends too early or is damaged."""
    return EchoError(f"{path}: is truncated or damaged ({why}); copy or record it again")


def not_audio(path: Path) -> EchoError:
    """The error for a file in no format that can be read."""
    return EchoError(f"{path}: is not an audio file Echo can read; expected wav, flac, ogg, opus, mp3 or m4a")
