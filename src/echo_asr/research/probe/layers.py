"""Compares the layers of a pretrained encoder by what a small recogniser makes of the states of each.

A probe (Belinkov 2022, "Probing Classifiers", Computational Linguistics 48) is a projection of standardised states to
128 channels, one convolution over 100 ms and a linear CTC head. All have the same seed, the same batches and as many
updates, so that what differs is the layer.

Shapes: `B` batch, `N` frames of 20 ms, `C` values in the states that are read, `V` symbols, 0 the blank.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, count, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from torch.nn.utils.rnn import pad_sequence

from echo_asr.data.batch import Example, plan_epoch
from echo_asr.evaluate.metrics import ErrorRate, count_errors, rate_of_counts
from echo_asr.evaluate.tone_errors import count_tone_errors
from echo_asr.features.states import default_layers
from echo_asr.features.voice import Standard
from echo_asr.model.echo import ctc_losses
from echo_asr.research.compare import compare_errors
from echo_asr.research.probe.part import Part, ProbedPart
from echo_asr.train.config import TrainConfig
from echo_asr.train.optimizer import learning_rate, make_optimizer

CHANNELS, KERNEL = 128, 5  # of a probe, and frames of its convolution
DROPOUT = 0.2  # of dimensions of states
RATE, WARMUP = 3e-3, 0.1  # the highest learning rate, and the share of updates that lead to it
BATCH_SECONDS = 10.0
SIGNIFICANT = 0.05  # p of a difference between two probes

Layers = tuple[int, ...]


class LayerProbe(nn.Module):
    """Standardised states `(B, C, N)` to log probabilities of symbols `(B, N, V)`."""

    def __init__(self, channels: int, vocabulary: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout1d(DROPOUT)
        self.project = nn.Conv1d(channels, CHANNELS, 1)
        self.context = nn.Conv1d(CHANNELS, CHANNELS, KERNEL, padding=KERNEL // 2)
        self.head = nn.Linear(CHANNELS, vocabulary)

    def forward(self, states: Tensor) -> Tensor:
        hidden = gelu(self.context(self.project(self.dropout(states))))
        found: Tensor = self.head(hidden.transpose(1, 2)).log_softmax(-1)
        return found


@dataclass(frozen=True)
class Probed:
    """What was recognised from some layers, read together.

    Attributes:
        character: error of the validation texts.
        base, tone: of their syllables without tones, and of their tones; None where texts have no tone.
        seconds: that training and recognising took.
        wrong: characters in each text, by which layers are compared.
    """

    layers: Layers
    character: ErrorRate
    base: ErrorRate | None
    tone: ErrorRate | None
    seconds: float
    wrong: tuple[int, ...]

    @property
    def rates(self) -> dict[str, ErrorRate]:
        """The error rates that there are, by name."""
        rates = {"character": self.character, "base": self.base, "tone": self.tone}
        return {name: rate for name, rate in rates.items() if rate is not None}

    def to_dict(self) -> dict[str, Any]:
        """The layers, and the error rates that there are."""
        rates = {name: rate.to_dict() for name, rate in self.rates.items()}
        return {"layers": list(self.layers), **rates, "seconds": round(self.seconds, 2)}


@dataclass(frozen=True)
class Comparison:
    """Of all layers, and of pairs of the best ones.

    Attributes:
        single, pairs: what was found.
        p: that the best pair is no better than the best single layer.
    """

    single: list[Probed]
    pairs: list[Probed]
    p: float

    def best(self, name: str = "character") -> Probed:
        """The single layer with the lowest of the error rates called so."""
        return min(self.single, key=lambda found: found.rates[name].percent)

    @property
    def best_pair(self) -> Probed:
        """The pair with the fewest wrong characters."""
        return min(self.pairs, key=lambda found: found.character.percent)

    @property
    def chosen(self) -> Probed:
        """What to read: the best pair if it is better than the best layer by itself, of which there is no doubt, since
        it takes twice as much space and time; else that layer."""
        fewer = self.best_pair.character.percent < self.best().character.percent
        return self.best_pair if fewer and self.p < SIGNIFICANT else self.best()


class LayerProbing:
    """Trains probes and measures what is recognised from them.

    Args:
        part: what is trained and validated on.
        states: of both, as `part.extract` gives them.
        seed: of the probes and of their batches.
        updates: of each probe.
    """

    def __init__(self, part: ProbedPart, states: tuple[Part, Part], seed: int = 0, updates: int = 600) -> None:
        self.part, self.seed, self.updates = part, seed, updates
        self.training, self.validation = states
        self.references = [e.text for e in self.validation.examples]

    def probe(self, layers: Layers) -> Probed:
        """Train a probe on the states of some layers together, and measure its errors."""
        began = time.perf_counter()
        states = self.training.read(layers)
        standard = Standard.fit(states)
        probe = self._train(self.training.examples, [standard(one).half() for one in states])
        with torch.inference_mode():
            texts = [self._text(probe(standard(one)[None])[0]) for one in self.validation.read(layers)]
        counts = count_errors(self.references, texts, "character")
        base = tone = None
        if self.part.notation is not None:
            tone, base = map(rate_of_counts, count_tone_errors(self.references, texts, self.part.notation)[:2])
        wrong = tuple(counts[:, :3].sum(axis=1).tolist())
        return Probed(layers, rate_of_counts(counts), base, tone, time.perf_counter() - began, wrong)

    def compare(self, progress: Callable[[Probed], None] = lambda done: None) -> Comparison:
        """Probe every layer, and pairs of the best ones: those with the fewest wrong characters, bases and tones; if
        one layer is best by all, it and the best of those that are not beside it; and the default pair.

        Args:
            progress: called with each probe that is done.
        """

        def probed(layers: Layers) -> Probed:
            progress(found := self.probe(layers))
            return found

        single = [probed((layer,)) for layer in self.part.layers]
        pairs = [probed(pair) for pair in pairs_of_best(single)]
        found = Comparison(single, pairs, 1.0)
        return replace(found, p=self.significance(found.best_pair, found.best()))

    def significance(self, one: Probed, other: Probed) -> float:
        """p of no difference in wrong characters between two probes, paired by text; 1 where it cannot be known."""
        units = np.array([max(1, len(text)) for text in self.references])
        found = compare_errors(np.array([one.wrong]), np.array([other.wrong]), units, self.references)
        return 1.0 if found.p is None else found.p

    def _train(self, examples: Sequence[Example], states: Sequence[Tensor]) -> LayerProbe:
        """A probe trained on standardised states `(C, N)`, in evaluation mode."""
        durations = [e.utterance.duration for e in examples]
        batches = (batch for epoch in count() for batch in plan_epoch(durations, BATCH_SECONDS, self.seed, epoch))
        warmup = max(1, round(WARMUP * self.updates))
        settings = TrainConfig(learning_rate=RATE, warmup_steps=warmup, max_steps=self.updates)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            probe = LayerProbe(len(states[0]), self.part.tokenizer.vocabulary_size).train()
            optimizer = make_optimizer(probe, settings)
            for update, batch in enumerate(islice(batches, self.updates)):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(settings, update)
                frames = torch.tensor([states[i].shape[1] for i in batch])
                lengths = torch.tensor([len(examples[i].tokens) for i in batch])
                inputs = pad_sequence([states[i].T for i in batch], batch_first=True).transpose(1, 2)
                tokens = pad_sequence([torch.tensor(examples[i].tokens) for i in batch], batch_first=True)
                losses = ctc_losses(probe(inputs.float()), tokens, frames, lengths)
                (losses.sum() / lengths.sum().clamp(min=1)).backward()
                nn.utils.clip_grad_norm_(probe.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return probe.eval()

    def _text(self, log_probabilities: Tensor) -> str:
        """The text of the best path of `(N, V)`."""
        return self.part.tokenizer.decode(log_probabilities.argmax(-1).unique_consecutive().tolist())


def pairs_of_best(single: Sequence[Probed]) -> list[Layers]:
    """The pairs that `LayerProbing.compare` probes, of single layers from 0 on."""
    names = single[0].rates
    best = {min(single, key=lambda found: found.rates[name].percent).layers[0] for name in names}
    if len(best) == 1:
        (first,) = best
        apart = [found for found in single if abs(found.layers[0] - first) > 1] or [
            found for found in single if found.layers[0] != first
        ]
        best.add(min(apart, key=lambda found: found.character.percent).layers[0])
    usual = tuple(sorted(set(default_layers(single[-1].layers[0]))))
    return sorted({*combinations(sorted(best), 2), *([usual] if len(usual) == 2 else [])})
