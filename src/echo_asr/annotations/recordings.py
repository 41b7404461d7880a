"""Finds the recording of a file of annotations by its name."""

from __future__ import annotations

from pathlib import Path

from echo_asr.audio import same_name
from echo_asr.errors import EchoError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".wma")
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".avi")  # read where there is no audio file
SUFFIXES = (AUDIO_SUFFIXES, VIDEO_SUFFIXES)


def beside(path: Path) -> list[Path]:
    """Files of the same name with another ending, in the same folder."""
    files = sorted(path.absolute().parent.iterdir())
    return [file for file in files if same_name(file.stem, path.stem) and file.is_file()]


def recording_beside(path: Path) -> Path:
    """The recording that lies beside a file of annotations, under the same name.

    Raises:
        EchoError: there is none, or there are several.
    """
    for suffixes in SUFFIXES:
        found = [file for file in beside(path) if file.suffix.lower() in suffixes]
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise EchoError(f"{path} has {len(found)} recordings beside it, {names}; name one of them")
        if found:
            return found[0]
    raise EchoError(f"{path} has no recording of its name beside it; name the recording, or put it there")
