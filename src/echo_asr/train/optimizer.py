"""The optimizer and its rate."""

from __future__ import annotations

import math

import torch

from echo_asr.train.config import TrainConfig


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
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    foreach = False if config.shard == "full" else None  # shards and whole tensors are not updated together
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-8, foreach=foreach)
