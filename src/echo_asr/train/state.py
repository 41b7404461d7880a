"""What a run needs to go on where it stopped, and the averaged weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from echo_asr.config import read_yaml
from echo_asr.distributed import sharding
from echo_asr.distributed.processes import Processes, reseed
from echo_asr.errors import EchoError
from echo_asr.model.checkpoint import CONFIG
from echo_asr.storage import replace_file

CHECKPOINT = "checkpoints/last.pt"


class AveragedWeights:
    """Exponential moving average of a model's parameters and buffers, with a decay that rises to its final value as
    `min(decay, (1 + n) / (10 + n))`."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the model's present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averaged, present = [], []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                averaged.append(sharding.local(self.state[name]))
                present.append(sharding.local(value))
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(averaged, present, 1.0 - decay)


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        step: updates done; epoch, batch: the next batch to train on.
        best: lowest validation error so far, in percent, and the update and the epoch it was reached at.
        stale: validations since the error was last lower.
        seconds: trained so far, over all sittings.
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
    processes: int = 1
    accumulate: int = 1
    clean_epochs: int = 0


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
    processes: Processes | None = None,
) -> None:
    """Write the checkpoint of a run, whole or not at all. All its processes call this, and the main one writes."""
    path = run / CHECKPOINT
    everybody = [random_state()] if processes is None else processes.gather(random_state())
    trained = model.state_dict(), optimizer.state_dict(), averaged.state
    if processes is not None and processes.sharded:
        trained = sharding.gather_whole(trained)
    if processes is not None and not processes.main:
        return
    state: dict[str, Any] = {
        "model": trained[0],
        "optimizer": trained[1],
        "averaged": trained[2],
        "averaged_updates": averaged.updates,
        "progress": vars(progress),
        **everybody[0],
        "random_of_others": everybody[1:],
        "fingerprint": fingerprint,
    }

    def write(temporary: Path) -> None:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:  # a file of Python's says why it takes no more; torch's own does not
            torch.save(state, file)

    replace_file(path, write)


def load_checkpoint(
    run: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: AveragedWeights,
    fingerprint: str,
    processes: Processes | None = None,
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
    path, ours = run / CHECKPOINT, processes or Processes()
    place = ours.place

    def read() -> Any:
        if not path.is_file():
            raise EchoError(f"{run}: nothing to resume, no {CHECKPOINT}; leave out --resume to start")
        return torch.load(path, map_location="cpu", weights_only=True)

    try:
        state = ours.broadcast(read)
        if state["fingerprint"] != fingerprint:
            changed = ours.broadcast(lambda: _changes(run / CONFIG, settings)) if settings else ""
            raise EchoError(
                f"{path}: belongs to another configuration or corpus{changed}; resume with what the run was started "
                "with, or start another with a new --out"
            )
        if ours.sharded:
            state["averaged"] = sharding.divide_state(state["averaged"], model)
            state["model"] = sharding.divide_state(state["model"], model)
            state["optimizer"] = sharding.divide_optimizer(state["optimizer"], optimizer)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        for name, value in averaged.state.items():
            value.copy_(state["averaged"][name])
        averaged.updates = int(state["averaged_updates"])
        progress = Progress(**state["progress"])
        everybody = [state, *state.get("random_of_others", [])]
        if len(everybody) == place.count:
            mine = everybody[place.rank]
            torch.set_rng_state(mine["random"])
            if mine["random_cuda"] and torch.cuda.is_available():
                torch.cuda.set_rng_state_all(mine["random_cuda"])
            if mine.get("random_mps") is not None and torch.backends.mps.is_available():
                torch.mps.set_rng_state(mine["random_mps"])
        else:
            reseed(seed, place, progress.step)
    except EchoError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise EchoError(f"{path}: damaged checkpoint ({reason}); start again with a new --out") from None
    return progress


def _changes(config: Path, settings: Mapping[str, Any]) -> str:
    """In brackets, what a run was started with and what it is resumed with; empty where the run does not say."""
    try:
        before = _flat(read_yaml(config))
    except EchoError:
        return ""
    now = _flat(json.loads(json.dumps(settings)))
    changed = [
        f"{key} was {before[key]!r} and is {value!r}"
        for key, value in now.items()
        if key in before and before[key] != value
    ]
    more = f", and {len(changed) - 3} more changed" if len(changed) > 3 else ""
    return f" ({', '.join(changed[:3])}{more})" if changed else " (the configuration is the same, the corpus is not)"


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """The values of nested mappings by keys with dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return found
