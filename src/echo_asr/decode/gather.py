"""Gathers the speech of recordings of any length, and of any number of them, for decoding in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from echo_asr.audio import stream_audio
from echo_asr.audio.convert import samples_to_seconds
from echo_asr.audio.load import Audio
from echo_asr.decode.memory import release_memory
from echo_asr.decode.segments import SegmentConfig, SpeechSegment, cut
from echo_asr.errors import EchoError


@dataclass(frozen=True)
class RecordingEnd:
    """A recording was read to its end, or could not be."""

    duration: float  # seconds
    error: EchoError | None = None


Waiting = list[tuple[int, SpeechSegment | RecordingEnd]]  # numbers of recordings, and what is to be decoded or ended


def gather_speech(
    sources: Iterable[Audio], sampling_rate: int | None, config: SegmentConfig, least: float
) -> Iterator[Waiting]:
    """The segments of recordings, read one after another, in groups of at least so many seconds, the last one perhaps
    shorter; after the segments of a recording its end.

    Args:
        sampling_rate: Hz, of sources that are samples.
    """
    waiting: Waiting = []
    held = 0.0
    for index, source in enumerate(sources):
        clock = _Clock()
        error: EchoError | None = None
        try:
            for piece in cut(clock.count(stream_audio(source, sampling_rate)), config):
                waiting.append((index, piece))
                held += piece.seconds
                if held >= least:
                    yield waiting
                    waiting, held = [], 0.0
                    release_memory()
        except EchoError as unreadable:
            error = unreadable
        waiting.append((index, RecordingEnd(clock.seconds, error)))
    yield waiting


class _Clock:
    """Counts the seconds of audio that pass."""

    seconds = 0.0

    def count(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block in blocks:
            self.seconds += samples_to_seconds(len(block))
            yield block
