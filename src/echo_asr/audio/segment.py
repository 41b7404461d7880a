"""A segment of an audio file: where in a long recording an utterance is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from echo_asr.errors import EchoError

LATEST = 1e9  # seconds; later times are refused
OVERSHOOT = 0.5  # seconds that a segment may end after its file: times are often rounded up


@dataclass(frozen=True)
class AudioSegment:
    """A segment of an audio file, such as an utterance of a long recording.

    A segment that ends up to half a second after its file ends with the file.
    """

    path: Path
    start: float = 0.0  # seconds
    duration: float | None = None  # seconds; None: to the end of the file
    channel: int | None = None  # from 0; None: the mean of all

    def __str__(self) -> str:
        end = "" if self.duration is None else f"{self.start + self.duration:.3f}"
        channel = "" if self.channel is None else f", channel {self.channel}"
        return f"{self.path} ({self.start:.3f}-{end} s{channel})"

    @property
    def whole(self) -> bool:
        """Whether it spans the whole file, in time."""
        return self.start == 0 and self.duration is None

    def bounds(self, rate: int) -> tuple[int, int | None]:
        """First sample, and the one after the last (None: the end of the file), at `rate` Hz.

        Raises:
            EchoError: its times are negative, too late or NaN.
        """
        times = (self.start, 0.0 if self.duration is None else self.duration)
        if not all(0 <= time <= LATEST for time in times):  # false of NaN, too
            raise EchoError(f"{self}: cannot be a segment of a file; correct its times")
        first = round(self.start * rate)
        return first, None if self.duration is None else first + round(self.duration * rate)

    def samples(self, rate: int, total: int) -> tuple[int, int]:
        """First sample and the one after the last, in a file of `total` samples at `rate` Hz.

        Raises:
            EchoError: the segment is empty, or not in the file.
        """
        first, stop = self.bounds(rate)
        stop = total if stop is None else stop
        if not 0 <= first < min(stop, total) or stop > total + OVERSHOOT * rate:
            raise EchoError(f"{self}: is not within that file, which lasts {total / rate:.3f} s; correct its times")
        return first, min(stop, total)


AudioFile = str | os.PathLike[str] | AudioSegment
