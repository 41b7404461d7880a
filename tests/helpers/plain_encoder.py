"""A small encoder of plain self-attention to put pitch adapters in, as a reader of vRoPE might have one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from echo_asr.vrope import PitchAdapters, adapt

WIDTH, HEADS = 32, 2


class Attention(nn.Module):
    """Plain self-attention; with `key_heads`, groups of heads share keys and values."""

    def __init__(self, key_heads: int = HEADS) -> None:
        super().__init__()
        self.num_heads, self.key_heads = HEADS, key_heads
        self.q_proj, self.out_proj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.k_proj, self.v_proj = (nn.Linear(WIDTH, WIDTH * key_heads // HEADS) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        query = self.q_proj(x).unflatten(2, (HEADS, -1)).transpose(1, 2)
        key, value = (p(x).unflatten(2, (self.key_heads, -1)).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        out = nn.functional.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, attention: Callable[[], nn.Module] = Attention) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(WIDTH), attention()
        self.feed_forward = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU())

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.norm(x), mask)
        return x + self.feed_forward(x)


class Encoder(nn.Module):
    def __init__(self, attention: Callable[[], nn.Module] = Attention, layers: int = 2) -> None:
        super().__init__()
        self.front = nn.ModuleList([nn.Linear(WIDTH, WIDTH)])
        self.layers = nn.ModuleList(Layer(attention) for _ in range(layers))
        self.checkpoint: Callable[..., Tensor] | None = None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.front[0](x)
        for layer in self.layers:
            x = layer(x, mask) if self.checkpoint is None else self.checkpoint(layer, x, mask)
        return x


def trained(encoder: Encoder, spread: float = 0.3, **options: Any) -> PitchAdapters:
    """Adapters whose parameters are away from their start."""
    adapters = adapt(encoder, **options)
    with torch.no_grad():
        for parameter in adapters.parameters():
            parameter.normal_(std=spread)
    return adapters
