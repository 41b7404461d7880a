"""F0 contours as phoneticians plot and exchange them: semitones, Chao's levels, CSV, and the files of Praat.

Shapes: `T` frames of 10 ms, frame `t` centred at `t / 100` seconds; F0 in Hz, 0 where unvoiced.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np

FRAME = 0.01  # seconds
CEILING = 600.0  # Hz, the highest F0 that Praat is told to expect
EDGES = (5.0, 95.0)  # percentiles of a speaker's F0 between which the five levels lie


@dataclass(frozen=True)
class SpeakerRange:
    """How high a speaker's voice is: of all voiced frames, in Hz.

    Attributes:
        median: of F0.
        low, high: the 5th and the 95th percentile.
    """

    median: float
    low: float
    high: float

    @staticmethod
    def of(f0: np.ndarray) -> SpeakerRange | None:
        """The range of F0 `(any,)` in Hz, 0 where unvoiced; None where nothing is voiced."""
        voiced = f0[f0 > 0]
        if not voiced.size:
            return None
        low, high = np.percentile(voiced, EDGES)
        return SpeakerRange(float(np.median(voiced)), float(low), float(high))

    def semitones(self, f0: np.ndarray) -> np.ndarray:
        """F0 about the speaker's median, `12 log2(f / median)`; NaN where unvoiced."""
        with np.errstate(divide="ignore"):
            found: np.ndarray = np.where(f0 > 0, 12.0 * np.log2(f0 / self.median), np.nan)
        return found

    def levels(self, f0: np.ndarray) -> np.ndarray:
        """F0 on Chao's scale, 1 (low) to 5 (high), not rounded; NaN where unvoiced.

        `1 + 4 (log f - log low) / (log high - log low)`, kept within 1 to 5. A voice without range is at 3.
        """
        span = np.log(self.high / self.low)
        with np.errstate(divide="ignore"):
            place = (np.log(np.where(f0 > 0, f0, np.nan)) - np.log(self.low)) / span if span > 0 else f0 * 0.0 + 0.5
        found: np.ndarray = np.where(f0 > 0, np.clip(1.0 + 4.0 * place, 1.0, 5.0), np.nan)
        return found


def to_csv(
    f0: np.ndarray,
    periodicity: np.ndarray,
    speaker: SpeakerRange | None = None,
    file: str | None = None,
    head: bool = True,
) -> str:
    """Time in seconds, F0 in Hz, voicing, and with a speaker's range semitones and level, a row a frame of `(T,)`.

    F0 and what follows from it are empty where a frame is unvoiced.

    Args:
        speaker: the range; None where nothing is voiced, with empty semitones and levels.
        file: written in a column before the others; None for no such column.
        head: write the names of the columns first.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    before = () if file is None else (file,)
    if head:
        names = ("time", "hertz", "voiced", "periodicity", "semitones", "chao")
        writer.writerow((*(("file",) if before else ()), *names))
    semitones, levels = (speaker.semitones(f0), speaker.levels(f0)) if speaker else (f0, f0)
    for frame, hertz in enumerate(f0):
        relative = (two_decimals(semitones[frame]), two_decimals(levels[frame])) if hertz > 0 and speaker else ("", "")
        measured = (f"{hertz:.2f}" if hertz > 0 else "", int(hertz > 0), f"{periodicity[frame]:.3f}")
        writer.writerow((*before, f"{frame * FRAME:.2f}", *measured, *relative))
    return out.getvalue()


def two_decimals(value: float) -> str:
    """A number as text, never `-0.00`."""
    return f"{round(float(value), 2) + 0.0:.2f}"


def to_pitch_tier(f0: np.ndarray, duration: float) -> str:
    """Praat's PitchTier, as text: a point for each voiced frame."""
    voiced = np.flatnonzero(f0 > 0)
    lines = ['File type = "ooTextFile"', 'Object class = "PitchTier"', "", "xmin = 0", f"xmax = {duration:.6f}",
             f"points: size = {len(voiced)}"]  # fmt: skip
    for number, frame in enumerate(voiced, 1):
        lines += [f"points [{number}]:", f"    number = {frame * FRAME:.2f}", f"    value = {f0[frame]:.4f}"]
    return "\n".join(lines) + "\n"


def to_pitch(f0: np.ndarray, periodicity: np.ndarray, duration: float) -> str:
    """Praat's Pitch, as text: a candidate a frame, of 0 Hz where it is unvoiced, with its periodicity as strength.

    Praat wants frames that lie within the recording, so that one at its very end is left out.
    """
    frames = min(len(f0), max(1, int(np.ceil(duration / FRAME - 1e-9))))
    lines = ['File type = "ooTextFile"', 'Object class = "Pitch 1"', "", "xmin = 0", f"xmax = {duration:.6f}",
             f"nx = {frames}", f"dx = {FRAME}", "x1 = 0", f"ceiling = {CEILING:g}", "maxnCandidates = 1",
             "frames []:"]  # fmt: skip
    for frame in range(frames):
        lines += [
            f"    frames [{frame + 1}]:", "        intensity = 1", "        nCandidates = 1", "        candidates []:",
            "            candidates [1]:", f"                frequency = {f0[frame]:.4f}",
            f"                strength = {periodicity[frame]:.4f}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"
