"""Averaged weights: what is validated and saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from echo_asr.distributed.sharding import gather_whole, local
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.echo import Echo


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
                averaged.append(local(self.state[name]))
                present.append(local(value))
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(averaged, present, 1.0 - decay)

    @contextmanager
    def used_by(self, bundle: Bundle, sharded: bool) -> Iterator[None]:
        """The bundle's model has these weights, in evaluation mode, while the context lasts. Where it is sharded, a
        whole model takes its place."""
        model = bundle.model
        if sharded:
            whole = Echo(model.config, model.vocabulary_size, model.mels, model.states).to(model.device).eval()
            whole.load_state_dict(gather_whole(self.state))
            bundle.model = whole
        else:
            present = {name: value.detach().clone() for name, value in model.state_dict().items()}
            model.load_state_dict(self.state)
            model.eval()
        try:
            yield
        finally:
            bundle.model = model
            if not sharded:
                model.load_state_dict(present)
                model.train()
