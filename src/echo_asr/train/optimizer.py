"""The optimizer and its rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from echo_asr.model.echo import Echo
from echo_asr.train.config import TrainConfig


def learning_rate(config: TrainConfig, step: int) -> float:
    """Rate of update `step` (from 0): a linear warm-up, then a cosine down to `final_rate` of the peak."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.max_steps - config.warmup_steps)
    share = config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate * share


def make_optimizer(model: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; matrices decay, and norms, biases and the scalars of vRoPE do not.

    The groups of parameters of a pretrained encoder have a `factor` on the rate: `encoder_rate` in the highest layer
    that is trained, `layer_decay` times less in each below, and 1 for pitch adapters, which are as new as the model.
    """
    tuned = model.pretrained if isinstance(model, Echo) else None
    layers, adapters = (tuned.trained, tuned.added) if tuned is not None else ([], [])
    pretrained = {*adapters, *(p for layer in layers for p in layer)}
    groups = _groups([p for p in model.parameters() if p.requires_grad and p not in pretrained], config)
    if adapters:
        groups += _groups(adapters, config, factor=1.0)
    for depth, layer in enumerate(layer for layer in reversed(layers) if layer):
        groups += _groups(layer, config, factor=config.encoder_rate * config.layer_decay**depth)
    foreach = False if config.shard == "full" else None  # shards and whole tensors are not updated together
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-8, foreach=foreach)


def set_rates(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int) -> float:
    """Set the learning rate of all groups of parameters for update `step` (from 0), and return the model's own.

    What is trained of a pretrained encoder has a warm-up of its own after a frozen start.
    """
    rate, warm = learning_rate(config, step), 1.0
    if config.frozen_updates:
        warm = min(1.0, max(0, step + 1 - config.frozen_updates) / max(1, config.warmup_steps))
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"] * warm if "factor" in group else rate
    return rate


def _groups(parameters: Sequence[Tensor], config: TrainConfig, **settings: float) -> list[dict[str, Any]]:
    """Matrices, which decay, and all others, which do not."""
    matrices, others = [p for p in parameters if p.ndim >= 2], [p for p in parameters if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": config.weight_decay, **settings},
        {"params": others, "weight_decay": 0.0, **settings},
    ]
