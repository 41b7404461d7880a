"""Which clips are gathered, and which are computed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from echo_asr.audio.convert import frames_to_seconds
from echo_asr.features import Features

BATCH_SECONDS = 120.0  # seconds of audio decoded at once, padding included
GROUP_SECONDS = 300.0  # seconds of speech gathered, of one recording or several, before they are decoded
Item = TypeVar("Item")


def gathered(items: Iterable[Item], seconds: Callable[[Item], float], least: float) -> Iterator[list[Item]]:
    """Items in groups of at least so many seconds, the last one perhaps shorter; no group is empty."""
    group: list[Item] = []
    held = 0.0
    for item in items:
        group.append(item)
        held += seconds(item)
        if held >= least:
            yield group
            group, held = [], 0.0
    if group:
        yield group


def batches_to_search(features: Sequence[Features]) -> Iterator[list[int]]:
    """Indices of the clips that are not silent, in batches of similar length."""
    audible = [index for index, clip in enumerate(features) if not clip.null.all()]
    for numbers in batches_by_length([frames_to_seconds(features[index].frames) for index in audible], BATCH_SECONDS):
        yield [audible[number] for number in numbers]


def batches_by_length(durations: Sequence[float], batch_seconds: float) -> Iterator[list[int]]:
    """Indices in groups of similar duration (seconds), each at most `batch_seconds` with its padding."""
    group: list[int] = []
    for index in sorted(range(len(durations)), key=lambda i: -durations[i]):
        if group and durations[group[0]] * (len(group) + 1) > batch_seconds:
            yield group
            group = []
        group.append(index)
    if group:
        yield group
