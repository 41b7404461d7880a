"""Finds files below a folder: recordings, or annotations of them, and the recording of an annotation file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from echo_asr.audio.files import same_name
from echo_asr.errors import EchoError

AUDIO_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".au", ".caf", ".sph", ".wma",
)  # fmt: skip
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".avi")  # where there is no audio file
MOST_FOLDERS = 100_000  # below a folder; more are no corpus, but a whole disk


def folders_below(folder: Path, enter: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """A folder and all below it, each before those in it, in the order of their names.

    Hidden folders are left out. Links are followed; a folder that several lead to is found once, so that a link to a
    folder above it makes no loop. A folder that cannot be read is left out with a warning.

    Raises:
        EchoError: there are over `MOST_FOLDERS`.
    """
    seen = set[str]()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        if (real := os.path.realpath(current)) in seen:
            continue
        seen.add(real)
        if len(seen) > MOST_FOLDERS:
            raise EchoError(
                f"{folder} has over {MOST_FOLDERS} folders below it; give the one that holds the recordings"
            )
        yield current
        if enter is None or enter(current):
            waiting += reversed(subfolders(current))


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder by name, without hidden ones; none, with a warning, if it cannot be read."""
    try:
        return [folder / entry.name for entry in _entries(folder) if os.path.isdir(entry)]
    except OSError as error:
        warnings.warn(
            f"{folder} cannot be read ({error.strerror}) and is left out; check its permissions", stacklevel=2
        )
        return []


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files of a folder whose names end in one of the suffixes (lower case), by name, without hidden ones; none if
    it cannot be read."""
    try:
        entries = _entries(folder)
    except OSError:
        return []
    wanted = [entry for entry in entries if os.path.splitext(entry.name)[1].lower() in suffixes]
    return [folder / entry.name for entry in wanted if os.path.isfile(entry)]


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files of a folder and of those below it, as `files_in` and `folders_below` find them."""
    return [file for inner in folders_below(folder) for file in files_in(inner, suffixes)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, by name. Hidden are names such as ._rec.wav, too, which macOS leaves on other disks."""
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)


def recordings_below(folder: Path) -> list[Path]:
    """The recordings below a folder. A film beside an audio file of the same name is left out.

    Raises:
        EchoError: there is none.
    """
    found = files_below(folder, (*AUDIO_SUFFIXES, *VIDEO_SUFFIXES))
    audio = {file.with_suffix("") for file in found if file.suffix.lower() in AUDIO_SUFFIXES}
    kept = [f for f in found if f.suffix.lower() in AUDIO_SUFFIXES or f.with_suffix("") not in audio]
    if not kept:
        raise EchoError(f"{folder} has no recordings (.wav, .flac, .mp3, ...) in it or below; give another folder")
    return kept


def recordings_beside(path: Path, stem: str) -> list[Path]:
    """The audio files, or else the films, of a name (as `same_name` compares) in the folder of a file."""
    for suffixes in (AUDIO_SUFFIXES, VIDEO_SUFFIXES):
        if found := [file for file in files_in(path.absolute().parent, suffixes) if same_name(file.stem, stem)]:
            return found
    return []


def find_recording(path: Path, stem: str) -> Path:
    """The recording beside a file of annotations: of the same name, with another ending.

    Raises:
        EchoError: there is none, or there are several.
    """
    found = recordings_beside(path, stem)
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise EchoError(f"{path} has {len(found)} recordings, {names}; keep the one that it is of")
    if not found:
        raise EchoError(f"{path}: its recording is not there; put it beside the file, as {stem}.wav")
    return found[0]
