"""What a run needs to go on where it stopped, and the averaged weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from echo_asr.errors import EchoError
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
                averaged.append(self.state[name])
                present.append(value)
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(averaged, present, 1.0 - decay)


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        step: updates done; epoch, batch: the next batch to train on.
        best: lowest validation error so far, in percent, and the update and the epoch it was reached at.
        seconds: trained so far, over all sittings.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float = float("inf")
    best_step: int = 0
    best_epoch: int = 0
    stale: int = 0
    seconds: float = 0.0


def save_checkpoint(
    run: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: AveragedWeights,
    progress: Progress,
    fingerprint: str,
) -> None:
    """Write the checkpoint of a run, whole or not at all."""
    path = run / CHECKPOINT
    state: dict[str, Any] = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "averaged": averaged.state,
        "averaged_updates": averaged.updates,
        "progress": vars(progress),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
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
) -> Progress:
    """Restore a run from its checkpoint, random numbers included.

    Raises:
        EchoError: there is no checkpoint, it is damaged, or it belongs to another configuration or corpus.
    """
    path = run / CHECKPOINT
    if not path.is_file():
        raise EchoError(f"{run}: nothing to resume, no {CHECKPOINT}; leave out --resume to start")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["fingerprint"] != fingerprint:
            raise EchoError(
                f"{path}: belongs to another configuration or corpus; resume with what the run was started with, "
                "or start another with a new --out"
            )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        for name, value in averaged.state.items():
            value.copy_(state["averaged"][name])
        averaged.updates = int(state["averaged_updates"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["random_cuda"])
        progress = Progress(**state["progress"])
    except EchoError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise EchoError(f"{path}: damaged checkpoint ({reason}); start again with a new --out") from None
    return progress
