"""A pretrained encoder fine-tuned the usual way: `python -m benchmarks.linear_ctc ENCODER CORPUS --rate 1e-4`.

What tutorials of transformers do, for comparison with `echo-asr train pretrained`: dropout and a linear CTC head on the
last layer, all weights trained but the convolutions before the first layer, dropout of 0.1 in the layers, AdamW, a
linear warm-up over a tenth of the time and then a linear decay to 0, gradients clipped to 1, batches of similar length,
characters, the best path. There is no perturbation of speed, no mask and no average of weights.

The method is compared and not the padding: recordings are encoded at their own length, by
`echo_asr.pretrained.SpeechEncoder.states` and not by transformers' forward, which pads each to 30 s with Whisper and
would take several times as long. Recordings are read once and kept in memory.

Prints one JSON object for each validation: the update, CPU seconds of all threads without validations, the learning
rate, the loss, and the errors on the utterances that `echo-asr train` validates on, in percent with 95 % intervals; and
one with the machine's rate of float32 matrix products before and after.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from benchmarks.error_over_time import errors
from benchmarks.machine import matrix_products
from benchmarks.transcription import versions
from echo_asr.audio import load_audio
from echo_asr.audio.level import over_peak
from echo_asr.data.batch import Example, make_examples, plan_epoch
from echo_asr.data.corpus import load_corpus
from echo_asr.data.partition import stratified_sample
from echo_asr.model.echo import ctc_losses
from echo_asr.pretrained import SpeechEncoder, build
from echo_asr.pretrained.source import find
from echo_asr.text.config import TextConfig
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import ToneNotation
from echo_asr.train.config import TrainConfig
from echo_asr.train.prepare import hold_out, new_tokenizer

DROPOUT = 0.1
WARMUP = 0.1  # of the time
DECAY = 0.01  # of weights
CLIP = 1.0  # norm of the gradient
FULL_SCALE = 32767.0  # of samples kept in 16 bits
FROZEN = ("conv1", "conv2", "embed_positions", "feature_extractor")  # before the first layer


class LinearCTC(nn.Module):
    """An encoder with a linear CTC head on its last layer.

    Args:
        encoder: in whose layers dropout is set.
        vocabulary: V, with the blank.
    """

    def __init__(self, encoder: SpeechEncoder, vocabulary: int) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder.requires_grad_(True), nn.Dropout(DROPOUT)
        self.head = nn.Linear(encoder.width, vocabulary)
        for name, module in encoder.network.named_children():
            module.requires_grad_(name not in FROZEN)
        for module in encoder.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = DROPOUT
            elif isinstance(getattr(module, "dropout", None), float):
                module.dropout = DROPOUT  # type: ignore[assignment]

    def forward(self, recordings: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Samples `(S,)` of recordings to log probabilities `(B, N, V)` and their lengths in states `(B,)`."""
        lengths = torch.tensor([len(samples) for samples in recordings])
        groups = [list(recordings)] if self.encoder.batched else [[samples] for samples in recordings]
        states: list[Tensor] = []
        for group in groups:
            sizes = torch.tensor([len(samples) for samples in group])
            (found,) = self.encoder.states(pad_sequence(group, batch_first=True), sizes, (self.encoder.layers,))
            states.extend(found)
        together = pad_sequence(states, batch_first=True)
        return self.head(self.dropout(together)).log_softmax(-1), self.encoder.count(lengths)


@dataclass
class Data:
    """Examples, and the samples of each over their peak, in 16 bits."""

    examples: list[Example]
    samples: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        audio = (over_peak(load_audio(e.utterance.audio)) for e in self.examples)
        self.samples = [torch.from_numpy((one * FULL_SCALE).round().astype("int16")) for one in audio]

    @property
    def durations(self) -> list[float]:
        return [e.utterance.duration for e in self.examples]

    def recordings(self, batch: Sequence[int]) -> list[Tensor]:
        return [self.samples[i].float() / FULL_SCALE for i in batch]


def learning_rate(highest: float, done: float) -> float:
    """The rate once a share `done` of the time for updates is over: a linear warm-up, then a linear decay to 0."""
    return highest * (done / WARMUP if done < WARMUP else max(0.0, 1.0 - done) / (1.0 - WARMUP))


