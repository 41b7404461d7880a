"""Training: one run is one folder, and is a model."""

from __future__ import annotations

import hashlib
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import asdict, astuple
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from echo_asr.data.batch import Batch, Example
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.distributed.processes import Processes
from echo_asr.distributed.sharding import gather_whole
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, Features
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.config import ModelConfig, TextConfig
from echo_asr.model.echo import Echo, LossSizes
from echo_asr.research.diagnose.monitor import look_inside
from echo_asr.train.config import TrainConfig
from echo_asr.train.data import TrainingData
from echo_asr.train.efficiency import compile_blocks, recompute, subnormals_flushed
from echo_asr.train.optimizer import learning_rate, make_optimizer
from echo_asr.train.report import Reporter
from echo_asr.train.state import AveragedWeights, Progress, load_checkpoint, save_checkpoint
from echo_asr.train.throughput import Throughput
from echo_asr.train.unusable import UnusableExamples
from echo_asr.train.validation import LISTEN, Validation, calibrate, validate

SECTIONS: dict[str, type] = {
    "features": FeatureConfig,
    "text": TextConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "decode": DecodeConfig,
}
# What no checkpoint has to agree with: all of it may change when a run is resumed.
FREE = ("log_every", "checkpoint_every", "diagnose_every", "accumulate", "gradient_checkpointing", "compile", "shard",
        "loaders")  # fmt: skip
