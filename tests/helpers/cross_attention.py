"""Cross-attention of two recordings with silence and padding, and what it must be by definition."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from echo_asr.model.cross_attention import CrossAttention
from echo_asr.vrope import VRoPEConfig

NULL = torch.tensor([[True, False, False, True, False], [False, True, False, True, True]])
PADDING = torch.tensor([[False] * 5, [False, False, False, True, True]])


def cross_attention(nulls: str, backend: str = "auto") -> CrossAttention:
    torch.manual_seed(3)
    config = VRoPEConfig(theta="none", nulls=nulls, backend=backend, width=32, heads=2)  # type: ignore[arg-type]
    layer = CrossAttention(config)
    with torch.no_grad():
        layer.output.bias.normal_()
        if nulls in ("weight", "score"):
            layer.nulls.raw_gamma.copy_(torch.tensor([-1.0, 6.0]))
    return layer


def naive_cross_attention(
    layer: CrossAttention, x: Tensor, states: Tensor, null: Tensor, padding: Tensor, pitch: Tensor
) -> tuple[Tensor, Tensor]:
    """Query by query and head by head, in float64, as DESIGN describes null keys and what is read of pitch."""
    weights = {n: p.detach().double().numpy() for n, p in layer.named_parameters()}
    mode, heads, width = layer.config.nulls, layer.config.heads, layer.config.content_width
    gamma = np.ones(heads)
    if mode in ("weight", "score"):
        gamma = np.exp(np.log(1e-6) + np.log(1e3) / (1 + np.exp(-weights["nulls.raw_gamma"])))
    out, read = np.zeros(tuple(x.shape)), np.zeros((*x.shape[:2], pitch.shape[2]))
    for b in range(x.shape[0]):
        query, key, value = (
            np.reshape(z[b].double().numpy() @ weights[f"{n}.weight"].T, (z.shape[1], heads, -1))
            for n, z in (("query", x), ("key", states), ("value", states))
        )
        for head in range(heads):
            score = query[:, head] @ key[:, head].T / math.sqrt(width)
            if mode == "score":
                score = np.where(null[b], gamma[head] * score, score)
            share = softmax(score) * ~padding[b].numpy()
            share = share * np.where(null[b], {"weight": gamma[head], "hard": 0.0}.get(mode, 1.0), 1.0)
            share = share / share.sum(-1, keepdims=True)
            out[b, :, head * 16 : head * 16 + 16] = share @ value[:, head]
            read[b] += share @ pitch[b].double().numpy() / heads
    return torch.from_numpy(out @ weights["output.weight"].T + weights["output.bias"]), torch.from_numpy(read)


def softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)
