"""Stretches of a file and bytes of our own, read as one file: how a header is repaired without writing to the disk."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

Segment = bytes | tuple[int, int]  # bytes, or the first offset in the file and the one after the last


@dataclass(frozen=True)
class Part:
    """One recording in a file, which may hold several, one after another: what libsndfile is to read of the file."""

    segments: tuple[Segment, ...] = ()  # none: the file as it is
    stray: int = 0  # bytes of its audio that its header does not mention
    stated: bool = True  # its length is said in its header, and no estimate


class SplicedFile(io.RawIOBase):
    """Segments of a file one after another, to be read and searched like a file."""

    def __init__(self, path: Path, segments: Sequence[Segment]) -> None:
        self._file = path.open("rb")
        self._segments = [s for s in segments if isinstance(s, bytes) or s[1] > s[0]]
        sizes = [len(s) if isinstance(s, bytes) else s[1] - s[0] for s in self._segments]
        self._ends = list(accumulate(sizes))
        self._at = 0

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return self._ends[-1] if self._ends else 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The offset at which the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset; one before the beginning is the beginning."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """Fill a buffer up to the end of the segment at hand."""
        number = bisect_right(self._ends, self._at)
        if number == len(self._ends):
            return 0
        segment = self._segments[number]
        inside = self._at - (self._ends[number - 1] if number else 0)
        wanted = min(len(buffer), self._ends[number] - self._at)
        if isinstance(segment, bytes):
            data = segment[inside : inside + wanted]
        else:
            self._file.seek(segment[0] + inside)
            data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file beneath."""
        self._file.close()
        super().close()


def open_part(path: Path, part: Part) -> BinaryIO:
    """A recording in a file, as a file of its own."""
    return io.BufferedReader(SplicedFile(path, part.segments)) if part.segments else path.open("rb")
