"""How much silence and the start token weigh as keys, and how much attention they get."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from echo_asr.decode.alignment import force
from echo_asr.decode.search import search
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import Features, collate_features
from echo_asr.model.cross_attention import CrossAttention, EncoderKeyValues
from echo_asr.vrope import PitchTrack, SoftNulls, VRoPEAttention


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


class _Sums:
    """Sums over the positions that attend."""

    def __init__(self) -> None:
        self.count = self.keys = self.start = 0.0
        self.heads: list[float] = []

    @property
    def share(self) -> float:
        return sum(self.heads) / max(len(self.heads), 1)

    def add(self, inside: Tensor, keys: Tensor, share: Tensor, start: Tensor | None = None) -> None:
        """`inside` `(B, L)`: the positions that count; `share` `(B, H, L)`; the others `(B, L)`, or broadcast."""
        self.count += float(inside.sum())
        self.keys += float((keys * inside).sum())
        new = (share * inside[:, None]).sum((0, 2)).tolist()
        self.heads = [a + b for a, b in zip(self.heads or [0.0] * len(new), new, strict=True)]
        if start is not None:
            self.start += float((start * inside).sum())


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
    sums: dict[str, _Sums] = {}
    with _watch(model.encoders, "encoders", sums):
        encoded = model.encode(batch, recognizer.features)
    texts = [found.tokens for found in search(model, encoded, recognizer.decode)]
    if any(texts):
        lengths = torch.tensor([len(text) for text in texts], device=model.device)
        with _watch(model.decoder, "decoder", sums, lengths):
            force(model, encoded, texts)
    found = []
    for name, total in sums.items():
        module = model.get_submodule(name)
        assert isinstance(module, VRoPEAttention | CrossAttention)
        gamma = module.nulls.log_gamma.exp().tolist() if isinstance(module.nulls, SoftNulls) else ()
        count, causal = max(total.count, 1.0), isinstance(module, VRoPEAttention) and module.config.causal
        start = total.start / count if causal else None
        heads = tuple(share / count for share in total.heads)
        found.append(ZeroShare(name, tuple(gamma), total.keys / count, total.share / count, start, heads))
    return found


@contextmanager
def _watch(part: nn.Module, prefix: str, sums: dict[str, _Sums], lengths: Tensor | None = None) -> Iterator[None]:
    """Add up the shares of every attention of a part of the model; `lengths` are those of the texts."""
    with ExitStack() as hooks:
        for name, module in part.named_modules(prefix=prefix):
            if not isinstance(module, VRoPEAttention | CrossAttention):
                continue
            look = _look_within if isinstance(module, VRoPEAttention) else _look_across
            hook = module.register_forward_pre_hook(_hooked(look, sums.setdefault(name, _Sums()), lengths))
            hooks.callback(hook.remove)
        yield


def _hooked(look: Callable[..., None], total: _Sums, lengths: Tensor | None) -> Callable[..., None]:
    return lambda module, inputs: look(module, total, lengths, *inputs[:2])


def _look_within(module: VRoPEAttention, total: _Sums, lengths: Tensor | None, x: Tensor, track: PitchTrack) -> None:
    """Self-attention: its weights times an indicator of the nulls, and times one of the first position."""
    flags = torch.zeros(len(x), module.config.heads, x.shape[1], 2, device=x.device)
    flags[..., 0] = track.null[:, None]
    flags[..., 1] = torch.arange(x.shape[1], device=x.device) == 0
    null, start = module.read(x, flags, track).unbind(-1)
    visible = ~track.padding
    if lengths is None:
        inside = visible & ~track.null
        keys = ((track.null & visible).sum(1) / visible.sum(1))[:, None].expand_as(inside)
    else:
        place = torch.arange(x.shape[1], device=x.device)
        inside = (place >= 1) & (place < lengths[:, None])
        keys = track.null.cumsum(1) / (place + 1)
    total.add(inside, keys, null, start.mean(1))


def _look_across(
    module: CrossAttention, total: _Sums, lengths: Tensor | None, x: Tensor, memory: EncoderKeyValues
) -> None:
    """Cross-attention from text to frames."""
    assert lengths is not None
    weights = module.weights(module.queries(x), memory)
    visible = ~memory.padding
    inside = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
    keys = ((memory.null & visible).sum(1) / visible.sum(1))[:, None].expand_as(inside)
    total.add(inside, keys, (weights * memory.null[:, None, None]).sum(3))
