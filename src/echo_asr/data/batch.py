"""Training batches from a corpus: examples, and batches of similar length.

Which examples form a batch depends on seed and epoch alone. A run therefore resumes exactly from an epoch and a batch
number, however many processes load the data.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from echo_asr.audio.convert import seconds_to_frames
from echo_asr.data.corpus import Utterance
from echo_asr.errors import EchoError
from echo_asr.features import FeatureBatch, Features, collate_features
from echo_asr.text.tokenizer import Tokenizer

LENGTH_JITTER = 0.1  # share by which lengths are varied before sorting, so that batches differ between epochs
FEW_BATCHES = 1000  # from which the share falls: among more batches a smaller one mixes as much, with less padding
LEAST_JITTER = 0.02  # the least such share, in the largest corpora
ENCODED = 20_000  # texts encoded at a time


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance with its normalised text and token ids."""

    utterance: Utterance
    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Recordings and their texts.

    Attributes:
        features: the recordings.
        tokens: `(B, L)` int64, zero beyond each text.
        lengths: text tokens of each, `(B,)`.
        names: of the recordings, for messages; empty for concatenated clips.
    """

    features: FeatureBatch
    tokens: Tensor
    lengths: Tensor
    names: tuple[str, ...] = ()

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device."""
        return Batch(self.features.to(device), self.tokens.to(device), self.lengths.to(device), self.names)


def collate(features: Sequence[Features], tokens: Sequence[Sequence[int]], names: Sequence[str] = ()) -> Batch:
    """Pad recordings and texts into a batch."""
    lengths = torch.tensor([len(t) for t in tokens])
    padded = torch.zeros(len(tokens), max(1, int(lengths.max())), dtype=torch.long)
    for row, ids in enumerate(tokens):
        padded[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
    return Batch(collate_features(list(features)), padded, lengths, tuple(names))


def ctc_frames(tokens: Sequence[int]) -> int:
    """The fewest encoder frames that CTC needs for a text: one a token, and a blank between equal neighbours."""
    return len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:], strict=False))


def too_long(examples: Sequence[Example], subsampling: int, fastest: float = 1.0) -> list[int]:
    """The indices of examples whose text needs more encoder frames than its recording has.

    Args:
        fastest: the largest factor of speed perturbation in training.
    """
    seconds = np.fromiter((e.utterance.duration for e in examples), float, len(examples))
    frames = np.maximum((seconds_to_frames(seconds / fastest) / subsampling).astype(np.int64), 1)
    tokens = np.fromiter((len(e.tokens) for e in examples), np.int64, len(examples))
    candidates = np.flatnonzero(2 * tokens > frames).tolist()  # the others fit, even with a blank after each token
    return [i for i in candidates if ctc_frames(examples[i].tokens) > frames[i]]


def check_lengths(
    examples: Sequence[Example], subsampling: int, fastest: float = 1.0, broken: Literal["refuse", "skip"] = "refuse"
) -> list[Example]:
    """The examples whose text fits the encoder frames of its recording: all, or with `skip` without the others.

    Args:
        fastest: the largest factor of speed perturbation in training.

    Raises:
        EchoError: some do not fit, or with `skip` none does; counts them, and names the first and the remedy.
    """
    long = too_long(examples, subsampling, fastest)
    if not long:
        return list(examples)
    first = examples[long[0]]
    message = (
        f"{len(long)} of {len(examples)} texts are too long for the frames of their recordings, first "
        f"{first.utterance.audio} ({first.utterance.duration:.2f} s, {len(first.tokens)} tokens)"
    )
    mend = "set model.subsampling 2, drop the fastest of train.speeds, use a BPE tokenizer, or correct these records"
    if broken == "refuse" or len(long) == len(examples):
        raise EchoError(f"{message}; {mend}{', or leave them out with --broken skip' if broken == 'refuse' else ''}")
    warnings.warn(f"{message}, and are left out; to keep them, {mend}", stacklevel=2)
    left_out = set(long)
    return [example for i, example in enumerate(examples) if i not in left_out]


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause Python's garbage collector: while a million objects are created and none is circular, scanning them again
    and again would take as long as creating them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@gc_paused()
