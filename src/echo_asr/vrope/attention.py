"""Multi-head self-attention with voice-modulated rotary position encoding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .cache import KeyValueCache
from .choose import make_bias, make_nulls, make_rotation
from .config import VRoPEConfig
from .functional import attend, choose_backend, merge_heads, split_heads
from .rotation import rotate, rotate_first
from .track import PitchTrack


class VoiceModulation(nn.Module):
    """All of vRoPE but the projections, for queries, keys and values of any origin: rotation of queries and keys, and
    of values, then attention.

    With theta `static`, the inverse-power set and all else off it is plain RoPE attention.

    Args:
        config: modes and dimensions; queries and keys have its `content_width`, since what is folded into the heads
            takes its room there.
    """

    def __init__(self, config: VRoPEConfig) -> None:
        super().__init__()
        self.config = config
        self.rotation = make_rotation(config, config.content_width // 2)
        self.bias = make_bias(config.bias, config.heads)
        self.nulls = make_nulls(config.nulls, config.heads)

    def choose_backend(self, device: torch.device) -> tuple[str, str]:
        """How attention is computed on a device, and why so."""
        return choose_backend(self.config.backend, self.config.bias == "laplace", device)

    def modulate(
        self, query: Tensor, key: Tensor, value: Tensor, track: PitchTrack, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Attention with rotated queries, keys and values.

        Args:
            query, key: `(B, H, F, C)`, C the content width.
            value: `(B, H, F, K)`.
            track: of the same frames; with a cache, of the new positions only. Its padding is masked.
            cache: positions before; it is extended. Causal layers only.

        Returns:
            `(B, H, F, K)`.

        Raises:
            ValueError: a cache for a layer that is not causal.
        """
        turns = self.rotation.remembered(self.rotation.value_turns, track, phase_dtype(query))
        if turns is None:
            return self.attend(query, key, value, track, cache)
        cosine, sine = turns
        out = self.attend(query, key, rotate_first(value, cosine, sine), track, cache)
        return rotate_first(out, cosine, -sine)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, track: PitchTrack, cache: KeyValueCache | None = None
    ) -> Tensor:
        """As `modulate`, with values as they are: their means by the attention weights. Of the identity as values,
        `(B, H, F, F)`, they are the weights themselves."""
        config = self.config
        if cache is not None and not config.causal:
            raise ValueError("a cache needs a causal layer")
        offset = 0 if cache is None else cache.length
        turns = self.rotation.remembered(self.rotation, track, offset, phase_dtype(query))
        if turns is not None and cache is not None:  # a position or two, where the calls take the time
            query, key = rotate(torch.cat((query, key), 1), *turns).chunk(2, 1)
        elif turns is not None:
            query, key = rotate(query, *turns), rotate(key, *turns)
        null = track.null
        if cache is not None:
            key, value, before = cache.append(key, value, null if self.nulls.reads else None)
            null = null if before is None else before
        backend, _ = self.choose_backend(query.device)
        masked = None if config.causal else track.padding
        hard = self.nulls.masked(null)
        if hard is not None:
            masked = hard if masked is None else masked | hard
        key, scale, bias = self.nulls.scale_keys(key, null), config.content_width**-0.5, self.nulls.key_bias(null)
        added = {} if self.bias is None else self.bias.terms(track, backend)
        return attend(
            query, key, value, scale=scale, key_bias=bias, masked=masked, causal=config.causal, backend=backend, **added
        )


class VRoPEAttention(VoiceModulation):
    """Self-attention whose positions carry time and pitch: `(B, F, D)` to `(B, F, D)`.

    Query and key are projected to the content width of a head; `VoiceModulation` does the rest.

    Args:
        config: modes and dimensions.

    Example:
        >>> import torch
        >>> from echo_asr.vrope import PitchTrack, VRoPEAttention, VRoPEModes
        >>> attention = VRoPEAttention(VRoPEModes().attention(width=64, heads=4))
        >>> f0 = torch.tensor([[0.0, 180.0, 200.0, 0.0, 150.0]])  # Hz, 0 where unvoiced
        >>> attention(torch.randn(1, 5, 64), PitchTrack.from_f0(f0)).shape
        torch.Size([1, 5, 64])
    """

    def __init__(self, config: VRoPEConfig) -> None:
        super().__init__(config)
        content = config.heads * config.content_width
        self.query = nn.Linear(config.width, content, bias=False)
        self.key = nn.Linear(config.width, content, bias=False)
        self.value = nn.Linear(config.width, config.width, bias=False)
        self.output = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, track: PitchTrack, cache: KeyValueCache | None = None) -> Tensor:
        """Attend.

        Args:
            x: `(B, F, D)`.
            track: of the same frames; with a cache, of the new positions only.
            cache: positions before `x`; it is extended. Causal layers only.

        Raises:
            ValueError: a cache for a layer that is not causal.
        """
        heads, content = self.config.heads, self.config.heads * self.config.content_width
        maps = (self.query, self.key, self.value)
        if cache is None or torch.is_grad_enabled():
            projected = [project(x) for project in maps]
        else:
            projected = list(cache.project("attention", x, maps).split((content, content, self.config.width), 2))
        query, key, value = (split_heads(one, heads) for one in projected)
        return self.output(merge_heads(self.modulate(query, key, value, track, cache)))

    def read(self, x: Tensor, values: Tensor, track: PitchTrack) -> Tensor:
        """Means of values `(B, H, F, K)` of any width by the attention weights of positions `(B, F, D)`."""
        query, key = (split_heads(project(x), self.config.heads) for project in (self.query, self.key))
        return self.attend(query, key, values, track)


def phase_dtype(query: Tensor) -> torch.dtype:
    """The dtype of phases for a query: at least float32, since neighbours are alike in narrower ones."""
    return torch.promote_types(query.dtype, torch.float32)
