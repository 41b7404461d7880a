"""Texts that CTC cannot align: they take more frames than their recordings have, and their loss counts as 0."""

from __future__ import annotations

from collections.abc import Mapping

from echo_asr.data.batch import Batch
from echo_asr.model.config import ModelConfig
from echo_asr.model.echo import encoder_frames

Found = dict[str, tuple[int, int]]  # by recording: encoder frames that its text takes, and that there are


def find_unaligned(batch: Batch, config: ModelConfig) -> Found:
    """The recordings of a batch, on the CPU, whose texts take more encoder frames than they have.

    CTC writes a token a frame, and a blank between two that are equal.
    """
    tokens = batch.tokens
    repeats = ((tokens[:, 1:] == tokens[:, :-1]) & (tokens[:, 1:] > 0)).sum(1)
    needed = batch.lengths + repeats
    there = encoder_frames(batch.features.lengths, config)
    rows = (needed > there).nonzero()[:, 0].tolist() if batch.names else []
    return {batch.names[row]: (int(needed[row]), int(there[row])) for row in rows if batch.names[row]}


def describe_unaligned(found: Mapping[str, tuple[int, int]], examples: int) -> str:
    """One line for people: how many, the first, and what to do."""
    first, (needed, there) = next(iter(found.items()))
    one = len(found) == 1
    return (
        f"{len(found)} of {examples} texts {'is' if one else 'are'} too long for {'its' if one else 'their'} "
        f"recording{'' if one else 's'}: CTC cannot align {'it' if one else 'them'} and learns nothing from "
        f"{'it' if one else 'them'}; first {first} (takes {needed} encoder frames, has {there}); correct the texts or "
        "the durations, set model.subsampling 2, or use a BPE tokenizer"
    )


def merge(parts: list[Found]) -> Found:
    """What all processes found, the main one's first."""
    return {name: frames for part in parts for name, frames in part.items()}
