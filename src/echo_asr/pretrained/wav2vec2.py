"""Encoders with the convolutions of wav2vec 2.0: wav2vec 2.0 (XLS-R, MMS), HuBERT, WavLM and Omnilingual ASR.

Shapes: `B` batch, `S` samples at 16 kHz, `N` states, `C` values in a state.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, pad

from echo_asr.pretrained.encoder import SpeechEncoder, beyond, key_mask
from echo_asr.pretrained.moments import normalised_samples


class Wav2Vec2Encoder(SpeechEncoder):
    """The encoder of wav2vec 2.0 (Baevski et al. 2020), and so of XLS-R and MMS.

    Convolutions over the samples, a projection, a positional convolution, and transformer layers. This forward runs
    over the modules of transformers without LayerDrop or SpecAugment, in training as in use. For one recording its
    states are those of transformers to the bit.

    Models with group norm (`feat_extract_norm: group`, the base ones) take the statistics of the first convolution's
    channels over the whole recording. So that convolution sees recordings one by one, without padding (`batched` is
    false); what follows sees them together.

    With the usual convolutions, state `n` sees the 400 samples from `320 n` on, and is centred at `320 n + 200`. A
    recording of fewer samples than the first state sees is padded with zeros to one state. The samples after the last
    whole window are not used.
    """

    epsilon = 1e-7  # added to the variance of the samples

    def __init__(self, network: nn.Module, preprocessor: Mapping[str, Any]) -> None:
        config: Any = network.config
        self.convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        hop, self.window = 1, 1
        for kernel, stride in self.convolutions:
            self.window += (kernel - 1) * hop
            hop *= stride
        batched = getattr(config, "feat_extract_norm", "layer") == "layer"
        super().__init__(network, config.hidden_size, config.num_hidden_layers, hop, self.window / 2, batched)
        self.normalised = bool(preprocessor.get("do_normalize", True))

    def count(self, samples: Tensor) -> Tensor:
        """One state for each window that fits, and one for a recording that is shorter."""
        counts = samples.clamp(min=self.window)
        for kernel, stride in self.convolutions:
            counts = torch.div(counts - kernel, stride, rounding_mode="floor") + 1
        return counts

    def normalise(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Each recording `(B, S)` at mean 0 and variance 1 of its own samples, zero beyond them.

        The samples as they are, if the model's `preprocessor_config.json` says `do_normalize: false`.
        """
        return normalised_samples(samples, lengths, self.epsilon) if self.normalised else samples

    def convolve(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """What comes out of the convolutions: `(B, N, C)`."""
        longest = max(self.window, int(lengths.max()))
        samples = pad(samples, (0, max(0, longest - samples.shape[1])))[:, None, :longest]
        first, *others = self._convolutions()
        samples = samples.to(first.conv.weight.dtype)
        if self.batched or len(samples) == 1:
            x = first(samples)
        else:
            ends = lengths.clamp(min=self.window).tolist()
            alone = [first(samples[index : index + 1, :, :end]) for index, end in enumerate(ends)]
            size = max(x.shape[2] for x in alone)
            x = torch.cat([pad(x, (0, size - x.shape[2])) for x in alone])
        for layer in others:
            x = layer(x)
        return x.transpose(1, 2)

    def states(self, samples: Tensor, lengths: Tensor, layers: Sequence[int]) -> tuple[Tensor, ...]:
        counts = self.count(lengths)
        x = self.project(self.convolve(self.normalise(samples, lengths), lengths))
        outside = beyond(counts, x.shape[1])
        x = self.add_positions(x.masked_fill(outside[..., None], 0.0), outside)
        return self.transform(x, counts, layers)

    def project(self, features: Tensor) -> Tensor:
        """Features of the convolutions at the width of the transformer, `(B, N, C)`."""
        network: Any = self.network
        projected: Tensor = network.feature_projection(features)[0]
        return projected

    def add_positions(self, x: Tensor, outside: Tensor) -> Tensor:
        """State 0 `(B, N, C)`: projected features, zero beyond each recording, plus the positional convolution."""
        network: Any = self.network
        x = x + self.positions(x, outside)
        return x if network.config.do_stable_layer_norm else network.encoder.layer_norm(x)

    def positions(self, x: Tensor, outside: Tensor) -> Tensor:
        """The positional convolution of projected features, `(B, N, C)`."""
        network: Any = self.network
        embedding: Tensor = network.encoder.pos_conv_embed(x)
        return embedding

    def transform(self, x: Tensor, counts: Tensor, wanted: Sequence[int]) -> tuple[Tensor, ...]:
        """The states `(B, N, C)` of the wanted layers."""
        return self.run_layers(self._layers(), x, key_mask(counts, x.shape[1], x.dtype), wanted, self._norm())

    def _norm(self) -> nn.Module | None:
        """The network's final norm, where it has one."""
        network: Any = self.network
        norm: nn.Module = network.encoder.layer_norm
        return norm if network.config.do_stable_layer_norm else None

    def _convolutions(self) -> list[Any]:
        network: Any = self.network
        return list(network.feature_extractor.conv_layers)

    def _layers(self) -> list[Any]:
        network: Any = self.network
        return list(network.encoder.layers)


class HubertEncoder(Wav2Vec2Encoder):
    """The encoder of HuBERT (Hsu et al. 2021), which is built as wav2vec 2.0.

    Models with batch norm before the positional convolution (mHuBERT-147) keep its statistics in training.
    """

    def project(self, features: Tensor) -> Tensor:
        network: Any = self.network
        projected: Tensor = network.feature_projection(features)
        return projected

    def positions(self, x: Tensor, outside: Tensor) -> Tensor:
        network: Any = self.network
        embed = network.encoder.pos_conv_embed
        if (norm := embed.batch_norm) is None:
            return super().positions(x, outside)
        x = x.transpose(1, 2)
        x = batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps)
        x = embed.conv(x.masked_fill(outside[:, None], 0.0))  # zeros beyond the end, as the convolution pads
        embedding: Tensor = embed.activation(embed.padding(x)).transpose(1, 2)
        return embedding


