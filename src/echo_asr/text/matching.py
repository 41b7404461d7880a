"""Aligns two long texts by their characters, such as a transcript and what was recognised of its recording.

Either may have long passages that the other has not. Short sequences of characters that occur once in each fix the
alignment where they agree on their order (as in MUMmer, Delcher et al. 1999); what is between is aligned by dynamic
programming with gaps whose cost does not depend on their length (after Gotoh 1982).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

MATCH, OTHER, GAP = 3, -1, -6  # scores: equal characters, different ones, and a passage that one text alone has
LENGTHS = (9, 7, 5, 4)  # characters of the sequences that fix the alignment, the longest first
CELLS = 4_000_000  # pairs of characters that are compared at once, at most
NEAR = 200  # characters within which sequences support one another
SUPPORT = 2  # sequences that must support one
DRIFT = 0.25  # of the distance between two sequences, by which it may differ between the texts
_LOWEST = np.int32(-(2**30))

Region = tuple[int, int, int, int]  # characters of the first text, from and to, and of the second


def match_characters(first: str, second: str) -> np.ndarray:
    """The number of the character of `second` that each character of `first` is aligned with, or -1: `(len(first),)`.

    Numbers increase. Characters that are aligned may differ. Time and memory are about linear in the lengths.
    """
    codes = [np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4") for text in (first, second)]
    _, dense = np.unique(np.concatenate(codes), return_inverse=True)
    one, other = dense[: len(codes[0])], dense[len(codes[0]) :]
    found = np.full(len(one), -1, np.int64)
    waiting: list[tuple[Region, int]] = [((0, len(one), 0, len(other)), 0)]
    while waiting:
        region, level = waiting.pop()
        a, b, c, d = region
        if a == b or c == d:
            continue
        if (b - a) * (d - c) <= CELLS:
            found[a:b] = _aligned(one[a:b], other[c:d], c)
        elif level < len(LENGTHS):
            anchors = list(_anchors(one, other, region, LENGTHS[level]))
            level += not anchors  # a part of the region has other sequences that occur once
            for start, end, place in anchors:
                found[start:end] = np.arange(place, place + end - start)
                waiting.append(((a, start, c, place), level))
                a, c = end, place + end - start
            waiting.append(((a, b, c, d), level))
    return found


def _anchors(one: np.ndarray, other: np.ndarray, region: Region, length: int) -> Iterator[tuple[int, int, int]]:
    """Passages of a region that both texts have, in order: from and to in the first text, and from in the second."""
    a, b, c, d = region
    left, right = _unique_sequences(one[a:b], length), _unique_sequences(other[c:d], length)
    _, places, partners = np.intersect1d(left[0], right[0], assume_unique=True, return_indices=True)
    order = np.argsort(left[1][places])
    starts, others = left[1][places][order] + a, right[1][partners][order] + c
    chain = _longest_increasing(others.tolist())
    starts, others = starts[chain], others[chain]
    kept = _supported(starts, others)
    end, after, open_start, open_place = a, c, -1, -1
    for start, place in zip(starts[kept].tolist(), others[kept].tolist(), strict=True):
        same = open_start >= 0 and start - open_start == place - open_place and start <= end
        if not same and (start < end or place < after):
            continue
        if not same:
            if open_start >= 0:
                yield open_start, end, open_place
            open_start, open_place = start, place
        end, after = start + length, place + length
    if open_start >= 0:
        yield open_start, end, open_place


def _unique_sequences(codes: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the sequences that occur once, in increasing order, and where these begin."""
    count = max(0, len(codes) - length + 1)
    hashes = np.zeros(count, np.uint64)
    for place in range(length):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + codes[place : place + count].astype(np.uint64) + np.uint64(1)
    values, places, counts = np.unique(hashes, return_index=True, return_counts=True)
    return values[counts == 1], places[counts == 1]


def _longest_increasing(values: list[int]) -> list[int]:
    """The indices of a longest increasing subsequence."""
    tails: list[int] = []  # values
    ends: list[int] = []  # their indices
    before = [-1] * len(values)
    for index, value in enumerate(values):
        place = bisect_left(tails, value)
        before[index] = ends[place - 1] if place else -1
        tails[place : place + 1] = [value]
        ends[place : place + 1] = [index]
    chain = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chain.append(index)
        index = before[index]
    return chain[::-1]


def _supported(starts: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Whether others near each sequence are at about the same distance from it in both texts."""
    support = np.zeros(len(starts), np.int64)
    for step in range(1, SUPPORT + 1):
        apart, other = starts[step:] - starts[:-step], places[step:] - places[:-step]
        agree = (apart <= NEAR) & (np.abs(apart - other) <= DRIFT * apart + 2)
        support[step:] += agree
        support[:-step] += agree
    return support >= SUPPORT


def _aligned(one: np.ndarray, other: np.ndarray, offset: int) -> np.ndarray:
    """The partner of each character in the alignment with the highest score, plus `offset`; -1 for none."""
    rows, columns = len(one), len(other)
    best = np.full(columns + 1, GAP, np.int32)  # the score of ending here: over the second text's characters
    best[0] = 0
    skipped = np.full(columns + 1, _LOWEST, np.int32)  # of ending in a passage that the first text alone has
    steps = np.zeros((rows + 1, columns + 1), np.uint8)  # 0 a pair, 1 a passage of the first text, 2 of the second
    opened = np.zeros((rows + 1, columns + 1), bool)  # a passage of the first text begins with this character
    begun = np.zeros((rows + 1, columns + 1), bool)  # a passage of the second text begins with this character
    steps[0, 1:] = 2
    begun[0, 1] = True
    for row in range(1, rows + 1):
        opened[row] = best + GAP >= skipped
        skipped = np.maximum(skipped, best + GAP)
        paired = np.empty(columns + 1, np.int32)
        paired[0] = _LOWEST
        paired[1:] = best[:-1] + np.where(other == one[row - 1], np.int32(MATCH), np.int32(OTHER))
        closed = np.maximum(paired, skipped)
        steps[row] = skipped > paired
        gap = np.full(columns + 1, _LOWEST, np.int32)
        gap[1:] = np.maximum.accumulate(closed[:-1]) + GAP
        begun[row, 1:] = closed[:-1] + GAP == gap[1:]
        steps[row][gap > closed] = 2
        best = np.maximum(closed, gap)
    found = np.full(rows, -1, np.int64)
    row, column = rows, columns
    while row and column:
        step = steps[row, column]
        if step == 0:
            row, column = row - 1, column - 1
            found[row] = offset + column
        elif step == 1:
            while not opened[row, column]:
                row -= 1
            row -= 1
        else:
            while not begun[row, column]:
                column -= 1
            column -= 1
    return found
