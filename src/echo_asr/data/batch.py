"""From a corpus to training batches: examples, length buckets, augmentation.

Which examples form a batch, and how each is augmented, is a function of (seed, epoch, example) alone. A run therefore
resumes exactly from an epoch and a batch number, whatever loads the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from echo_asr.data.corpus import Utterance
from echo_asr.errors import EchoError
from echo_asr.features import FeatureBatch, Features, collate_features
from echo_asr.pitch import HOP
from echo_asr.text import Tokenizer

LENGTH_JITTER = 0.1  # share by which a length is varied before sorting, so that batches differ between epochs


@dataclass(frozen=True)
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
    """

    features: FeatureBatch
    tokens: Tensor
    lengths: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device."""
        return Batch(self.features.to(device), self.tokens.to(device), self.lengths.to(device))


def collate(features: Sequence[Features], tokens: Sequence[Sequence[int]]) -> Batch:
    """Pad recordings and texts into a batch."""
    lengths = torch.tensor([len(t) for t in tokens])
    padded = torch.zeros(len(tokens), max(1, int(lengths.max())), dtype=torch.long)
    for row, ids in enumerate(tokens):
        padded[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
    return Batch(collate_features(list(features)), padded, lengths)


def ctc_frames(tokens: Sequence[int]) -> int:
    """The fewest encoder frames in which CTC can write a text: one a token, and a blank between equal neighbours."""
    return len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:], strict=False))


def check_lengths(examples: Sequence[Example], subsampling: int, fastest: float = 1.0) -> None:
    """Make sure that every text fits the encoder frames of its recording.

    Args:
        fastest: the largest speed factor that training will play recordings at.

    Raises:
        EchoError: some do not; counts them, and names the first and the remedy.
    """
    frames = [int(e.utterance.duration / fastest * 100 / subsampling) for e in examples]
    long = [e for e, n in zip(examples, frames, strict=True) if ctc_frames(e.tokens) > max(n, 1)]
    if long:
        first = long[0]
        raise EchoError(
            f"{len(long)} of {len(examples)} texts are too long for the frames of their recordings, first "
            f"{first.utterance.audio} ({first.utterance.duration:.2f} s, {len(first.tokens)} tokens); set "
            f"model.subsampling 2, drop the fastest of train.speeds, use a BPE tokenizer, or correct these records"
        )


def make_examples(
    utterances: Sequence[Utterance],
    tokenizer: Tokenizer,
    normalize: Callable[[str], str],
    unknown: Literal["error", "skip"] = "error",
) -> list[Example]:
    """Normalise and encode the texts of utterances; unknown characters are an error, or left out of the ids.

    Raises:
        EchoError: a character that the tokenizer does not know, with the utterance it is in.
    """
    examples = []
    for utterance in utterances:
        text = normalize(utterance.text)
        try:
            examples.append(Example(utterance, text, tuple(tokenizer.encode(text, unknown))))
        except EchoError as error:
            raise EchoError(f"{utterance.audio}: {error}") from None
    return examples


def plan_epoch(durations: Sequence[float], batch_seconds: float, seed: int, epoch: int) -> list[list[int]]:
    """Batches of one epoch: every index once, similar lengths together, in random order.

    Args:
        durations: of each example, in seconds.
        batch_seconds: a batch holds at most this much audio, padding included (at least one example).
    """
    rng = np.random.default_rng([seed, epoch])
    lengths = np.asarray(durations, dtype=np.float64)
    order = np.argsort(lengths * rng.uniform(1.0 - LENGTH_JITTER, 1.0 + LENGTH_JITTER, len(lengths)), kind="stable")
    batches: list[list[int]] = []
    longest = 0.0
    for index in order.tolist():
        longest = max(longest, lengths[index])
        if not batches or longest * (len(batches[-1]) + 1) > batch_seconds:
            batches.append([])
            longest = lengths[index]
        batches[-1].append(index)
    return [batches[i] for i in rng.permutation(len(batches))]


@dataclass(frozen=True)
class SpecAugment:
    """SpecAugment (Park et al. 2019): bands and spans of features set to zero, the value of silence.

    Raises:
        ValueError: a value out of its range; the message names the field.
    """

    frequency_masks: int = 2  # bands of mel bins
    frequency_width: int = 15  # mel bins in a band, at most
    time_masks: int = 2  # spans of time
    time_share: float = 0.1  # of the recording that a span takes, at most

    def __post_init__(self) -> None:
        if min(self.frequency_masks, self.frequency_width, self.time_masks) < 0:
            raise ValueError("train.augment: masks and widths must not be negative")
        if not 0.0 <= self.time_share <= 1.0:
            raise ValueError(f"train.augment.time_share must lie in [0, 1], got {self.time_share}")

    def __call__(self, features: Features, rng: np.random.Generator) -> Features:
        """A masked copy. Spans of time hide the spectrogram, the waveform and the pitch feature alike; the track that
        vRoPE reads is not touched."""
        spectrogram, pitch = features.spectrogram.clone(), features.pitch.clone()
        waveform = None if features.waveform is None else features.waveform.clone()
        mels, frames = spectrogram.shape
        for _ in range(self.frequency_masks):
            width = int(rng.integers(0, min(self.frequency_width, mels) + 1))
            low = int(rng.integers(0, mels - width + 1))
            spectrogram[low : low + width] = 0.0
        for _ in range(self.time_masks):
            width = int(rng.integers(0, int(frames * self.time_share) + 1))
            start = int(rng.integers(0, frames - width + 1))
            spectrogram[:, start : start + width] = 0.0
            pitch[:, start : start + width] = 0.0
            if waveform is not None:
                waveform[start * HOP : (start + width) * HOP] = 0.0
        return replace(features, spectrogram=spectrogram, pitch=pitch, waveform=waveform)
