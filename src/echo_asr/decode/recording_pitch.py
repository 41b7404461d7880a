"""F0 and voicing of recordings of any length, and files of them as CSV or as Praat's PitchTier or Pitch.

Shapes: `T` frames of 10 ms, frame `t` centred at `t / 100` seconds; F0 in Hz, 0 where unvoiced.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from echo_asr.audio import stream_audio
from echo_asr.audio.convert import samples_to_frames, samples_to_seconds, seconds_to_frames
from echo_asr.audio.load import Audio
from echo_asr.console import progress_bar
from echo_asr.decode.files import printable
from echo_asr.decode.outputs import refuse_existing
from echo_asr.decode.segments import SegmentConfig, cut
from echo_asr.errors import EchoError
from echo_asr.features import FeatureExtractor
from echo_asr.features.contours import SpeakerRange, to_csv, to_pitch, to_pitch_tier
from echo_asr.storage import make_folder, replace_text

Format = Literal["csv", "pitchtier", "pitch"]
SUFFIXES: dict[str, str] = {"csv": ".csv", "pitchtier": ".PitchTier", "pitch": ".Pitch"}  # as Praat names its files


@dataclass(frozen=True)
class RecordingPitch:
    """F0 `(T,)` in Hz, 0 where unvoiced, and periodicity `(T,)`, 0 to 1, of a recording of `duration` seconds."""

    f0: np.ndarray
    periodicity: np.ndarray
    duration: float


def measure_pitch(
    source: Audio, extractor: FeatureExtractor | None = None, segments: SegmentConfig | None = None
) -> RecordingPitch:
    """The F0 of a recording, which is read in blocks, cut at its pauses and measured segment by segment, as for
    transcription. Beyond the segments it is unvoiced. Samples of a long recording are never held all at once.

    Args:
        source: a path, a segment of a file, or samples at 16 kHz.
        extractor: its tracker measures; the default one unless given.
        segments: settings of the segmentation.

    Raises:
        EchoError: the recording cannot be read.
    """
    extractor = extractor or FeatureExtractor()
    samples = 0

    def counted(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        nonlocal samples
        for block in blocks:
            samples += len(block)
            yield block

    found: list[tuple[int, np.ndarray]] = []  # the first frame of each segment, and its F0 and periodicity
    for segment in cut(counted(stream_audio(source)), segments or SegmentConfig()):
        measured = extractor.measure_acoustic(segment.samples, segment.loudest).pitch.numpy()
        found.append((round(seconds_to_frames(segment.start)), measured[[0, 2]].copy()))
    frames = samples_to_frames(samples)
    pitch = np.zeros((2, frames), np.float32)
    for first, values in found:
        part = pitch[:, first : first + values.shape[1]]
        part[:] = values[:, : part.shape[1]]
    return RecordingPitch(pitch[0], pitch[1], samples_to_seconds(samples))


def render_pitch(found: RecordingPitch, form: str) -> str:
    """The whole content of a recording's file in a format of `SUFFIXES`. Semitones and levels of the CSV are about the
    recording's own median and range.

    Raises:
        EchoError: there is no such format.
    """
    if form == "csv":
        return to_csv(found.f0, found.periodicity, SpeakerRange.of(found.f0))
    if form == "pitchtier":
        return to_pitch_tier(found.f0, found.duration)
    if form == "pitch":
        return to_pitch(found.f0, found.periodicity, found.duration)
    raise EchoError(f"format {form!r}: there is no such format; choose one of {', '.join(SUFFIXES)}")


def pitch_targets(
    paths: Sequence[Path],
    form: str = "csv",
    folder: Path | None = None,
    skip_existing: bool = False,
    overwrite: bool = False,
) -> dict[Path, Path]:
    """The file that is written for each recording, none without a folder, which is made; the arguments are those of
    `write_pitch`.

    Raises:
        EchoError: as of `write_pitch`.
    """
    if not folder and skip_existing:
        raise EchoError("--skip-existing looks into the folder of the files; name it: --output-dir")
    if not folder and len(paths) > 1 and form != "csv":
        raise EchoError(f"{len(paths)} recordings make {len(paths)} files of Praat; name a folder: --output-dir")
    targets = {path: folder / f"{path.stem}{SUFFIXES[form]}" for path in paths} if folder else {}
    twice = [str(target) for target, count in Counter(targets.values()).items() if count > 1]
    if twice:
        raise EchoError(f"{twice[0]}: several recordings would be written there; rename them, or run them apart")
    if folder:
        make_folder(folder, "choose another --output-dir")
    refuse_existing(targets.values(), overwrite or skip_existing, "or give --skip-existing or --overwrite")
    return targets


def write_pitch(
    paths: Sequence[Path],
    form: str = "csv",
    folder: Path | None = None,
    skip_existing: bool = False,
    extractor: FeatureExtractor | None = None,
    overwrite: bool = False,
) -> int:
    """Write the F0 of recordings to `folder/NAME.csv` (`.PitchTier`, `.Pitch`), or to standard output; returns the exit
    status.

    A file that cannot be read is reported on standard error, and the status is then 1. The CSV of several recordings on
    standard output has a column `file` before the others.

    Args:
        skip_existing: skip recordings whose output exists in the folder.
        overwrite: files that are there are replaced.

    Raises:
        EchoError: the folder cannot be written, a file is there already, two recordings would have the same output, or
            several would be printed where a format has one recording a file.
    """
    targets = pitch_targets(paths, form, folder, skip_existing, overwrite)
    asked = [path for path in paths if not (skip_existing and targets[path].is_file())]
    if len(asked) < len(paths):
        print(f"echo-asr pitch: {len(paths) - len(asked)} of {len(paths)} are there already", file=sys.stderr)
    extractor = extractor or FeatureExtractor()
    failed, printed = 0, 0
    with progress_bar("recordings", len(asked)) as advance:
        for number, path in enumerate(asked, 1):
            try:
                found = measure_pitch(path, extractor)
            except EchoError as error:
                failed += 1
                print(f"echo-asr pitch: {error}", file=sys.stderr)
                continue
            if folder:
                replace_text(targets[path], render_pitch(found, form))
            elif len(paths) == 1:
                print(render_pitch(found, form), end="", flush=True)
            else:
                speaker = SpeakerRange.of(found.f0)
                rows = to_csv(found.f0, found.periodicity, speaker, printable(path), head=not printed)
                print(rows, end="", flush=True)
                printed += 1
            advance(number, "")
    if failed and len(paths) > 1:
        print(f"echo-asr pitch: F0 of {failed} of {len(paths)} files could not be measured", file=sys.stderr)
    return 1 if failed else 0
