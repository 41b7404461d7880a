"""Training: one run is one folder, and is a model."""

from __future__ import annotations

import hashlib
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from echo_asr.data.batch import Example, collate
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.metrics import error_rate
from echo_asr.features import FeatureConfig
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.config import ModelConfig, TextConfig
from echo_asr.train.config import TrainConfig
from echo_asr.train.data import TrainingData
from echo_asr.train.inside import look_inside
from echo_asr.train.report import Reporter
from echo_asr.train.state import AveragedWeights, Progress, load_checkpoint, save_checkpoint

SECTIONS: dict[str, type] = {
    "features": FeatureConfig,
    "text": TextConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "decode": DecodeConfig,
}
UNSHAPING = ("log_every", "checkpoint_every", "diagnose_every")  # settings that change nothing of what is learnt
PLATEAU_BLANK = 0.995  # blank ratio at which CTC writes nothing
PLATEAU_VALIDATIONS = 4  # validations without a better error, or with nothing but blanks, that make a plateau
SAMPLES = 3  # hypotheses shown at each validation


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, and has saved a checkpoint; the message says how to go on."""


@dataclass(frozen=True)
class Validation:
    """What a free-running validation found; error rates in percent."""

    wer: float
    cer: float
    loss: float
    blank_ratio: float
    samples: list[tuple[str, str]]


def learning_rate(config: TrainConfig, step: int) -> float:
    """Rate of update `step` (from 0): a linear warm-up, then a cosine down to `final_rate` of the peak."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.max_steps - config.warmup_steps)
    share = config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate * share