class WavLMEncoder(Wav2Vec2Encoder):
    """The encoder of WavLM (Chen et al. 2022): the scores of attention have a bias by distance, which each layer
    scales by its states. The first layer computes it and hands it on."""

    def __init__(self, network: nn.Module, preprocessor: Mapping[str, Any]) -> None:
        super().__init__(network, preprocessor)
        # transformers gives torch a boolean mask of padding beside a bias of numbers
        warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask and attn_mask")

    def transform(self, x: Tensor, counts: Tensor, wanted: Sequence[int]) -> tuple[Tensor, ...]:
        outside = beyond(counts, x.shape[1])
        mask = ~outside if bool(outside.any()) else None
        bias: Tensor | None = None

        def run(layer: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
            nonlocal bias
            x, bias = layer(x, mask, bias)
            return x

        return self.run_layers([partial(run, layer) for layer in self._layers()], x, mask, wanted, self._norm())


class OmniASREncoder(Wav2Vec2Encoder):
    """The encoder of Omnilingual ASR (Meta 2025), which is built as the large models of wav2vec 2.0."""

    epsilon = 1e-5

    def project(self, features: Tensor) -> Tensor:
        network: Any = self.network
        projected: Tensor = network.subsampling.projection(network.subsampling.layer_norm(features))
        return projected

    def add_positions(self, x: Tensor, outside: Tensor) -> Tensor:
        network: Any = self.network
        added: Tensor = network.encode_positions(x)
        return added

    def _norm(self) -> nn.Module | None:
        network: Any = self.network
        norm: nn.Module = network.layer_norm
        return norm

    def _convolutions(self) -> list[Any]:
        network: Any = self.network
        return list(network.subsampling.conv_layers)

    def _layers(self) -> list[Any]:
        network: Any = self.network
        return list(network.layers)
