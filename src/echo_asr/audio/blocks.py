"""Audio on its way from a decoder: in blocks of samples, so that it never has to be whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from echo_asr.audio.segment import AudioSegment

Blocks = Iterator[np.ndarray]  # (S, channels) float32


@dataclass(frozen=True)
class Recording:
    """What a decoder gives: `blocks()` begins anew whenever it is called."""

    rate: int  # Hz
    blocks: Callable[[], Blocks]
    seconds: float = 0.0  # as its header says; 0: it does not say


def cut_blocks(blocks: Blocks, stretch: AudioSegment, rate: int) -> Blocks:
    """The stretch of a recording of which all is decoded from the beginning.

    Raises:
        EchoError: it is no stretch of the recording.
    """
    first, stop = stretch.bounds(rate)
    read = 0
    for block in blocks:
        part = block[max(0, first - read) : None if stop is None else max(0, stop - read)]
        read += len(block)
        if len(part):
            yield part
        if stop is not None and read >= stop:
            return
    stretch.samples(rate, read)  # it reaches beyond the end: further than is let pass?