def make_examples(
    utterances: Sequence[Utterance],
    tokenizer: Tokenizer,
    normalize: Callable[[str], str],
    unknown: Literal["error", "skip"] = "error",
    texts: Sequence[str] | None = None,
    broken: list[str] | None = None,
) -> list[Example]:
    """Normalise and encode the texts of utterances; unknown characters are an error, or left out of the ids.

    Args:
        texts: the normalised texts, if known.
        broken: a list to which messages of texts that cannot be encoded are added, which are then left out.

    Raises:
        EchoError: a character that the tokenizer does not know, with the utterance it is in.
    """
    examples: list[Example] = []
    for first in range(0, len(utterances), ENCODED):
        part = utterances[first : first + ENCODED]
        ours = [normalize(u.text) for u in part] if texts is None else texts[first : first + ENCODED]
        try:
            encoded = tokenizer.encode_many(ours, unknown)
        except EchoError:
            for utterance, text in zip(part, ours, strict=True):  # encode one by one, to find the one
                try:
                    examples.append(Example(utterance, text, tuple(tokenizer.encode(text, unknown))))
                except EchoError as error:
                    if broken is None:
                        raise EchoError(f"{utterance.audio}: {error}") from None
                    broken.append(f"{utterance.audio}: {error}")
        else:
            examples += map(Example, part, ours, encoded)
    return examples


def plan_epoch(durations: Sequence[float], batch_seconds: float, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch: every index once, similar lengths together, in random order.

    Args:
        durations: of each example, in seconds.
        batch_seconds: a batch holds at most this much audio, padding included (at least one example).
    """
    rng = np.random.default_rng([seed, epoch])
    lengths = np.asarray(durations, dtype=np.float64)
    jitter = length_jitter(float(lengths.sum()) / batch_seconds)
    order = np.argsort(lengths * rng.uniform(1.0 - jitter, 1.0 + jitter, len(lengths)), kind="stable")
    batches, batch, longest = list[list[int]](), list[int](), 0.0
    for index, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        if length > longest:
            longest = length
        if not batches or longest * (len(batch) + 1) > batch_seconds:
            batch, longest = [], length
            batches.append(batch)
        batch.append(index)
    return [batches[i] for i in rng.permutation(len(batches)).tolist()]


def length_jitter(batches: float) -> float:
    """The share by which lengths are varied in an epoch of so many batches: enough to mix examples of about a hundred
    batches, and no more, since a larger spread of lengths adds padding."""
    return max(LEAST_JITTER, min(LENGTH_JITTER, LENGTH_JITTER * FEW_BATCHES / max(batches, 1.0)))


@dataclass(frozen=True)
class Balance:
    """How evenly the batches of an epoch spread the work.

    Attributes:
        batches: of the epoch.
        padding: share of the batches' audio that is padding, recordings at their own speed.
        idle: share of the time that processes wait for each other, if time is proportional to padded audio.
    """

    batches: int
    padding: float
    idle: float

    def __str__(self) -> str:
        idle = f", {100 * self.idle:.1f} % of the time waiting for each other" if self.idle else ""
        return f"{self.batches} batches an epoch, {100 * self.padding:.1f} % padding{idle}"


def weigh_plan(plan: Sequence[Sequence[int]], durations: Sequence[float], processes: int = 1) -> Balance:
    """The padding of a plan, and the idle time of so many processes, each of which takes one batch in turn."""
    lengths = np.asarray(durations, dtype=np.float64)
    sizes = np.array([len(batch) for batch in plan])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    planned = lengths[np.concatenate([np.asarray(batch) for batch in plan])]
    padded = np.maximum.reduceat(planned, starts) * sizes
    whole = padded[: len(padded) // processes * processes].reshape(-1, processes)
    idle = 1.0 - float(whole.mean() / whole.max(1).mean()) if len(whole) else 0.0
    padding = max(0.0, 1.0 - float(planned.sum() / padded.sum()))  # rounding may pass 0
    return Balance(len(plan), padding, idle)
