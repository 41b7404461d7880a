"""Ranges of a file and inserted bytes, read as one file: repairs a header without writing to the disk."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

Span = bytes | tuple[int, int]  # bytes, or the first offset in the file and the one after the last


@dataclass(frozen=True)
class Part:
    """One recording in a file, which may hold several, one after another: the bytes that libsndfile is to read."""

    spans: tuple[Span, ...] = ()  # none: the file as it is
    stray: int = 0  # bytes of its audio that its header does not mention
    stated: bool = True  # its header states its length; false where that is an estimate


class SplicedFile(io.RawIOBase):
    """Spans of a file, concatenated into a readable and seekable file."""

    def __init__(self, path: Path, spans: Sequence[Span]) -> None:
        self._file = path.open("rb")
        self._spans = [s for s in spans if isinstance(s, bytes) or s[1] > s[0]]
        sizes = [len(s) if isinstance(s, bytes) else s[1] - s[0] for s in self._spans]
        self._begins = list(accumulate(sizes, initial=0))  # offset of each span, and of the end
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset; a negative one is the beginning."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._begins[-1]}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """Fill a buffer up to the end of the current span."""
        number = bisect_right(self._begins, self._at)  # of the next span
        if number == len(self._begins):
            return 0
        span = self._spans[number - 1]
        inside = self._at - self._begins[number - 1]
        wanted = min(len(buffer), self._begins[number] - self._at)
        if isinstance(span, bytes):
            data = span[inside : inside + wanted]
        else:
            self._file.seek(span[0] + inside)
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
    return io.BufferedReader(SplicedFile(path, part.spans)) if part.spans else path.open("rb")
