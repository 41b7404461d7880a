"""Examples that teach nothing, or what is wrong, found as they come by: warned about at first sight, and counted in the
end. Among them are texts that CTC cannot align: they take more frames than their recordings have, and their loss counts
as 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from echo_asr.data.batch import Batch, Example
from echo_asr.data.silent import describe_silent, find_silent
from echo_asr.distributed.processes import Processes
from echo_asr.features import Features
from echo_asr.model.config import ModelConfig
from echo_asr.model.echo import encoder_frames

Found = dict[str, tuple[int, int]]  # by recording: encoder frames that its text takes, and that there are
TRAINED = "which the model is trained to write where nobody speaks"
VALIDATED = "all of which count as errors of validation"


class UnusableExamples:
    """Those of a training: texts that CTC cannot align, and silent recordings that have a text.

    Args:
        config: of the model.
        examples: how many there are in all.
        processes: those that train together.
        warn: prints a warning.
    """

    def __init__(self, config: ModelConfig, examples: int, processes: Processes, warn: Callable[[str], None]) -> None:
        self.config, self.examples, self.processes, self.warn = config, examples, processes, warn
        self.unaligned: Found = {}  # so far, of all processes
        self.silent: dict[str, None] = {}
        self.here: tuple[Found, list[str]] = ({}, [])  # in this update, of this process
        self.validated = False

    def look(self, batches: Sequence[Batch]) -> list[float]:
        """How many there are of each kind in this process's batches of an update, which are still on the CPU."""
        unaligned = [find_unaligned(batch, self.config) for batch in batches]
        silent = [find_silent(batch) for batch in batches]
        self.here = merge(unaligned), [name for names in silent for name in names]
        return [float(sum(map(len, unaligned))), float(sum(map(len, silent)))]

    def note(self, unaligned: float, silent: float) -> dict[str, float]:
        """Remember those of an update, of which all processes have so many, and warn of the first of a kind. All
        processes call this. Returns the counts for the metrics."""
        if unaligned:
            first, found = not self.unaligned, self.processes.gather(self.here[0])
            self.unaligned |= merge(found)
            if first:
                self.warn(describe_unaligned(self.unaligned, self.examples))
        if silent:
            first, names = not self.silent, self.processes.gather(self.here[1])
            self.silent |= {name: None for part in names for name in part}
            if first:
                self.warn(describe_silent(list(self.silent), self.examples, TRAINED))
        counts = {"unaligned": unaligned, "silent": silent}
        return {name: count for name, count in counts.items() if count}

    def look_at_validation(self, examples: Sequence[Example], features: Sequence[Features]) -> None:
        """Warn, once, of silent recordings with a text among those validated on."""
        silent = [
            str(example.utterance.audio)
            for example, clip in zip(examples, features, strict=True)
            if example.text and clip.null.all()
        ]
        if silent and not self.validated:
            self.warn(describe_silent(silent, len(examples), VALIDATED))
        self.validated = True

    def sum_up(self) -> None:
        """Warn of how many there were in all."""
        if self.unaligned:
            self.warn(describe_unaligned(self.unaligned, self.examples))
        if self.silent:
            self.warn(describe_silent(list(self.silent), self.examples, TRAINED))


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
