"""The folder of a run, and what is in it to go on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from echo_asr.config import flatten, read_yaml
from echo_asr.distributed import sharding
from echo_asr.distributed.processes import ALONE, Processes, reseed
from echo_asr.errors import EchoError
from echo_asr.model.checkpoint import CONFIG, TOKENIZER, WEIGHTS
from echo_asr.renamed import with_current_names
from echo_asr.storage import replace_file
from echo_asr.train.averages import AveragedWeights

CHECKPOINT = "checkpoints/last.pt"
# Options of training that may change when a run is resumed; with all others a checkpoint has to agree.
FREE = ("log_every", "checkpoint_every", "diagnose_every", "accumulate", "gradient_checkpointing", "compile", "shard",
        "loaders")  # fmt: skip


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        step: updates done; epoch, batch: the next batch to train on.
        best: lowest validation error so far, in percent, and the update and the epoch it was reached at.
        stale: validations since the error was last lower.
        seconds: trained so far, over all sittings.
        cpu_seconds: of CPU time, this process's and that of those that extracted features for it; without validations.
        processes: that the run is trained in, and the batches that each adds to an update.
        clean_epochs: before noise and rows of recordings come in, as the run was started.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float = float("inf")
    best_step: int = 0
    best_epoch: int = 0
    stale: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    processes: int = 1
    accumulate: int = 1
    clean_epochs: int = 0


def check_folder(run: Path, resume: bool) -> None:
    """Make sure that a run can be started (or resumed) in a folder, without making it.

    Raises:
        EchoError: there is something else, nothing to resume, or the folder could not be made.
    """
    above = next(path for path in (run.absolute(), *run.absolute().parents) if path.exists())
    if above != run.absolute() and not (above.is_dir() and os.access(above, os.W_OK)):
        raise EchoError(f"{run}: cannot be written, {above} is no folder that you may write to; choose another --out")
    if resume:
        if not (run / CHECKPOINT).is_file():
            raise EchoError(f"{run}: no run to resume there, no {CHECKPOINT}; leave out --resume to start one")
    elif run.exists() and (not run.is_dir() or any(p.is_file() and p.suffix != ".part" for p in run.rglob("*"))):
        remedy = "go on with --resume, or " if (run / CHECKPOINT).is_file() else ""
        raise EchoError(f"{run}: exists and is not empty; {remedy}choose another --out")


def is_model(run: Path) -> bool:
    """Whether all files of a model are in a folder."""
    return all((run / name).is_file() for name in (CONFIG, TOKENIZER, WEIGHTS))


def fingerprint(settings: Mapping[str, Any], data: str) -> str:
    """A digest of what a checkpoint must agree with to be resumed.

    Args:
        settings: the configuration by section, without options that are `FREE`.
        data: the fingerprint of what is trained on.
    """
    parts = json.dumps([*settings.values(), data], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def compare_processes(run: Path, before: Progress, count: int, accumulate: int) -> str:
    """A warning where a run goes on in another number of processes; empty where it does not.

    Raises:
        EchoError: `train.accumulate` has changed without the number of processes.
    """
    if (before.processes, before.accumulate) == (count, accumulate):
        return ""
    if before.processes == count:
        raise EchoError(
            f"{run}: train.accumulate is {accumulate}, and the run was started with {before.accumulate}; it may change "
            "with the number of processes alone"
        )
    total = before.processes * before.accumulate
    batches, rest = divmod(total, count)
    keep = "" if rest or batches == accumulate else f"; --train.accumulate {batches} would keep its size"
    return (
        f"the checkpoint is of {before.processes} processes, this run has {count}: it goes on at the same place in the "
        f"data, with other random numbers, and an update takes {count * accumulate} batches instead of {total}{keep}"
    )


def random_state() -> dict[str, Any]:
    """The states of the random numbers that this process draws."""
    return {
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "random_mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def save_checkpoint(
    run: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: AveragedWeights,
    progress: Progress,
    fingerprint: str,
    processes: Processes = ALONE,
) -> None:
    """Write the checkpoint of a run, whole or not at all. All its processes call this, and the main one writes."""
    first, *others = processes.gather(random_state())
    trained = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "averaged": averaged.state}
    if processes.sharded:
        trained = sharding.gather_whole(trained)
    if not processes.rank.main:
        return
    where = {"averaged_updates": averaged.updates, "progress": vars(progress), "fingerprint": fingerprint}
    state = {**trained, **where, **first, "random_of_others": others}

    def write(temporary: Path) -> None:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:  # the error of Python's file has the reason, torch's does not
            torch.save(state, file)

    replace_file(run / CHECKPOINT, write)


def load_checkpoint(
    run: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: AveragedWeights,
    fingerprint: str,
    processes: Processes = ALONE,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> Progress:
    """Restore a run from its checkpoint, random numbers included; the main process reads it for all.

    A run that is taken up in another number of processes goes on at the same place in its data; the random numbers of
    dropout are then drawn anew, from `seed`, the update and the process. `settings`, by section, are what the run's own
    are compared with where it cannot be resumed.

    Raises:
        EchoError: there is no checkpoint, it is damaged, or it belongs to another configuration or corpus.
    """
    path, rank = run / CHECKPOINT, processes.rank

    def read() -> Any:
        if not path.is_file():
            raise EchoError(f"{run}: nothing to resume, no {CHECKPOINT}; leave out --resume to start")
        return torch.load(path, map_location="cpu", weights_only=True)

    try:
        state = processes.broadcast(read)
        if state["fingerprint"] != fingerprint:
            changed = processes.broadcast(lambda: _changes(run / CONFIG, settings)) if settings else ""
            raise EchoError(
                f"{path}: belongs to another configuration or corpus{changed}; resume with what the run was started "
                "with, or start another with a new --out"
            )
        if processes.sharded:
            state |= {name: sharding.divide_state(state[name], model) for name in ("averaged", "model")}
            state["optimizer"] = sharding.divide_optimizer(state["optimizer"], optimizer)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        for name, value in averaged.state.items():
            value.copy_(state["averaged"][name])
        averaged.updates = int(state["averaged_updates"])
        progress = Progress(**state["progress"])
        everybody = [state, *state.get("random_of_others", [])]
        if len(everybody) == rank.count:
            mine = everybody[rank.rank]
            torch.set_rng_state(mine["random"])
            if mine["random_cuda"] and torch.cuda.is_available():
                torch.cuda.set_rng_state_all(mine["random_cuda"])
            if mine.get("random_mps") is not None and torch.backends.mps.is_available():
                torch.mps.set_rng_state(mine["random_mps"])
        else:
            reseed(seed, rank, progress.step)
    except EchoError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise EchoError(f"{path}: damaged checkpoint ({reason}); start again with a new --out") from None
    return progress


def _changes(config: Path, settings: Mapping[str, Any]) -> str:
    """In brackets, what a run was started with and what it is resumed with; empty where that is not known."""
    try:
        current, renamed = with_current_names(read_yaml(config))
    except EchoError:
        return ""
    if renamed:
        return " (an earlier version of Echo started it, whose options have other names)"
    before = flatten(current)
    now = flatten(json.loads(json.dumps(settings)))
    changed = [
        f"{key} was {before[key]!r} and is {value!r}"
        for key, value in now.items()
        if key in before and before[key] != value
    ]
    more = f", and {len(changed) - 3} more changed" if len(changed) > 3 else ""
    return f" ({', '.join(changed[:3])}{more})" if changed else " (the configuration is the same, the corpus is not)"
