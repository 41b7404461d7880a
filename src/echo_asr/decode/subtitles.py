"""A transcription as subtitles: cues that fit on a screen, stay long enough to be read, and never overlap.

The limits are those of the style guides that editors check against (Netflix, Timed Text Style Guide: General
Requirements). Times are whole milliseconds unless stated otherwise; widths are columns.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from echo_asr.decode.results import Segment, Transcription, Word
from echo_asr.text.linebreak import clean_text, display_width, unbreakable_parts

LINE = 42  # columns of a line; a cue has at most two lines
SHORTEST, LONGEST = 1_000, 7_000  # ms that a cue lasts; the shortest where there is room before the next
GAP = 80  # ms, two frames at 25 a second: a shorter dark moment between two cues flickers, and is closed

# A segment is split into few, even cues that end at pauses. A cue costs CUE, and the square
# of how full it is (0 to 1). A break costs as follows, less its pause (seconds, up to one): after a full stop, after a
# comma, and elsewhere where there is no space, perhaps in a word.
CUE, SENTENCE, CLAUSE, UNSPACED = 2.0, -0.6, -0.3, 0.5
TOO_LONG = 10.0  # a cue over LONGEST costs this, and one more for each second over it
BREAK_COLUMNS = 40.0  # within a cue, this times a break's cost weighs as much as a column of unevenness
_CLAUSES, _SENTENCES = tuple(",;:，、；：،؛–—"), tuple(".?!…。？！؟।")
_CLOSING = "\"'”’»)]）」』"  # may stand between those and the space


class Cue(NamedTuple):
    """Lines shown together, from `start` to `end` in ms."""

    start: int
    end: int
    lines: tuple[str, ...]


class TimedUnit(NamedTuple):
    """An unbreakable part of a text, mostly a word: its width in columns, whether a space precedes it, its times in
    ms."""

    text: str
    width: int
    spaced: bool
    start: int
    end: int


def make_cues(found: Transcription) -> list[Cue]:
    """The cues of a recording, in order.

    A cue has one or two lines of at most `LINE` columns, and lasts `SHORTEST` (less only where the next cue or the
    end of the recording is nearer) to `LONGEST`. The time between two cues is 0 or at least `GAP`. None exceeds
    the recording, unless that is shorter than `SHORTEST`, or than a millisecond a cue. This holds for any
    times in `found`: those that are not finite or not in order are replaced by the nearest possible ones.
    """
    drafts = [cue for span in segment_spans(found) for cue in _split(timed_units(*span))]
    return _settle(drafts, max(duration_ms(found), SHORTEST, len(drafts)))


def segment_spans(found: Transcription) -> list[tuple[int, int, str, tuple[Word, ...]]]:
    """Start and end (ms), text on one line, and words of each segment that has a text.

    The times are in order and do not overlap. A transcription without segments counts as one.
    """
    segments = found.segments or (Segment(0.0, found.duration, found.text),)
    spoken = [(segment, text) for segment in segments if (text := clean_text(segment.text))]
    spans = ordered_spans([(segment.start, segment.end) for segment, _ in spoken], 0, duration_ms(found))
    return [(*span, text, segment.words) for span, (segment, text) in zip(spans, spoken, strict=True)]


def _milliseconds(seconds: float) -> int | None:
    """Whole ms, or None where the time is not finite."""
    value = float(seconds) * 1000
    return round(value) if math.isfinite(value) else None


def duration_ms(found: Transcription) -> int:
    """The duration of the recording in ms; the end of its last segment if not known."""
    length = _milliseconds(found.duration) or 0
    return length if length > 0 else max([0, *(_milliseconds(segment.end) or 0 for segment in found.segments)])


def ordered_spans(times: Sequence[tuple[float, float]], low: int, high: int) -> list[tuple[int, int]]:
    """Starts and ends (seconds) in whole ms within `low` to `high`, changed where they overlap or are not in order.

    No start is before the one before it, and no end after the next start. A start that is not finite becomes that of
    the one before it, an end the next start.
    """
    starts: list[int] = []
    for seconds, _ in times:
        earliest, start = starts[-1] if starts else low, _milliseconds(seconds)
        starts.append(min(max(earliest, earliest if start is None else start), high))
    ends = []
    for (_, seconds), start, latest in zip(times, starts, [*starts, high][1:], strict=True):
        end = _milliseconds(seconds)
        ends.append(latest if end is None else min(max(start, end), latest))
    return list(zip(starts, ends, strict=True))


def timed_units(start: int, end: int, text: str, words: Sequence[Word]) -> list[TimedUnit]:
    """A segment's units at the times of its words; where these do not spell its text, its time is divided evenly among
    its characters."""
    whole = "".join(text.split())
    spelt = ["".join(clean_text(word.word).split()) for word in words]
    spans = ordered_spans([(word.start, word.end) for word in words], start, end)
    if "".join(spelt) != whole:
        spelt, spans = [whole], [(start, end)]
    times: list[tuple[int, int]] = []  # of each character that is no space
    for word, (first, last) in zip(spelt, spans, strict=True):
        times += pairwise(first + (last - first) * index // max(len(word), 1) for index in range(len(word) + 1))
    units, done = [], 0
    for part_text, spaced in unbreakable_parts(text, LINE):
        begun, done = done, done + len("".join(part_text.split()))
        units.append(TimedUnit(part_text, display_width(part_text), spaced, times[begun][0], times[done - 1][1]))
    return units


def _split(units: Sequence[TimedUnit]) -> list[Cue]:
    """Split a segment into cues of at most two lines at the lowest cost, by dynamic programming over its breaks."""
    count = len(units)
    columns = list(accumulate((unit.width + unit.spaced for unit in units), initial=0))  # before each unit
    reach = [bisect_right(columns, columns[i] + unit.spaced + LINE) - 1 for i, unit in enumerate(units)] + [count]
    pauses = [min((after.start - before.end) / 1000, 1.0) for before, after in pairwise(units)]
    breaks = [0.0, *(_break_cost(units, i) - pause for i, pause in enumerate(pauses, 1))]
    costs, origins = [0.0] + [math.inf] * count, [0] * (count + 1)
    for first, unit in enumerate(units):
        before, left = costs[first] + CUE, columns[first] + unit.spaced
        for after in range(first + 1, reach[reach[first]] + 1):
            spoken_ms = units[after - 1].end - unit.start
            shown = units[after].start - unit.start if after < count else spoken_ms
            cost = before + ((columns[after] - left) / (2 * LINE)) ** 2
            if after < count:
                cost += breaks[after]
            if shown < SHORTEST:
                cost += 1 - shown / SHORTEST
            if spoken_ms > LONGEST and after - first > 1:
                cost += TOO_LONG + (spoken_ms - LONGEST) / 1000
            if cost < costs[after]:
                costs[after], origins[after] = cost, first
    cues: list[Cue] = []
    while count:
        part = units[origins[count] : count]
        cues.append(Cue(part[0].start, part[-1].end, _lines(part)))
        count = origins[count]
    return cues[::-1]


def _break_cost(units: Sequence[TimedUnit], index: int) -> float:
    """The cost of a break before a unit, by the punctuation there."""
    before = units[index - 1].text.rstrip(_CLOSING)
    if before.endswith(_SENTENCES + _CLAUSES):
        return SENTENCE if before.endswith(_SENTENCES) else CLAUSE
    return 0.0 if units[index].spaced else UNSPACED


def _lines(units: Sequence[TimedUnit]) -> tuple[str, ...]:
    """One line, or two of lengths as even as possible, preferably broken at punctuation and with the lower one
    longer."""
    line = join_units(units)
    if display_width(line) <= LINE:
        return (line,)
    choices = []
    for index in range(1, len(units)):
        pair = join_units(units[:index]), join_units(units[index:])
        upper, lower = map(display_width, pair)
        if max(upper, lower) <= LINE:
            choices.append((abs(upper - lower) + (upper > lower) + BREAK_COLUMNS * _break_cost(units, index), pair))
    return min(choices)[1]


def join_units(units: Sequence[TimedUnit]) -> str:
    """The text of units."""
    return "".join(" " * unit.spaced + unit.text for unit in units).strip()


def _settle(drafts: Sequence[Cue], limit: int) -> list[Cue]:
    """Adjust the times of cues: in order, without overlap, within the limits of duration, up to `limit` ms.

    Cues that would begin within `GAP` of each other share the time until the next. The last one may begin before it is
    spoken, where the recording would end too soon after.
    """
    starts: list[int] = []
    while len(starts) < len(drafts):
        index, first = len(starts), drafts[len(starts)].start
        after = next((i for i in range(index, len(drafts)) if drafts[i].start >= first + GAP), len(drafts))
        room = (drafts[after].start if after < len(drafts) else limit) - first
        step = min(SHORTEST, room // (after - index))
        starts += [first + step * place for place in range(after - index)]
    if starts and starts[-1] > limit - SHORTEST:
        earliest = max(drafts[-2].end, starts[-2] + SHORTEST) if len(starts) > 1 else 0
        starts[-1] = min(starts[-1], max(earliest, limit - SHORTEST))
    for index, start in enumerate(starts):  # a millisecond at least for each, and for those still to come
        earliest = starts[index - 1] + 1 if index else 0
        starts[index] = min(max(start, earliest), limit - (len(starts) - index))
    cues: list[Cue] = []
    for draft, start, latest in zip(drafts, starts, [*starts, limit][1:], strict=True):
        end = min(max(draft.end, start + SHORTEST), start + LONGEST, latest)
        if 0 < latest - end < GAP and len(cues) < len(drafts) - 1:
            end = latest if latest - start <= LONGEST else latest - GAP
        cues.append(Cue(start, end, draft.lines))
    return cues