def make_optimizer(model: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; matrices decay, and norms, biases and the scalars of vRoPE do not."""
    matrices = [p for p in model.parameters() if p.ndim >= 2 and p.requires_grad]
    others = [p for p in model.parameters() if p.ndim < 2 and p.requires_grad]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-8)


class Trainer:
    """Trains a bundle's model on data and keeps the run folder.

    Args:
        bundle: model (on its device), tokenizer and settings; its `extra` goes into config.yaml.
        data: training batches.
        validation: examples validated on, free-running.
        config: how to train.
        run: the folder; `model.safetensors` in it is the best validated average of the weights.
        reporter: tells the person, and writes metrics.
        decode: how validation searches for text; greedy by default.
    """

    def __init__(
        self,
        bundle: Bundle,
        data: TrainingData,
        validation: Sequence[Example],
        config: TrainConfig,
        run: Path,
        reporter: Reporter,
        decode: DecodeConfig | None = None,
    ) -> None:
        self.bundle, self.data, self.config, self.run, self.reporter = bundle, data, config, run, reporter
        self.model = bundle.model
        step = max(1, len(validation) // config.validation_utterances)
        self.validation = list(validation[::step])[: config.validation_utterances]
        self.optimizer = make_optimizer(self.model, config)
        self.averaged = AveragedWeights(self.model, config.ema_decay)
        self.progress = Progress()
        self.recognizer = Recognizer(bundle, decode)
        self.autocast: Callable[[], Any] = nullcontext
        device = self.model.device
        bfloat16 = config.precision == "bfloat16" or (
            config.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
        )
        if bfloat16:
            self.autocast = lambda: torch.autocast(device.type, torch.bfloat16)
        self.stopping = False

    def features_at(self, step: int) -> tuple[str, ...]:
        """The features that take part in update `step` (from 0), as the curriculum has it."""
        return tuple(n for n in self.model.config.features if self.config.curriculum.get(n, 0) <= step)

    @property
    def fingerprint(self) -> str:
        """What a checkpoint must agree with to be resumed: the model, the data, and all that orders or shapes them."""
        train = {k: v for k, v in asdict(self.config).items() if k not in UNSHAPING}
        settings = (self.bundle.model.config, self.bundle.features, self.bundle.text, self.recognizer.decode)
        parts = [*(asdict(each) for each in settings), train, self.data.fingerprint]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def resume(self) -> None:
        """Go on from the run's checkpoint.

        Raises:
            EchoError: there is none, or it belongs to something else.
        """
        self.progress = load_checkpoint(self.run, self.model, self.optimizer, self.averaged, self.fingerprint)
        self.reporter.rewind(self.progress.step)

    def checkpoint(self) -> None:
        """Save all that `resume` needs.

        Raises:
            EchoError: the disk is full, or the folder cannot be written; the checkpoint before is still there.
        """
        save_checkpoint(self.run, self.model, self.optimizer, self.averaged, self.progress, self.fingerprint)

    def train(self) -> Progress:
        """Train until `max_steps`; returns where the run ended.

        Raises:
            Interrupted: after a first Ctrl-C or SIGTERM, once the update under way is done and a checkpoint saved.
        """
        config, progress = self.config, self.progress
        self.model.train()
        began = time.perf_counter() - progress.seconds
        with (
            closing(self.data.batches(progress.epoch, progress.batch)) as batches,
            self._graceful(),
            self.reporter.progress(progress.step, config.max_steps),
        ):
            while progress.step < config.max_steps:
                measured = self._update(batches)
                progress.seconds = time.perf_counter() - began
                last = progress.step == config.max_steps
                if progress.step % config.log_every == 0 or last:
                    self.reporter.training({"update": progress.step, **measured, "seconds": round(progress.seconds, 2)})
                self.reporter.advance(progress.step, measured)
                if config.diagnose_every and progress.step % config.diagnose_every == 0:
                    self.reporter.inside(progress.step, look_inside(self))
                if progress.step % config.validate_every == 0 or last:
                    self._validated()
                    progress.seconds = time.perf_counter() - began
                if progress.step % config.checkpoint_every == 0 or last or self.stopping:
                    self.checkpoint()
                if self.stopping and not last:
                    raise Interrupted(f"stopped; a checkpoint is saved, go on with --resume --out {self.run}")
        return progress

    def _update(self, batches: Iterator[tuple[int, int, Any]]) -> dict[str, float]:
        config, progress, device = self.config, self.progress, self.model.device
        rate = learning_rate(config, progress.step)
        heard = self.features_at(progress.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        taken = [next(batches) for _ in range(config.accumulate)]
        weights = [float(batch.lengths.sum() + len(batch.lengths)) for _, _, batch in taken]
        totals = dict.fromkeys(("loss", "attention_loss", "ctc_loss", "blank_ratio"), 0.0)
        for (_, _, batch), weight in zip(taken, weights, strict=True):
            share = weight / sum(weights)
            batch = batch.to(device)
            with self.autocast():
                loss = self.model.loss(batch.features, batch.tokens, batch.lengths, config.label_smoothing, heard)
            (loss.total * share).backward()
            parts = (loss.total.detach(), loss.attention, loss.ctc, loss.blank_ratio)
            for name, part in zip(totals, parts, strict=True):
                totals[name] += float(part) * share
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_clip)
        if math.isfinite(float(norm)):
            self.optimizer.step()
            self.averaged.update(self.model)
        else:
            self.reporter.warn(f"update {progress.step}: the gradient is not finite; the update was left out")
        self.optimizer.zero_grad(set_to_none=True)
        epoch, number, _ = taken[-1]
        progress.step, progress.epoch, progress.batch = progress.step + 1, epoch, number + 1
        return {**totals, "learning_rate": rate, "gradient_norm": float(norm), "epoch": epoch}

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        present = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.averaged.state)
        self.model.eval()
        try:
            yield
        finally:
            self.model.load_state_dict(present)
            self.model.train()

    @torch.inference_mode()
    def validate(self) -> Validation:
        """Free-running error of the averaged weights, and their teacher-forced loss, on the validation examples."""
        with self._averaged_weights():
            features = [self.data.features(e.utterance) for e in self.validation]
            hypotheses = [heard.text for heard in self.recognizer.recognize(features)]
            references = [e.text for e in self.validation]
            loss, blank, count = 0.0, 0.0, 0
            for first in range(0, len(features), 64):
                part = collate(features[first : first + 64], [e.tokens for e in self.validation[first : first + 64]])
                part = part.to(self.model.device)
                found = self.model.loss(part.features, part.tokens, part.lengths, features=self.recognizer.features)
                rows = len(part.lengths)
                loss, blank, count = (
                    loss + float(found.total) * rows,
                    blank + float(found.blank_ratio) * rows,
                    count + rows,
                )
        shown = range(0, len(references), max(1, len(references) // SAMPLES))
        return Validation(
            wer=error_rate(references, hypotheses, unit="word", resamples=1).percent,
            cer=error_rate(references, hypotheses, unit="character", resamples=1).percent,
            loss=loss / count,
            blank_ratio=blank / count,
            samples=[(references[i], hypotheses[i]) for i in shown][:SAMPLES],
        )

    def _validated(self) -> None:
        progress = self.progress
        self.recognizer.features = self.features_at(progress.step - 1)
        found = self.validate()
        all_features = progress.best_step <= max(self.config.curriculum.values(), default=0) < progress.step
        if all_features or progress.best_epoch < self.data.clean_epochs <= progress.epoch:
            progress.best = float("inf")  # what came before all features took part, or any noise, is no rival
        error = found.wer + found.cer / 1000  # characters decide between equal word errors
        better = error <= progress.best
        progress.stale = 0 if error < progress.best else progress.stale + 1
        if better:
            progress.best, progress.best_step, progress.best_epoch = error, progress.step, progress.epoch
            heard = self.recognizer.features
            everything = heard == self.model.config.features
            Bundle.save_weights(self.run, self.averaged.state, None if everything else heard)
        self.reporter.validation(progress.step, found, better)
        if found.blank_ratio > PLATEAU_BLANK and progress.step >= PLATEAU_VALIDATIONS * self.config.validate_every:
            self.reporter.warn(
                f"plateau: CTC writes nothing but blanks ({100 * found.blank_ratio:.1f} % of frames); check that texts "
                "and recordings belong together, or try a longer warm-up or a lower train.learning_rate"
            )
        elif progress.stale >= PLATEAU_VALIDATIONS and found.wer > 5.0:
            self.reporter.warn(
                f"plateau: no better error in the last {progress.stale} validations; more training may not help "
                "(try more data, augmentation or dropout, or a lower train.learning_rate)"
            )

    @contextmanager
    def _graceful(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM asks training to stop after the update; the second stops at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            if self.stopping:
                raise KeyboardInterrupt
            self.stopping = True
            with suppress(RuntimeError):  # the signal may have come in the middle of another line
                self.reporter.warn("stopping after this update; once more to stop at once")

        try:
            before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def grow_vocabulary(state: dict[str, Tensor], mapping: dict[int, int], model: torch.nn.Module) -> dict[str, Tensor]:
    """Weights of another model for one with more symbols: rows of known symbols move to their new ids, rows of new
    symbols stay as the new model has them."""
    grown = {}
    own = model.state_dict()
    for name, value in state.items():
        if name == "decoder.embedding":  # row i is id i + 1
            table = own[name].clone()
            for old, new in mapping.items():
                if old > 0:
                    table[new - 1] = value[old - 1]
            grown[name] = table
        elif name in ("ctc_head.weight", "ctc_head.bias"):
            table = own[name].clone()
            for old, new in mapping.items():
                table[new] = value[old]
            grown[name] = table
        else:
            grown[name] = value
    return grown