PLATEAU_BLANK = 0.995  # blank ratio at which CTC writes nothing
PLATEAU_VALIDATIONS = 4  # validations without a better error, or with nothing but blanks, that make a plateau


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, and has saved a checkpoint; the message says how to go on."""


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
        processes: those that train together; by default this one alone.
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
        processes: Processes | None = None,
    ) -> None:
        self.processes = processes or Processes()
        self.bundle, self.data, self.config, self.run, self.reporter = bundle, data, config, run, reporter
        self.model = bundle.model
        step = max(1, len(validation) // config.validation_utterances)
        self.validation = list(validation[::step])[: config.validation_utterances]
        if config.gradient_checkpointing:
            recompute(self.model)
        if config.compile:
            compile_blocks(self.model, reporter.warn)
        late = any(update > 0 for update in config.curriculum.values())
        self.loss = self.processes.wrap(self.model, late)
        self.optimizer = make_optimizer(self.model, config)
        self.averaged = AveragedWeights(self.model, config.ema_decay)
        self.progress = self._here(Progress())
        self.throughput = Throughput()
        self.recognizer = Recognizer(bundle, decode)
        self.autocast: Callable[[], Any] = nullcontext
        device = self.model.device
        bfloat16 = config.precision == "bfloat16" or (
            config.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
        )
        if bfloat16:
            self.autocast = lambda: torch.autocast(device.type, torch.bfloat16)
        self.stopping = False  # this process was asked to stop
        self.all_stop = False  # one of the processes was, when the last update ended
        self.unusable = UnusableExamples(self.model.config, len(data.examples), self.processes, reporter.warn)
        self.left_out = 0  # updates whose gradient was not finite
        self.collapsed = False  # it was said that the model writes one text for everything

    def _here(self, progress: Progress) -> Progress:
        """A place in the data, as it is gone on from with these processes."""
        progress.processes, progress.accumulate = self.processes.place.count, self.config.accumulate
        progress.clean_epochs = self.data.clean_epochs
        return progress

    def _look_inside(self) -> None:
        if self.processes.main and not self.processes.sharded:  # a shard shows nothing of the rest
            self.reporter.inside(self.progress.step, look_inside(self))

    def features_at(self, step: int) -> tuple[str, ...]:
        """The features that take part in update `step` (from 0), as the curriculum has it."""
        return tuple(n for n in self.model.config.features if self.config.curriculum.get(n, 0) <= step)

    def _settings(self) -> dict[str, dict[str, Any]]:  # by section, what a run may not change
        bundle, train = self.bundle, {k: v for k, v in asdict(self.config).items() if k not in FREE}
        found = {"model": asdict(bundle.model.config), "features": asdict(bundle.features), "text": asdict(bundle.text)}
        return {**found, "decode": asdict(self.recognizer.decode), "train": train}

    @property
    def fingerprint(self) -> str:
        """What a checkpoint must agree with to be resumed: the model, the data, and all that orders or shapes them."""
        parts = json.dumps([*self._settings().values(), self.data.fingerprint], sort_keys=True)
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def resume(self) -> None:
        """Go on from the run's checkpoint.

        Raises:
            EchoError: there is none, or it belongs to something else.
        """
        state = (self.model, self.optimizer, self.averaged)
        found = load_checkpoint(
            self.run, *state, self.fingerprint, self.processes, self.config.seed, settings=self._settings()
        )
        before, now = (found.processes, found.accumulate), (self.processes.place.count, self.config.accumulate)
        if before != now and before[0] == now[0]:
            raise EchoError(
                f"{self.run}: train.accumulate is {now[1]}, and the run was started with {before[1]}; it may change "
                "with the number of processes alone"
            )
        if before != now:
            batches, rest = divmod(before[0] * before[1], now[0])
            keep = "" if rest or batches == now[1] else f"; --train.accumulate {batches} would keep its size"
            self.reporter.warn(
                f"the checkpoint is of {before[0]} processes, this run has {now[0]}: it goes on at the same place in "
                f"the data, with other random numbers, and an update takes {now[0] * now[1]} batches instead of "
                f"{before[0] * before[1]}{keep}"
            )
        self.data.clean_epochs = found.clean_epochs
        self.progress = self._here(found)
        self.reporter.rewind(self.progress.step)

    def checkpoint(self) -> None:
        """Save all that `resume` needs.

        Raises:
            EchoError: the disk is full, or the folder cannot be written; the checkpoint before is still there.
        """
        state = (self.model, self.optimizer, self.averaged, self.progress)
        save_checkpoint(self.run, *state, self.fingerprint, self.processes)

    def train(self) -> Progress:
        """Train until `max_steps`; returns where the run ended.

        Raises:
            Interrupted: after a first Ctrl-C or SIGTERM, once the update under way is done and a checkpoint saved.
        """
        config, progress = self.config, self.progress
        most = self.recognizer.decode.max_tokens
        if longer := sum(len(e.tokens) > most for e in self.data.examples):
            self.reporter.warn(
                f"{longer} of {len(self.data.examples)} texts are longer than what the model will write, "
                f"decode.max_tokens {most}; raise it"
            )
        self.model.train()
        began = time.perf_counter() - progress.seconds
        with (
            closing(self.data.batches(progress.epoch, progress.batch)) as batches,
            self._graceful(),
            subnormals_flushed(),
            self.reporter.progress(progress.step, config.max_steps),
        ):
            while progress.step < config.max_steps:
                measured = self._update(batches)
                progress.seconds = time.perf_counter() - began
                last = progress.step == config.max_steps
                if progress.step % config.log_every == 0 or last:
                    speed = self.throughput.take_stock()
                    seconds = round(progress.seconds, 2)
                    self.reporter.training({"update": progress.step, **measured, **speed, "seconds": seconds})
                self.reporter.advance(progress.step, {**measured, **self.throughput.now})
                if config.diagnose_every and progress.step % config.diagnose_every == 0:
                    self._look_inside()
                if progress.step % config.validate_every == 0 or last:
                    self._validated()
                    progress.seconds = time.perf_counter() - began
                stopping = self.stopping if self.processes.place.count == 1 else self.all_stop
                if progress.step % config.checkpoint_every == 0 or last or stopping:
                    self.checkpoint()
                if stopping and not last:
                    raise Interrupted(f"stopped; a checkpoint is saved, go on with --resume --out {self.run}")
        self.reporter.say(self.throughput.verdict)
        if self.left_out:
            self.reporter.warn(
                f"{self.left_out} updates were left out, since their gradient was not finite; lower "
                "train.learning_rate, or set train.precision float32"
            )
        self.unusable.sum_up()
        self._calibrate()
        return progress

    def _update(self, batches: Iterator[tuple[int, int, Any]]) -> dict[str, float]:
        config, progress, device = self.config, self.progress, self.model.device
        rate = learning_rate(config, progress.step)
        heard = self.features_at(progress.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.throughput.start()
        taken = [self.throughput.take(batches) for _ in range(config.accumulate)]
        count = self.processes.place.count
        sizes = self._sizes([batch for _, _, batch in taken])
        unusable = self.unusable.look([batch for _, _, batch in taken])
        totals = dict.fromkeys(("loss", "attention_loss", "ctc_loss", "blank_ratio"), 0.0)
        for number, (_, _, batch) in enumerate(taken, 1):
            batch = batch.to(device)
            with self.processes.unsynchronised(self.loss, number < len(taken)):
                with self.autocast():
                    parts = self.loss(batch.features, batch.tokens, batch.lengths, config.label_smoothing, heard, sizes)
                (parts[0] * count).backward()  # the mean over the processes is taken of gradients
            for name, part in zip(totals, parts, strict=True):
                totals[name] += float(part.detach())
        norm = self.processes.clip(self.model, config.gradient_clip)
        if math.isfinite(float(norm)):
            self.optimizer.step()
            self.averaged.update(self.model)
        else:
            self.left_out += 1
            self.reporter.warn(f"update {progress.step}: the gradient is not finite; the update was left out")
        self.optimizer.zero_grad(set_to_none=True)
        epoch, number, _ = taken[-1]
        progress.step, progress.epoch, progress.batch = progress.step + 1, epoch, number + 1
        here = [float(self.stopping), *unusable]
        found = self.processes.sum([*totals.values(), *here, *self.throughput.here])
        totals = dict(zip(totals, found, strict=False))
        stopping, *counts = found[len(totals) : len(totals) + len(here)]
        self.all_stop = stopping > 0
        self.throughput.finish(found[len(totals) + len(here) :], count)
        totals |= self.unusable.note(*counts)
        return {**totals, "learning_rate": rate, "gradient_norm": float(norm), "epoch": epoch}

    def _sizes(self, batches: Sequence[Batch]) -> LossSizes:
        """What each part of the loss is a mean over: all batches of an update, of all processes."""
        ours = [astuple(self.model.loss_sizes(batch.features, batch.lengths)) for batch in batches]
        return LossSizes(*self.processes.sum([sum(column) for column in zip(*ours, strict=True)]))

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        if self.processes.sharded:  # a model of its own for a while, whole in each process
            divided, state = self.model, gather_whole(self.averaged.state)
            whole = Echo(divided.config, divided.vocabulary_size, divided.mels).to(divided.device).eval()
            whole.load_state_dict(state)
            self.model = self.bundle.model = whole
            try:
                yield
            finally:
                self.model = self.bundle.model = divided
            return
        present = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.averaged.state)
        self.model.eval()
        try:
            yield
        finally:
            self.model.load_state_dict(present)
            self.model.train()

    def validate(self) -> Validation:
        """Free-running error of the averaged weights, and their teacher-forced loss, on the validation examples."""
        features = self._validation_features()
        self.unusable.look_at_validation(self.validation, features)
        with self._averaged_weights():
            return validate(self.recognizer, self.validation, features, self.processes)

    def _validation_features(self) -> list[Features]:
        return [self.data.features(e.utterance) for e in self.validation]

    def _calibrate(self) -> None:
        """Calibrate the model that is kept, in the main process; the others wait."""
        how = (self.run, self.recognizer.decode, self.model.device, self.validation)
        warn = self.reporter.warn
        self.reporter.say(self.processes.broadcast(lambda: calibrate(*how, self._validation_features(), warn)))

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
            state = gather_whole(self.averaged.state)
            if self.processes.main:
                Bundle.save_weights(self.run, state, None if everything else heard)
        self.reporter.validation(progress.step, found, better)
        for_long = progress.step >= PLATEAU_VALIDATIONS * self.config.validate_every
        if found.collapse and for_long and not self.collapsed:
            self.collapsed = True  # once is enough
            self.reporter.warn(f"update {progress.step}: {found.collapse}; {LISTEN}")
        if found.blank_ratio > PLATEAU_BLANK and for_long:
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
        """The first SIGINT or SIGTERM asks training to stop after the update; the second stops at once.

        Several processes stop after the same update. Their launcher hands on what it hears, so that a signal may come
        twice, and may also mean that one of them has died: nothing is said yet, and no second one counts.
        """
        alone = self.processes.place.count == 1

        def ask(number: int, frame: FrameType | None) -> None:
            if self.stopping and alone:
                raise KeyboardInterrupt
            self.stopping = True
            if not alone:
                return
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
