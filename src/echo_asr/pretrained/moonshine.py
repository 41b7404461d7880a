"""Moonshine's encoder.

Shapes: `B` batch, `S` samples at 16 kHz, `N` states of 24 ms, `C` values in a state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from echo_asr.pretrained.encoder import SpeechEncoder, key_mask
from echo_asr.pretrained.moments import normalised_samples, own_moments

CONVOLUTIONS = ((127, 64), (7, 3), (3, 2))  # width and step of each, none padded
FEWEST = 895  # samples that one state is made of
EPSILON = 1e-7  # added to the variance of samples, as the feature extractor does


class MoonshineEncoder(SpeechEncoder):
    """The encoder of Moonshine (Jeffries et al. 2024): convolutions on the samples, and rotary positions.

    A state is made of 895 samples, and the next one of those 384 further on, so state `n` is centred at sample
    `447 + 384 n`. Recordings that are shorter are followed by zeros.

    The first convolution is normalised over a whole recording; in a padded batch that is over each recording's own
    frames, so recordings may be encoded together.
    """

    def __init__(self, network: nn.Module, preprocessor: Mapping[str, Any]) -> None:
        config: Any = network.config
        hop = 64 * 3 * 2
        super().__init__(network, config.hidden_size, config.encoder_num_hidden_layers, hop=hop, first=(FEWEST - 1) / 2)
        self.normalised = bool(preprocessor.get("do_normalize", False))

    def count(self, samples: Tensor) -> Tensor:
        """One state for the first 895 samples, and one for each 384 beyond them."""
        return _convolved(samples.clamp(min=FEWEST), len(CONVOLUTIONS))

    def waveform(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """What goes into the first convolution: the samples `(B, S)`, and zeros up to 895; with mean 0 and variance 1
        where the feature extractor is set so."""
        samples = pad(samples.float(), (0, max(0, FEWEST - samples.shape[1])))
        return normalised_samples(samples, lengths, EPSILON) if self.normalised else samples

    def states(self, samples: Tensor, lengths: Tensor, layers: Sequence[int]) -> tuple[Tensor, ...]:
        network: Any = self.network
        counts = self.count(lengths)
        x = torch.tanh(network.conv1(self.waveform(samples, lengths).to(network.dtype)[:, None]))
        x = self._group_norm(x, _convolved(lengths.clamp(min=FEWEST), 1))
        x = gelu(network.conv3(gelu(network.conv2(x)))).permute(0, 2, 1)[:, : int(counts.max())]
        size = x.shape[1]
        positions = torch.arange(size, device=x.device)[None]
        where = {"position_ids": positions, "position_embeddings": network.rotary_emb(x, position_ids=positions)}
        mask = key_mask(counts, size, x.dtype)
        return self.run_layers(network.layers, x, mask, layers, network.layer_norm, **where)

    def _group_norm(self, x: Tensor, counts: Tensor) -> Tensor:
        """The network's group norm of `(B, C, N)`, over the first `counts` frames of each recording."""
        norm: Any = self.network.groupnorm
        if bool((counts >= x.shape[2]).all()):
            normed: Tensor = norm(x)
            return normed
        mean, variance = own_moments(x.float().transpose(1, 2).flatten(1), counts * x.shape[1])
        normed = (x.float() - mean[:, None]) / (variance[:, None] + norm.eps).sqrt()
        return (normed * norm.weight[:, None] + norm.bias[:, None]).to(x.dtype)


def _convolved(samples: Tensor, number: int) -> Tensor:
    """The frames that come out of the first `number` convolutions."""
    for width, step in CONVOLUTIONS[:number]:
        samples = torch.div(samples - width, step, rounding_mode="floor") + 1
    return samples
