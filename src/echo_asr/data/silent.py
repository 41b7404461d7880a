"""Finds silent recordings (all frames null) that have a text nevertheless."""

from __future__ import annotations

from collections.abc import Sequence

from echo_asr.data.batch import Batch


def find_silent(batch: Batch) -> list[str]:
    """The names of the recordings of a batch, on the CPU, that are silent and have a text."""
    silent = batch.features.null.all(1) & (batch.lengths > 0)
    rows = silent.nonzero()[:, 0].tolist() if batch.names else []
    return [batch.names[row] for row in rows if batch.names[row]]


def describe_silent(names: Sequence[str], examples: int, consequence: str) -> str:
    """A message of one line: how many, the consequence, the first, and what to do.

    Args:
        names: of the silent recordings.
        examples: number of all recordings.
        consequence: as `which ...`.
    """
    one = len(names) == 1
    return (
        f"{len(names)} of {examples} recordings {'is' if one else 'are'} silent (under -60 dBFS, or without any signal "
        f"above 125 Hz) and {'has a text' if one else 'have texts'}, {consequence}; first {names[0]}; record "
        f"{'it' if one else 'them'} again, or leave {'it' if one else 'them'} out"
    )
