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


def resample_blocks(blocks: Iterable[np.ndarray], rate_from: int, rate_to: int) -> Iterator[np.ndarray]:
    """Blocks `(S,)` or `(S, channels)` of one recording at another rate, without a seam; at least one sample."""
    if rate_from == rate_to:
        yield from blocks
        return
    stream, made, last = None, 0, None
    for block in blocks:
        if stream is None:
            channels = 1 if block.ndim == 1 else block.shape[1]
            stream = soxr.ResampleStream(rate_from, rate_to, channels, dtype="float32")
        last = block
        part = stream.resample_chunk(block)
        made += len(part)
        if len(part):
            yield part
    if stream is not None and last is not None:
        rest = stream.resample_chunk(last[:0], last=True)
        if len(rest) or not made:
            yield rest if len(rest) else last[:1]
