"""How much silence and the start token weigh as keys, and how much attention they get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from echo_asr.decode.alignment import force
from echo_asr.decode.search import search
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import Features, collate_features
from echo_asr.model.cross_attention import CrossAttention
from echo_asr.research.diagnose.probes import Call, record_calls
from echo_asr.vrope import SoftNulls, VRoPEAttention


@dataclass(frozen=True)
class ZeroShare:
    """One attention of a model.

    Attributes:
        layer: the name of its module.
        gamma: the factor on the attention weight (mode `weight`) or on the score (mode `score`) of a null, a head each;
            empty for other modes.
        null_keys: share of the keys that are null: what they would get if all keys got the same.
        null_share: share of the attention that they get, of positions that are no nulls themselves.
        head_shares: the same of each head.
        start_share: share that the first position gets from the later ones; None where it is no start token.
    """

    layer: str
    gamma: tuple[float, ...]
    null_keys: float
    null_share: float
    start_share: float | None
    head_shares: tuple[float, ...] = ()


@torch.inference_mode()
def zero_shares(recognizer: Recognizer, features: Sequence[Features]) -> list[ZeroShare]:
    """Attention to nulls and to the start token in every layer, while the model transcribes clips.

    The texts are the model's own, free-running; the weights are those of the whole text at once, which are the same as
    token by token.

    Args:
        features: of the clips, all in one batch.
    """
    model = recognizer.bundle.model
    batch = collate_features(list(features)).to(model.device)
    with record_calls(model.encoders, VRoPEAttention, prefix="encoders") as calls:
        encoded = model.encode(batch, recognizer.features)
    texts = [found.tokens for found in search(model, encoded, recognizer.decode)]
    lengths = torch.tensor([len(text) for text in texts], device=model.device)[:, None]
    if any(texts):
        with record_calls(model.decoder, VRoPEAttention, CrossAttention, prefix="decoder") as of_text:
            force(model, encoded, texts)
        calls += of_text
    return [_zero_share(call, lengths) for call in calls]


def _zero_share(call: Call, lengths: Tensor) -> ZeroShare:
    """The shares of one call of an attention; `lengths` `(B, 1)` are those of the texts."""
    module, (x, track) = call.module, call.arguments[:2]  # cross-attention takes keys and values with the same flags
    place, visible, start = torch.arange(x.shape[1], device=x.device), ~track.padding, None
    keys = ((track.null & visible).sum(1) / visible.sum(1))[:, None]
    if isinstance(module, CrossAttention):
        inside = place < lengths
        share = (module.weights(module.queries(x), track) * track.null[:, None, None]).sum(3)
    else:  # the weights times an indicator of the nulls, and times one of the first position
        flags = torch.zeros(len(x), module.config.heads, x.shape[1], 2, device=x.device)
        flags[..., 0] = track.null[:, None]
        flags[..., 1] = place == 0
        share, first = module.read(x, flags, track).unbind(-1)
        inside = visible & ~track.null
        if module.config.causal:
            inside, keys = (place >= 1) & (place < lengths), track.null.cumsum(1) / (place + 1)
            start = first.mean(1)
    count = max(float(inside.sum()), 1.0)

    def mean(values: Tensor) -> float:
        return float((values * inside).sum()) / count

    gamma = module.nulls.log_gamma.exp().tolist() if isinstance(module.nulls, SoftNulls) else ()
    heads = tuple(mean(own) for own in share.unbind(1))
    return ZeroShare(call.name, tuple(gamma), mean(keys), fmean(heads), None if start is None else mean(start), heads)
