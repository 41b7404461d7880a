"""Pitch adapters for encoders of transformers: what is special to the attention of each.

Whisper, wav2vec 2.0, HuBERT and Omnilingual ASR need nothing of their own: their queries, keys and values turn where
they leave the projections, and Whisper's scaling of the query commutes with that. Of the others, each forward here does
what transformers' does, in its order and with its functions, so that before training the outputs are equal to the bit.

Shapes: `B` batch, `N` states, `C` values in a state, `H` heads, `K` width of a head.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from echo_asr.vrope import PitchAdapters, PitchAttention
from echo_asr.vrope import adapt as adapt_any


class MoonshinePitch(PitchAttention):
    """Moonshine turns pairs of neighbours by time after the projections. Pitch turns the same pairs: the angles of
    time and pitch add, and scores depend on differences of both alone."""

    interleaved = True


class WavLMPitch(PitchAttention):
    """WavLM hands its weights to `torch.nn.functional.multi_head_attention_forward`, which computes the projections
    itself. This computes the same, in the same order, with the projections as modules (so that LoRA acts in them, too).
    The gate of WavLM's position bias reads the states, not the queries: pitch has no part in it."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return super(PitchAttention, self).forward(*args, **kwargs)

    def torch_multi_head_self_attention(
        self, hidden_states: Tensor, attention_mask: Tensor | None, gated_position_bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        module: Any = self
        batch, size, width = hidden_states.shape
        heads, head_width, states = module.num_heads, module.head_dim, hidden_states.transpose(0, 1)
        scores, values = (
            (cosine.transpose(0, 1), sine.transpose(0, 1)) for cosine, sine in self.pitch_turns(hidden_states)
        )

        def split(projection: nn.Module, turns: tuple[Tensor, Tensor]) -> Tensor:
            """`(B H, N, K)`, in memory as `(N, B H, K)`."""
            x: Tensor = projection(states)
            return self.turn(x.unflatten(2, (heads, head_width)), turns).flatten(1, 2).transpose(0, 1)

        query, key = split(module.q_proj, scores), split(module.k_proj, scores)
        value = split(module.v_proj, values)
        if attention_mask is not None:
            masked = torch.zeros(attention_mask.shape, dtype=query.dtype, device=query.device)
            masked = masked.masked_fill(attention_mask.ne(1), -math.inf)[:, None, None].expand(-1, heads, 1, -1)
            gated_position_bias = gated_position_bias + masked.reshape(batch * heads, 1, size)
        weights = torch.baddbmm(gated_position_bias, query * math.sqrt(1.0 / head_width), key.transpose(1, 2))
        weights = weights.softmax(dim=-1)
        dropped = nn.functional.dropout(weights, module.dropout) if self.training and module.dropout > 0 else weights
        read = torch.bmm(dropped, value).transpose(0, 1).unflatten(1, (batch, heads))
        read = self.turn(read, values, back=True).reshape(size * batch, width)
        out = module.out_proj(read).view(size, batch, width).transpose(0, 1)
        mean = dropped.view(batch, heads, size, size).mean(dim=1)
        return out, mean[:, None].expand(-1, heads, -1, -1)


class Wav2Vec2BertPitch(PitchAttention):
    """w2v-BERT 2.0 adds to the scores a product of the query with what stands for a distance. That takes the query as
    it is; queries and keys turn after it, where only each other is left for them to meet."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        relative_position_embeddings: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        module: Any = self
        scores, values = self.pitch_turns(hidden_states)
        positions = relative_position_embeddings
        rotary = module.position_embeddings_type == "rotary"
        source = module._apply_rotary_embedding(hidden_states, positions) if rotary else hidden_states
        projections = (module.linear_q, source), (module.linear_k, source), (module.linear_v, hidden_states)
        query, key, value = (
            projection(x).unflatten(2, (-1, module.head_size)).transpose(1, 2) for projection, x in projections
        )
        bias = None
        if module.position_embeddings_type == "relative":
            query, bias = functions_of(self)._apply_relative_position_encoding(self, query, key, positions)
        elif module.position_embeddings_type == "relative_key":
            query, bias = functions_of(self)._apply_relative_key_position_encoding(self, query, key)
        query, key, value = turned(self, query, scores), turned(self, key, scores), turned(self, value, values)
        given = {"dropout": module.dropout.p if self.training else 0.0, "scaling": module.scaling, **kwargs}
        read, weights = attention_function(self)(self, query, key, value, attention_mask, position_bias=bias, **given)
        read = self.turn(read, values, back=True)
        return module.linear_out(read.reshape(*hidden_states.shape[:-1], -1)), weights


class ParakeetPitch(PitchAttention):
    """Parakeet adds one bias to the query for content and another for positions (Transformer-XL). The term of positions
    takes the query as it is; query and content bias turn together, and keys with them."""

    def forward(
        self, hidden_states: Tensor, position_embeddings: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        module: Any = self
        scores, values = self.pitch_turns(hidden_states)
        batch, size, _ = hidden_states.shape
        query, key, value = (
            projection(hidden_states).unflatten(2, (-1, module.head_dim)).transpose(1, 2)
            for projection in (module.q_proj, module.k_proj, module.v_proj)
        )
        heads = query.shape[1]
        content = query + module.bias_u.view(1, heads, 1, module.head_dim)
        position = query + module.bias_v.view(1, heads, 1, module.head_dim)
        relative = module.relative_k_proj(position_embeddings).view(batch, -1, heads, module.head_dim)
        bias = module._rel_shift(position @ relative.permute(0, 2, 3, 1))[..., :size] * module.scaling
        if attention_mask is not None:
            bias = bias.masked_fill_(attention_mask.logical_not(), torch.finfo(bias.dtype).min)
        query, key, value = turned(self, content, scores), turned(self, key, scores), turned(self, value, values)
        given = {"dropout": module.attention_dropout if self.training else 0.0, "scaling": module.scaling, **kwargs}
        read, weights = attention_function(self)(self, query, key, value, attention_mask=bias, **given)
        read = self.turn(read, values, back=True)
        return module.o_proj(read.reshape(batch, size, -1)), weights


KINDS: dict[str, type[PitchAttention]] = {
    "MoonshineAttention": MoonshinePitch,
    "ParakeetEncoderAttention": ParakeetPitch,
    "Wav2Vec2BertSelfAttention": Wav2Vec2BertPitch,
    "WavLMAttention": WavLMPitch,
}  # by the name of transformers' class of attention


def adapt(network: nn.Module, layers: Sequence[int] | None = None, reference: str = "fixed") -> PitchAdapters:
    """Put pitch adapters into an encoder of transformers, in place: `echo_asr.vrope.adapt` with what attention needs.

    Call it after LoRA or the choice of what is trained, and before layers are made to be computed anew in backward.
    """
    return adapt_any(network, layers=layers, reference=reference, kinds=KINDS)


def turned(attention: PitchAttention, heads: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """`PitchAttention.turn` of heads `(B, H, N, K)`."""
    return attention.turn(heads.transpose(1, 2), turns).transpose(1, 2)


def functions_of(attention: PitchAttention) -> Any:
    """The module of transformers that the class of an adapted attention is from."""
    return sys.modules[type(attention).__bases__[1].__module__]


def attention_function(attention: PitchAttention) -> Any:
    """What computes attention, as transformers chooses it by the configuration of the network."""
    module: Any = attention
    functions = functions_of(attention)
    chosen = module.config._attn_implementation
    return functions.ALL_ATTENTION_FUNCTIONS.get_interface(chosen, functions.eager_attention_forward)
