"""Writes the utterances of a long recording as an audiofolder of clips: FLAC files beside a ``metadata.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.libsndfile import encode_flac, has_flac
from echo_asr.audio.load import stream_original
from echo_asr.audio.resampling import resample_blocks
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import Utterance
from echo_asr.data.readers.metadata import METADATA
from echo_asr.data.writers.names import plain_name
from echo_asr.storage import replace_file, replace_text

COLUMNS = ("file_name", "transcription", "speaker", "duration", "recording", "start", "end", "channel")


def write_clips(
    folder: Path,
    recording: AudioSegment,
    utterances: Sequence[Utterance],
    done: Callable[[int], None] = lambda count: None,
) -> Path:
    """Write the utterances of a recording as mono FLAC files, and then ``metadata.csv``, which names them and has
    their texts, their times in the recording, and its channel where one is chosen.

    Args:
        folder: is there; a ``metadata.csv`` in it is replaced.
        recording: the whole of a file, perhaps a channel of it.
        utterances: segments of it, in order of time.
        done: is called with the number of clips that are written.

    Raises:
        EchoError: the recording cannot be read, or a file cannot be written; the clips are deleted then, and an
            existing ``metadata.csv`` is as it was.
    """
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    with _deleted_on_failure() as paths:
        for number, row in enumerate(clip_rows(folder, recording, utterances, recording.path.name), 1):
            paths.append(folder / row["file_name"])
            writer.writerow(row)
            done(number)
        replace_text(folder / METADATA, table.getvalue())
    return folder / METADATA


def clip_rows(
    folder: Path, recording: AudioSegment, utterances: Sequence[Utterance], name: str
) -> Iterator[dict[str, str]]:
    """Write the utterances of a recording as mono FLAC files, and tell of each what `COLUMNS` say, once it is written.

    Clips have the sample rate of the recording, and its 16 or 24 bits; 24 also where the recording has more, and 16 kHz
    where it has a rate that FLAC has not. It is read once, from its beginning.

    Args:
        name: of the recording; the names of the clips begin with it.

    Raises:
        StorageError: a file cannot be written.
        EchoError: the recording cannot be read.
    """
    rate, bits, blocks = stream_original(recording)
    if not has_flac(rate):
        rate, blocks = SAMPLE_RATE, resample_blocks(blocks, rate, SAMPLE_RATE)
    segments = [u.audio for u in utterances if isinstance(u.audio, AudioSegment)]
    spans = [(round(s.start * rate), round((s.start + (s.duration or 0.0)) * rate)) for s in segments]
    digits = len(str(len(utterances)))
    clips = zip(utterances, spans, excerpts(blocks, spans), strict=True)
    for number, (utterance, (first, last), samples) in enumerate(clips, 1):
        path = folder / f"{plain_name(Path(name).stem)}-{number:0{digits}d}.flac"
        data = encode_flac(samples, rate, bits)
        replace_file(path, lambda part, data=data: part.write_bytes(data))  # type: ignore[misc]
        yield {
            "file_name": path.name,
            "transcription": utterance.text,
            "speaker": utterance.speaker,
            "duration": f"{len(samples) / rate:.6f}",
            "recording": name,
            "start": f"{first / rate:.6f}",
            "end": f"{last / rate:.6f}",
            "channel": "" if recording.channel is None else str(recording.channel),
        }


@contextmanager
def _deleted_on_failure() -> Iterator[list[Path]]:
    """A list of files that are deleted if the block fails."""
    paths: list[Path] = []
    try:
        yield paths
    except BaseException:
        for path in paths:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def excerpts(blocks: Iterable[np.ndarray], spans: Iterable[tuple[int, int]]) -> Iterator[np.ndarray]:
    """Parts of a recording, from a sample to before another, in the order of their beginnings; they may overlap.

    Args:
        blocks: of the recording, `(S,)`.
    """
    blocks = iter(blocks)
    held, begun = np.zeros(0, np.float32), 0  # samples from number `begun` on
    for first, last in spans:
        while begun + len(held) < last and (block := next(blocks, None)) is not None:
            passed = min(max(first - begun, 0), len(held))
            held, begun = np.concatenate([held[passed:], block]), begun + passed
        yield held[max(first - begun, 0) : max(last - begun, 0)]
