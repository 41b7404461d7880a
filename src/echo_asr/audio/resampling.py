"""Resampling by soxr, at its high quality."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr


def resample(samples: np.ndarray, rate_from: float, rate_to: float) -> np.ndarray:
    """Samples `(S,)` at `rate_from` Hz as samples at `rate_to` Hz, at least one."""
    resampled = soxr.resample(samples, rate_from, rate_to)
    # A clip shorter than half an output sample resamples to nothing; it stays one sample.
    return resampled if resampled.size else samples[:1]


class BlockResampler:
    """Resamples blocks `(S,)` or `(S, channels)` float32 of one recording, without a seam.

    Args:
        rate_from, rate_to: Hz.
    """

    def __init__(self, rate_from: int, rate_to: int) -> None:
        self._rates = rate_from, rate_to
        self._stream: soxr.ResampleStream | None = None
        self._last: np.ndarray | None = None
        self._made = 0

    def add(self, block: np.ndarray) -> np.ndarray:
        """The samples that are known after a block; perhaps none, since the filter needs what follows."""
        if self._rates[0] == self._rates[1]:
            return block
        if self._stream is None:
            channels = 1 if block.ndim == 1 else block.shape[1]
            self._stream = soxr.ResampleStream(*self._rates, channels, dtype="float32")
        self._last = block
        part = self._stream.resample_chunk(block)
        self._made += len(part)
        return part

    def finish(self) -> np.ndarray | None:
        """The last samples, at least one of a recording that has any; None where there are none."""
        if self._stream is None or self._last is None:
            return None
        rest = self._stream.resample_chunk(self._last[:0], last=True)
        if len(rest):
            return rest
        return None if self._made else self._last[:1]


def resample_blocks(blocks: Iterable[np.ndarray], rate_from: int, rate_to: int) -> Iterator[np.ndarray]:
    """Blocks `(S,)` or `(S, channels)` of one recording at another rate, without a seam; at least one sample."""
    if rate_from == rate_to:
        yield from blocks
        return
    resampler = BlockResampler(rate_from, rate_to)
    for block in blocks:
        part = resampler.add(block)
        if len(part):
            yield part
    rest = resampler.finish()
    if rest is not None:
        yield rest
