"""Decoded audio as an iterator of blocks of samples, so that a long recording is never whole in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from echo_asr.audio.segment import AudioSegment

Blocks = Iterator[np.ndarray]  # (S, channels) float32


@dataclass(frozen=True)
class Recording:
    """An opened recording. Each call of `blocks()` decodes it from its beginning."""

    rate: int  # Hz
    blocks: Callable[[], Blocks]
    seconds: float = 0.0  # as stated by its header; 0 if it states none
    bits: int = 16  # of a sample of its format, 16 or 24; 16 for compressed formats, 24 for floating point


def cut_blocks(blocks: Blocks, segment: AudioSegment, rate: int) -> Blocks:
    """The blocks of a segment of a recording, from the blocks of the whole recording.

    Raises:
        EchoError: the segment does not lie in the recording.
    """
    first, stop = segment.bounds(rate)
    read = 0
    for block in blocks:
        part = block[max(0, first - read) : None if stop is None else max(0, stop - read)]
        read += len(block)
        if len(part):
            yield part
        if stop is not None and read >= stop:
            return
    segment.samples(rate, read)  # raises if the segment ends too far after the recording
