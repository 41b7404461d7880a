"""A model's loss as a module, which several processes can wrap."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import cast

from torch import Tensor, nn

from echo_asr.features import FeatureBatch
from echo_asr.model.echo import Echo, LossSizes


class LossOf(nn.Module):
    """A model's loss as the forward pass of a module."""

    def __init__(self, model: Echo) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        batch: FeatureBatch,
        tokens: Tensor,
        lengths: Tensor,
        label_smoothing: float,
        features: Collection[str],
        sizes: LossSizes,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The fields of `Loss`; see `Echo.loss`."""
        found = self.model.loss(batch, tokens, lengths, label_smoothing, features, sizes)
        return found.total, found.attention, found.ctc, found.blank_ratio


def blocks_to_shard(model: Echo) -> list[nn.Module]:
    """The blocks that may be sharded by themselves. Those with cross-attention may not, since the decoder reads their
    keys outside of their forward pass."""
    encoders = [block for encoder in model.encoders.values() for block in cast(Iterable[nn.Module], encoder.blocks)]
    return [*encoders, *model.decoder.blocks]
