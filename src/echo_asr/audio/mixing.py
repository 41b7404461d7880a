"""Mixes channels to mono by their mean, unless they cancel each other in it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

import numpy as np

from echo_asr.audio.blocks import Blocks
from echo_asr.errors import EchoError

WINDOW = 0.5  # seconds over which channels are compared with their mean
PER_SECOND = 4000  # samples a second that are compared
# Power of the mean, relative to what channels without relation would give (the sum of their powers by the square of
# their number): 1 for one live channel, or a speaker in each; their number for equal channels; 0 for opposite ones.
CANCELLED = 0.25
AUDIBLE = 1e-3  # power of a window that counts, relative to the loudest
SHARE = 0.05  # of the windows that count, from which on the mean is not taken


def to_mono(
    blocks: Callable[[], Blocks], name: str, file: str, rate: int, channel: int | None = None
) -> Iterator[np.ndarray]:
    """Blocks `(S,)` of one channel, counted from 0; None: of the mean of all.

    Where the mean is far below the channels, as with a cable of reversed polarity, the loudest channel is taken
    instead, throughout the recording, with a warning. Only the whole recording shows that, so that one of several
    channels and more than a block is decoded twice.

    Args:
        name: of the recording or segment, for the error.
        file: its file, for the warning.
        rate: Hz.

    Raises:
        EchoError: there is no such channel.
    """
    if channel is not None:
        for block in blocks():
            count = block.shape[1]
            if not 0 <= channel < count:
                raise EchoError(f"{name}: has {count} channel{'s' * (count > 1)}, counted from 0; correct the channel")
            yield block[:, channel]
        return
    opened = blocks()
    beginning = list(islice(opened, 2))
    again: Iterable[np.ndarray] = chain(beginning, opened)
    taken = None
    if beginning and beginning[0].shape[1] != 1:
        taken = loudest_if_cancelled(again, rate)
        again = beginning if len(beginning) < 2 else blocks()
    if taken is not None:
        what = f"its loudest, channel {taken} (from 0), is taken alone"
        mend = "check its cables, or name the channel that holds the speech"
        warnings.warn(f"{file}: its channels cancel each other when averaged; {what}: {mend}", stacklevel=2)
    for block in again:
        if block.shape[1] == 1:
            yield block[:, 0]
        elif taken is None:
            yield block @ np.full(block.shape[1], 1 / block.shape[1], np.float32)
        else:
            yield block[:, min(taken, block.shape[1] - 1)]


def loudest_if_cancelled(blocks: Iterable[np.ndarray], rate: int) -> int | None:
    """The loudest channel of a recording whose channels cancel each other; None where they do not.

    A recording in which they do so for part of the time, or in which all but one channel do, counts as well.
    """
    every = max(1, rate // PER_SECOND) | 1  # decimation leaves power as it is; an odd step avoids common tones
    size = max(1, round(WINDOW * rate / every))
    alone, mixed, loudness = list[np.ndarray](), list[np.ndarray](), np.zeros(0)
    for windows in _windows(blocks, every, size):
        if not np.isfinite(windows).all():
            return None  # refused where the blocks are loaded
        channels = len(windows)
        power = _power(windows)
        alone.append(power.sum(axis=0))
        mixed.append(_power(windows.sum(axis=0)))  # of the sum: the mean and both powers are divided by the same
        loudness = np.pad(loudness, (0, max(0, channels - len(loudness))))
        loudness[:channels] += power.sum(axis=1) * windows.shape[2]
    powers, sums = np.concatenate([np.zeros(1), *alone]), np.concatenate([np.zeros(1), *mixed])
    counts = powers > AUDIBLE * powers.max()
    lost = counts & (sums < CANCELLED * powers)
    if not lost.sum() > SHARE * counts.sum():
        return None
    return int(np.argmax(loudness > 0.98 * loudness.max()))  # of equal ones the first, also after rounding


def _power(windows: np.ndarray) -> np.ndarray:
    """Mean power `(..., windows)` of windows `(..., windows, samples)`; a constant offset does not count."""
    return np.square(windows - windows.mean(axis=-1, keepdims=True)).mean(axis=-1, dtype=np.float64)


def _windows(blocks: Iterable[np.ndarray], every: int, size: int) -> Iterator[np.ndarray]:
    """Windows `(channels, windows, size)` of every so many samples, wherever the blocks end; the last is shorter."""
    kept: np.ndarray | None = None
    skip = 0
    for block in blocks:
        taken = block[skip::every].T
        skip = (skip - len(block)) % every
        if kept is not None and len(kept) != len(taken):  # another recording follows in the same file
            yield kept[:, None]
            kept = None
        taken = taken if kept is None else np.concatenate([kept, taken], axis=1)
        whole = taken.shape[1] // size * size
        if whole:
            yield taken[:, :whole].reshape(len(taken), -1, size)
        kept = taken[:, whole:] if whole < taken.shape[1] else None
    if kept is not None:
        yield kept[:, None]