@torch.inference_mode()
def recognise(model: LinearCTC, data: Data, tokenizer: Tokenizer, batch_seconds: float) -> list[str]:
    """The texts of the best paths."""
    model.eval()
    texts = [""] * len(data.examples)
    for batch in plan_epoch(data.durations, batch_seconds, 0, 0):
        for i, path, frames in zip(batch, *model(data.recordings(batch)), strict=True):
            texts[i] = tokenizer.decode(path[:frames].argmax(-1).unique_consecutive().tolist())
    model.train()
    return texts


@dataclass
class Training:
    """A run: `curve` yields a line of figures for each validation."""

    model: LinearCTC
    training: Data
    validation: Data
    tokenizer: Tokenizer
    notation: ToneNotation | None
    arguments: argparse.Namespace
    spent: float  # CPU seconds before the first update

    def curve(self) -> Iterator[dict[str, Any]]:
        arguments, model = self.arguments, self.model.train()
        budget, references = 60.0 * arguments.minutes, [e.text for e in self.validation.examples]
        if budget <= self.spent:
            raise SystemExit(f"--minutes: reading the corpus took {self.spent:.0f} s of CPU time; give more")
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, arguments.rate, weight_decay=DECAY)
        plans = (b for epoch in count() for b in plan_epoch(self.training.durations, arguments.batch_seconds,
                                                            arguments.seed, epoch))  # fmt: skip
        began, losses = time.process_time() - self.spent, list[float]()
        for update, batch in enumerate(plans, 1):
            done = (time.process_time() - began - self.spent) / (budget - self.spent)
            rate = learning_rate(arguments.rate, done)
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses.append(self._update(optimizer, trained, batch))
            seconds = time.process_time() - began
            if update % arguments.every == 0 or seconds >= budget:
                paused = time.process_time()
                texts = recognise(model, self.validation, self.tokenizer, arguments.batch_seconds)
                found = errors(references, texts, self.notation)
                began += time.process_time() - paused
                loss, losses = sum(losses) / len(losses), []
                figures = {"cpu_seconds": round(seconds, 1), "learning_rate": rate, "loss": round(loss, 4)}
                yield {"update": update, **figures, **found}
            if seconds >= budget:
                return

    def _update(self, optimizer: torch.optim.Optimizer, trained: list[nn.Parameter], batch: list[int]) -> float:
        tokens = [torch.tensor(self.training.examples[i].tokens) for i in batch]
        lengths = torch.tensor([len(one) for one in tokens])
        found, frames = self.model(self.training.recordings(batch))
        losses = ctc_losses(found, pad_sequence(tokens, batch_first=True), frames, lengths)
        loss = losses.sum() / lengths.sum().clamp(min=1)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())


def prepare(arguments: argparse.Namespace) -> Training:
    """What a run needs: the corpus with its validation split, characters, the encoder."""
    began = time.process_time()
    torch.manual_seed(arguments.seed)
    corpus = hold_out(load_corpus(arguments.corpus))
    text, _ = TextConfig().find_tones([u.text for u in corpus.split("train")])
    texts = [text.normalize(u.text) for u in corpus.split("train")]
    tokenizer = new_tokenizer(texts, text)
    training = make_examples(corpus.split("train"), tokenizer, text.normalize, texts=texts)
    validation = make_examples(corpus.split("validation"), tokenizer, text.normalize, unknown="skip")
    most = TrainConfig().validation_utterances
    validation = stratified_sample(validation, most)
    model = LinearCTC(build(find(arguments.encoder).folder), tokenizer.vocabulary_size)
    parts = Data([e for e in training if e.tokens]), Data(validation)
    notation = text.measured_notation([e.text for e in validation])
    return Training(model, *parts, tokenizer, notation, arguments, time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linear_ctc", description=__doc__.splitlines()[0])
    parser.add_argument("encoder", help="folder or hub name")
    parser.add_argument("corpus")
    parser.add_argument("--rate", type=float, required=True, help="the highest learning rate, such as 1e-4")
    parser.add_argument("--minutes", type=float, default=60.0, help="of CPU time to train (default 60)")
    parser.add_argument("--every", type=int, default=100, help="updates between validations (default 100)")
    parser.add_argument("--batch-seconds", type=float, default=60.0, help="of audio in a batch (default 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    before = matrix_products()
    run = prepare(arguments)
    for figures in run.curve():
        print(json.dumps(figures), flush=True)
    rates = [round(before, 1), round(matrix_products(), 1)]
    print(json.dumps({**vars(arguments), "matrix_gigaflops": rates, "versions": versions()}))


if __name__ == "__main__":
    main()
