"""The training loop: updates, validations and checkpoints of one run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import torch

from echo_asr.audio import load_audio
from echo_asr.data.batch import Batch, Example
from echo_asr.data.partition import stratified_sample
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.distributed.processes import ALONE, Processes
from echo_asr.distributed.sharding import gather_whole
from echo_asr.evaluate.speech import FEWEST, MOST_CLIPS, crowds, noisy
from echo_asr.features import Features
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.echo import Echo, LossSizes
from echo_asr.model.tone_model import ToneModel
from echo_asr.text.tones import show_tone
from echo_asr.train.averages import AveragedWeights
from echo_asr.train.config import TrainConfig
from echo_asr.train.curriculum import Curriculum
from echo_asr.train.data import TrainingData
from echo_asr.train.efficiency import compile_blocks, recompute, subnormals_flushed
from echo_asr.train.loss import LossOf, blocks_to_shard
from echo_asr.train.optimizer import make_optimizer, set_rates
from echo_asr.train.report import Reporter
from echo_asr.train.state import FREE, Progress, compare_processes, fingerprint, load_checkpoint, save_checkpoint
from echo_asr.train.stop import Interrupted, StopRequest
from echo_asr.train.throughput import Throughput, cpu_seconds
from echo_asr.train.tone_fit import fit_tones, pitch_in_noise
from echo_asr.train.unusable import UnusableExamples
from echo_asr.train.validation import COLLAPSED, PLATEAU_VALIDATIONS, Validation, calibrate, is_best, plateau, validate


class Trainer:
    """Trains a bundle's model on data and keeps the run folder.

    Args:
        bundle: model (on its device), tokenizer and settings; its `extra` goes into config.yaml.
        data: training batches.
        validation: examples validated on, free-running.
        config: how to train.
        run: the folder; `model.safetensors` in it is the best validated average of the weights.
        reporter: prints messages, and writes metrics.
        decode: how validation searches for text; greedy by default.
        processes: those that train together; by default this one alone.
        monitor: figures of the model for TensorBoard, asked for every `diagnose_every` updates.
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
        processes: Processes = ALONE,
        monitor: Callable[[Trainer], dict[str, float]] | None = None,
    ) -> None:
        self.bundle, self.data, self.config, self.run, self.reporter = bundle, data, config, run, reporter
        self.processes, self.monitor = processes, monitor
        self.validation = stratified_sample(validation, config.validation_utterances)
        self.curriculum = Curriculum(self.model.config, config)
        if config.gradient_checkpointing:
            recompute(self.model)
        if config.compile:
            compile_blocks(self.model, reporter.warn)
        late = self.curriculum.complete_from > 0 or (self.model.pretrained is not None and config.frozen_updates > 0)
        self.loss = self.processes.wrap(LossOf(self.model), blocks_to_shard(self.model), late)
        self.optimizer = make_optimizer(self.model, config)
        self.averaged = AveragedWeights(self.model, config.ema_decay)
        self.progress = self._here(Progress())
        self.throughput = Throughput()
        self.recognizer = Recognizer(bundle, decode)
        self.autocast: Callable[[], Any] = nullcontext
        device = self.model.device.type
        able = device == "cuda" and torch.cuda.is_bf16_supported()
        if config.precision == "bfloat16" or (config.precision == "auto" and able):
            self.autocast = lambda: torch.autocast(device, torch.bfloat16)
        self.stop = StopRequest(self.processes.rank.count == 1, reporter.warn)
        self.all_stop = False  # one of several processes was asked to stop, when the last update ended
        self.unusable = UnusableExamples(self.model.config, len(data.examples), self.processes, reporter.warn)
        self.left_out = 0  # updates whose gradient was not finite
        self.collapsed = False  # it was reported that the model writes one text for everything

    @property
    def model(self) -> Echo:
        """The model that is trained; while averaged weights are used, the one that has them."""
        return self.bundle.model

    def _here(self, progress: Progress) -> Progress:
        """A place in the data, as training goes on from it in these processes."""
        progress.processes, progress.accumulate = self.processes.rank.count, self.config.accumulate
        progress.clean_epochs = self.data.clean_epochs
        return progress

    def _settings(self) -> dict[str, Any]:  # by section, what a run may not change
        bundle = self.bundle
        found = {"model": asdict(bundle.model.config), "features": asdict(bundle.features), "text": asdict(bundle.text)}
        train = {name: value for name, value in asdict(self.config).items() if name not in FREE}
        return {**bundle.extra, **found, "decode": asdict(self.recognizer.decode), "train": train}

    @property
    def fingerprint(self) -> str:
        """What a checkpoint must agree with to be resumed: the model, the data, and all that orders or shapes them."""
        return fingerprint(self._settings(), self.data.fingerprint)

    def resume(self) -> None:
        """Go on from the run's checkpoint.

        Raises:
            EchoError: there is none, or it belongs to something else.
        """
        state = (self.model, self.optimizer, self.averaged, self.fingerprint, self.processes)
        found = load_checkpoint(self.run, *state, self.config.seed, self._settings())
        if warning := compare_processes(self.run, found, self.processes.rank.count, self.config.accumulate):
            self.reporter.warn(warning)
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
        tokens = self.recognizer.decode.max_tokens
        if longer := sum(len(e.tokens) > tokens for e in self.data.examples):
            self.reporter.warn(
                f"{longer} of {len(self.data.examples)} texts are longer than what the model will write, "
                f"decode.max_tokens {tokens}; raise it"
            )
        most, later = (config.max_steps - progress.step) * config.accumulate, [e.utterance for e in self.validation]
        self.model.train()
        began, cpu_began = time.perf_counter() - progress.seconds, self._cpu_seconds() - progress.cpu_seconds
        with (
            closing(self.data.batches(progress.epoch, progress.batch, most, later)) as batches,
            self.stop.by_signals(),
            subnormals_flushed(),
            self.reporter.progress(progress.step, config.max_steps),
        ):
            while progress.step < config.max_steps:
                measured = self._update(batches)
                progress.seconds, progress.cpu_seconds = time.perf_counter() - began, self._cpu_seconds() - cpu_began
                last = progress.step == config.max_steps
                if progress.step % config.log_every == 0 or last:
                    speed = self.throughput.take_stock()
                    spent = {name: round(getattr(progress, name), 2) for name in ("seconds", "cpu_seconds")}
                    self.reporter.training({"update": progress.step, **measured, **speed, **spent})
                self.reporter.advance(progress.step, {**measured, **self.throughput.now})
                if config.diagnose_every and progress.step % config.diagnose_every == 0:
                    self._monitored()
                if progress.step % config.validate_every == 0 or last:
                    self._validated()
                    progress.seconds = time.perf_counter() - began
                    cpu_began = self._cpu_seconds() - progress.cpu_seconds
                stopping = self.stop.asked if self.stop.alone else self.all_stop
                if progress.step % config.checkpoint_every == 0 or last or stopping:
                    self.checkpoint()
                if stopping and not last:
                    raise Interrupted(f"stopped; a checkpoint is saved, go on with --resume --out {self.run}")
        self.reporter.message(self.throughput.verdict)
        if self.left_out:
            why = "since their gradient was not finite; lower train.learning_rate, or set train.precision float32"
            self.reporter.warn(f"{self.left_out} updates were left out, {why}")
        self.unusable.sum_up()
        self._calibrate()
        return progress

    def _cpu_seconds(self) -> float:
        return cpu_seconds() + self.data.cpu_seconds

    def _update(self, batches: Iterator[tuple[int, int, Any]]) -> dict[str, float]:
        config, progress, device = self.config, self.progress, self.model.device
        rate = set_rates(self.optimizer, config, progress.step)
        features = self.curriculum.features_at(progress.step)
        if self.model.pretrained is not None:
            self.model.pretrained.held = progress.step < config.frozen_updates
        self.throughput.start()
        taken = [self.throughput.take(batches) for _ in range(config.accumulate)]
        count = self.processes.rank.count
        sizes = self._sizes([batch for _, _, batch in taken])
        unusable = self.unusable.look([batch for _, _, batch in taken])
        totals = dict.fromkeys(("loss", "attention_loss", "ctc_loss", "blank_ratio"), 0.0)
        for number, (_, _, batch) in enumerate(taken, 1):
            batch = batch.to(device)
            inputs = (batch.features, batch.tokens, batch.lengths, config.label_smoothing, features, sizes)
            with self.processes.unsynchronised(self.loss, number < len(taken)):
                with self.autocast():
                    parts = self.loss(*inputs)
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
        here = [float(self.stop.asked), *unusable]
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

    def _monitored(self) -> None:
        if (
            self.monitor and self.processes.rank.main and not self.processes.sharded
        ):  # a shard shows nothing of the rest
            self.reporter.inside(self.progress.step, self.monitor(self))

    def validate(self) -> Validation:
        """Free-running error of the averaged weights, and their teacher-forced loss, on the validation examples."""
        features = self._validation_features()
        self.unusable.look_at_validation(self.validation, features)
        with self.averaged.used_by(self.bundle, self.processes.sharded):
            return validate(self.recognizer, self.validation, features, self.processes)

    def _validation_features(self) -> list[Features]:
        return [self.data.features(e.utterance) for e in self.validation]

    def _calibrate(self) -> None:
        """Calibrate the model that is kept, in the main process; the others wait."""
        how = (self.run, self.recognizer.decode, self.model.device, self.validation)

        def found() -> str:
            return calibrate(*how, self._validation_features(), *self._in_noise(), self._tone_model, self.reporter.warn)

        self.reporter.message(self.processes.broadcast(found))

    def _tone_model(self, recognizer: Recognizer) -> ToneModel | None:
        """The tone model of the model that is kept, if it gets one."""

        def in_noise(example: Example) -> Features:
            one = example.utterance
            return pitch_in_noise(self.data.cache.extractor, one.audio, self.data.voice(one.speaker).f0)

        found = fit_tones(recognizer, self.data.examples, lambda one: self.data.features(one.utterance), in_noise)
        if found is not None:
            tones = " ".join(map(show_tone, found.names))
            self.reporter.message(f"tone model: fitted to the contours of {found.syllables} syllables, tones {tones}")
        return found

    def _in_noise(self) -> tuple[list[Features], list[Features]]:
        """Features of some of the validation examples that have a text, in noise, and of crowds that are made of them
        and of as many training examples; none of too few."""
        validated, trained = (
            [e.utterance for e in examples if e.text] for examples in (self.validation, self.data.examples)
        )
        if len(validated) < FEWEST:
            return [], []
        extractor, voice, spoken = self.data.cache.extractor, self.data.voice, stratified_sample(validated, MOST_CLIPS)
        audio = [load_audio(one.audio) for one in spoken]
        in_noise = [
            extractor(noisy(samples, number), voice=voice(one.speaker))
            for number, (one, samples) in enumerate(zip(spoken, audio, strict=True))
        ]
        others = [load_audio(one.audio) for one in stratified_sample(trained, MOST_CLIPS)]
        return in_noise, [extractor(clip) for clip in crowds([*audio, *others])]

    def _validated(self) -> None:
        """Validate, save the averaged weights if they are the best so far, and warn of what goes wrong."""
        progress, every = self.progress, self.config.validate_every
        features = self.recognizer.features = self.curriculum.features_at(progress.step - 1)
        found = self.validate()
        now_all_features = progress.best_step <= self.curriculum.complete_from < progress.step
        if now_all_features or progress.best_epoch < self.data.clean_epochs <= progress.epoch:
            progress.best = float("inf")  # what came before all features took part, or any noise, is no rival
        better = is_best(progress, found)
        if better:
            state = gather_whole(self.averaged.state)
            if self.processes.rank.main:
                Bundle.save_weights(self.run, state, None if features == self.model.config.features else features)
        self.reporter.validation(progress.step, found, better)
        if found.collapse and progress.step >= PLATEAU_VALIDATIONS * every and not self.collapsed:
            self.collapsed = True  # once is enough
            self.reporter.warn(f"update {progress.step}: {found.collapse}; {COLLAPSED}")
        if warning := plateau(progress, found, every):
            self.reporter.warn(warning)
