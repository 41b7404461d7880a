"""What all pretrained encoders have in common: samples in, states of their layers out.

Shapes: `B` batch, `S` samples at 16 kHz, `N` states, `C` values in a state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from echo_asr.vrope import PitchAdapters


class SpeechEncoder(nn.Module):
    """A pretrained speech encoder: samples at 16 kHz to the states of its layers.

    A family of encoders is a subclass, with its own input (mean and variance, or log-mel) and a forward of its own over
    the modules of transformers.

    Args:
        network: the encoder as transformers has it, without decoder or head.
        width: C, values in a state of one layer.
        layers: transformer layers. State 0 is what goes into the first, state `i` what comes out of the i-th; of the
            last, after the network's final norm, where it has one.
        hop: samples from the centre of one state to that of the next.
        first: the sample on which the first state is centred.
        batched: whether recordings may be padded and encoded together, which they may not where statistics run over
            time.

    Attributes:
        adapters: of pitch, where it has some; `states` then needs a track (`PitchAdapters.pitch`).
    """

    adapters: PitchAdapters | None = None

    def __init__(
        self, network: nn.Module, width: int, layers: int, hop: int, first: float, batched: bool = True
    ) -> None:
        super().__init__()
        self.network, self.width, self.layers = network, width, layers
        self.hop, self.first, self.batched = hop, first, batched

    def run_layers(
        self,
        stack: Sequence[Callable[..., Tensor]],
        x: Tensor,
        mask: Tensor | None,
        wanted: Sequence[int],
        norm: nn.Module | None = None,
        **inputs: object,
    ) -> tuple[Tensor, ...]:
        """The states of the wanted layers, each `(B, N, C)`.

        Args:
            stack: all transformer layers.
            x: what goes into the first, `(B, N, C)`.
            mask: of attention, as the layers take it.
            norm: the network's final norm, where it has one.
            inputs: that every layer takes, such as positions.
        """
        found = {0: x}
        for number, layer in enumerate(stack[: max(wanted)], 1):
            x = layer(x, mask, **inputs)
            if number in wanted:
                found[number] = norm(x) if norm is not None and number == self.layers else x
        return tuple(found[number] for number in wanted)

    def count(self, samples: Tensor) -> Tensor:
        """The states of recordings of so many samples, at least one each: `(B,)` int64."""
        raise NotImplementedError

    def states(self, samples: Tensor, lengths: Tensor, layers: Sequence[int]) -> tuple[Tensor, ...]:
        """The states of some layers; layers above the highest of them are not computed.

        What is found in a recording does not depend on what it is padded to or batched with, but for rounding.

        Args:
            samples: `(B, S)` float32, zero beyond each recording's length.
            lengths: samples of each, `(B,)`.
            layers: any of 0 to `self.layers`.

        Returns:
            for each wanted layer `(B, N, C)`; what is beyond a recording's `count` has no meaning.
        """
        raise NotImplementedError

    def part(self, start: int, end: int) -> AbstractContextManager[None]:
        """A context in which pitch adapters, where there are some, read states `start` to `end` of their track."""
        return nullcontext() if self.adapters is None else self.adapters.part(start, end)


def beyond(counts: Tensor, size: int) -> Tensor:
    """`(B, size)` bool: true from each recording's count on."""
    return torch.arange(size, device=counts.device)[None] >= counts[:, None]


def key_mask(counts: Tensor, size: int, dtype: torch.dtype) -> Tensor | None:
    """An additive attention mask `(B, 1, size, size)` that leaves out keys beyond each recording; None if there are
    none, so that attention takes its fast path."""
    if bool((counts >= size).all()):
        return None
    masked = beyond(counts, size)[:, None, None, :].expand(-1, 1, size, size)
    return torch.zeros(masked.shape, dtype=dtype, device=counts.device).masked_fill(masked, torch.finfo(dtype).min)
