"""Stopping by silence: a text ends where attention, by content alone, goes to the silence after which nothing follows.

The model gets 0.3 s of silence after every recording. `m` is the share of attention that the last silence draws in the
last block. With `stop` silence a text ends with probability `m`; with `both` it ends by that or by token 0.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from echo_asr.model.cross_attention import CrossAttention, EncoderKeyValues, Reader
from echo_asr.vrope import PitchTrack, attention_weights, double

CLOSING_FRAMES = 30  # of 10 ms: the silence that is put after every recording
SHARES = (1e-6, 1.0 - 1e-6)  # an attention share is kept within these, where its logarithm is taken


def closing_frames(stop: str) -> int:
    """Frames of 10 ms of silence that a model with this `stop` has after every recording."""
    return 0 if stop == "token" else CLOSING_FRAMES


def final_silence(track: PitchTrack) -> Tensor:
    """`(B, F)`, true for the null frames of each recording after which no other frame follows."""
    others_from_here = (~track.null).flip(1).cumsum(1).flip(1) > 0
    return ~others_from_here & ~track.padding


class SilenceReader(Reader):
    """Reads the mass that attention would give the frames `ending` `(B, F)` by content alone, before any null weight:
    `share`, `(B, L)` in 0 to 1, a mean over the heads."""

    def __init__(self, ending: Tensor) -> None:
        self.ending = ending
        self.share: Tensor | None = None

    def read(self, cross: CrossAttention, query: Tensor, out: Tensor, memory: EncoderKeyValues) -> Tensor:
        """Keeps the share, and returns what attention gave as it is."""
        weights = attention_weights(query, memory.key, cross.scale, masked=memory.padding, dtype=torch.float32)
        self.share = (weights * self.ending[:, None, None]).sum(-1).mean(1)
        return out

    def select(self, rows: Tensor) -> Reader:
        """The reader of the batch rows `rows`."""
        return SilenceReader(self.ending[rows])


def silence_share(memories: dict[str, list[EncoderKeyValues]]) -> Tensor:
    """`(B, L)` of the last call's positions: the share that the last silence drew in the last block."""
    *_, last = memories.values()
    return cast(Tensor, next(r.share for r in last[-1].readers if isinstance(r, SilenceReader)))


def stop_log_probabilities(logits: Tensor, share: Tensor, by_token: bool) -> Tensor:
    """Log probabilities `(B, L, V)`, float64, of what follows: 0, the end, by silence, or (`by_token`) by either.

    `log(1 - (1 - m)(1 - p_0))` of the end, and `(1 - m)(1 - p_0)` times the softmax over the other tokens; `p_0`, that
    of token 0 in the softmax of the logits, is left out without `by_token`.

    Args:
        logits: `(B, L, V)` float64.
        share: m, `(B, L)`.
    """
    going_on = torch.log1p(-double(share).clamp(*SHARES))
    if by_token:
        going_on = going_on + logits[..., 1:].logsumexp(-1) - logits.logsumexp(-1)
    ending = torch.log(-torch.expm1(going_on))
    return torch.cat((ending[..., None], going_on[..., None] + logits[..., 1:].log_softmax(-1)), dim=-1)


def stop_loss(share: Tensor, lengths: Tensor) -> Tensor:
    """Sum over the positions of the negative log probability that attention to the last silence ends a text there if it
    does end there, and not before: a scalar, in nats.

    Args:
        share: m, `(B, L + 1)`.
        lengths: tokens of each text, `(B,)`.
    """
    position = torch.arange(share.shape[1], device=share.device)[None]
    share = share.clamp(*SHARES)
    wrong = -torch.where(position == lengths[:, None], share, 1.0 - share).log()
    return (wrong * (position <= lengths[:, None])).sum()
