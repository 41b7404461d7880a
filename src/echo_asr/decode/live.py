"""Text of a microphone while somebody speaks: partial texts, and a settled one at each pause."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from echo_asr.audio.convert import samples_to_seconds, seconds_to_samples
from echo_asr.decode.results import Segment
from echo_asr.decode.segments import Cutter, SegmentConfig, SpeechSegment
from echo_asr.decode.subtitles import TimedUnit, join_units, timed_units
from echo_asr.text.linebreak import clean_text

INTERVAL = 0.3  # seconds of speech between two partial texts, at least
PACE = 1.5  # times as long as the last partial text took, before the next is begun: the rest is for others
HOLD = 0.1  # seconds of pause after which no more partial texts are made before the one that may be the last
LOOSE = 2  # words, or characters of scripts without spaces, at the end of a partial text that the next may change
BLOCK = 0.1  # seconds of samples that are looked at together

Recognize = Callable[[SpeechSegment], Segment]


@dataclass(frozen=True)
class LiveEvent:
    """A text that is known now.

    Attributes:
        settled: the segment has ended, and its text stays; otherwise the next event replaces it.
        segment: with its times in seconds from the beginning; words where it is settled. A settled text is empty
            where partial ones turn out to have been noise.
    """

    settled: bool
    segment: Segment


class LiveText:
    """Takes samples as they are recorded, and tells texts.

    The recording is cut at its pauses as a file is, but by the levels before each moment alone. The open segment is
    recognised again and again as a whole. A partial text keeps all words of the one before it but the last `LOOSE`. A
    settled text is that of the whole segment by itself, whatever the partial ones were. It is recognised as soon as the
    pause is as long as the margin that the segment has, so that it is there when the pause is long enough to end it.

    Args:
        recognize: the text of a segment, with its words, in seconds from the recording's beginning.
        config: pauses and margins.
        clock: seconds, by which partial texts are spaced when recognition is slow.
    """

    def __init__(
        self, recognize: Recognize, config: SegmentConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._recognize, self._clock, self._margin = recognize, clock, config.margin
        self._cutter = Cutter(config, live=True)
        self._block = round(seconds_to_samples(BLOCK))
        self._waiting: list[np.ndarray] = []
        self._shown: list[TimedUnit] = []
        self._last: tuple[SpeechSegment, Segment] | None = None  # of the open segment, as far as it went
        self._next = 0.0  # seconds of the recording from which the next partial text is due
        self._rested = 0.0  # of the clock, from which it may be begun
        self._count = 0

    @property
    def seconds(self) -> float:
        """Seconds of the recording so far."""
        return samples_to_seconds(self._count)

    def feed(self, samples: np.ndarray) -> Iterator[LiveEvent]:
        """The texts that are known after further samples `(S,)` float32 at 16 kHz."""
        self._count += len(samples)
        self._waiting.append(samples)
        if sum(map(len, self._waiting)) < self._block:
            return
        block, self._waiting = np.concatenate(self._waiting), []
        for piece in self._cutter.add(block):
            yield from self._settled(piece)
        yield from self._partial()

    def finish(self) -> Iterator[LiveEvent]:
        """The texts that are left when the recording has ended."""
        for piece in self._cutter.add(np.concatenate([np.zeros(0, np.float32), *self._waiting])):
            yield from self._settled(piece)
        for piece in self._cutter.finish():
            yield from self._settled(piece)
        if self._shown:
            yield from self._cleared()

    def _settled(self, piece: SpeechSegment) -> Iterator[LiveEvent]:
        if self._last is not None and _same(self._last[0], piece):
            segment = self._last[1]
        else:
            segment = self._recognize(piece)
        self._last, self._next = None, 0.0
        if segment.text:
            self._shown = []
            yield LiveEvent(True, segment)
        elif self._shown:
            yield from self._cleared()

    def _cleared(self) -> Iterator[LiveEvent]:
        start = self._shown[0].start / 1000
        self._shown = []
        yield LiveEvent(True, Segment(start, self.seconds, ""))

    def _partial(self) -> Iterator[LiveEvent]:
        opened = self._cutter.open_segment()
        if opened is None or (self._last is not None and _same(self._last[0], opened[0])):
            return
        piece, pause = opened
        ending = pause >= self._margin  # as much as the segment will have of it
        early = self.seconds < self._next or self._clock() < self._rested or pause > HOLD
        if early and not ending:
            return
        began = self._clock()
        segment = self._recognize(piece)
        now = self._clock()
        self._last = piece, segment
        self._next, self._rested = self.seconds + INTERVAL, now + PACE * (now - began)
        text = join_units(self._shown)
        self._shown = steady(self._shown, _units(segment))
        if join_units(self._shown) != text:
            yield LiveEvent(False, replace(segment, text=join_units(self._shown), words=(), tokens=()))


def steady(shown: Sequence[TimedUnit], found: Sequence[TimedUnit]) -> list[TimedUnit]:
    """The words to show after those that were shown: all but the last `LOOSE` of them stay, and after them come the
    words that were found after these, by their times."""
    fixed = shown[:-LOOSE]
    if [unit.text for unit in found[: len(fixed)]] == [unit.text for unit in fixed]:
        return list(found)
    return [*fixed, *(unit for unit in found if (unit.start + unit.end) / 2 > fixed[-1].end)]


def _units(segment: Segment) -> list[TimedUnit]:
    start, end = round(segment.start * 1000), round(segment.end * 1000)
    return timed_units(start, end, clean_text(segment.text), segment.words)


def _same(one: SpeechSegment, other: SpeechSegment) -> bool:
    return one.start == other.start and len(one.samples) == len(other.samples) and one.whole == other.whole
