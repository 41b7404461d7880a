"""A pretrained encoder as a part of a model: from the waveform to its states, at each update.

Shapes: `B` batch, `T` frames of 10 ms, `S = 160 T` samples, `N` states at the encoder's own rate, `C` values in a
state, of all layers that are read together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from echo_asr.audio.convert import HOP
from echo_asr.features import FeatureBatch
from echo_asr.features.pitch import REFERENCE_F0
from echo_asr.features.states import normalised_states, on_clock
from echo_asr.features.voice import Standard
from echo_asr.model.config import ModelConfig
from echo_asr.pretrained import SpeechEncoder
from echo_asr.pretrained.encoder import beyond
from echo_asr.pretrained.tuning import add_adapters, choose_trained, recompute_layers, trained_by_layer
from echo_asr.vrope import PitchTrack


class TunedEncoder(nn.Module):
    """A pretrained encoder whose states are computed within the model, with gradients to what is trained of it.

    Before any update its states are those that `features.states` computes once, but for half precision. It always
    works as in use, without dropout and with fixed statistics of batch norm, also while it is trained: the layers above
    it have dropout of their own. Only what is trained of it is in its `state_dict`.

    Args:
        encoder: in float32; it is changed, and belongs to this module from now on.
        layers: those that are read, in order.
        config: what is trained of it (`tune`, `tuned_layers`, `lora_rank`), and whether pitch adapters are put into it
            (`adapters`); pitch is relative in them to what it is in Echo's own layers.

    Attributes:
        held: for now nothing of it is trained, and it runs without gradients.
    """

    def __init__(self, encoder: SpeechEncoder, layers: Sequence[int], config: ModelConfig) -> None:
        super().__init__()
        self.layers, self.held = tuple(layers), False
        choose_trained(encoder, config.tune, max(layers), config.tuned_layers, config.lora_rank)
        if config.adapters:
            add_adapters(encoder, config.vrope.reference)
        self.encoder = encoder.eval()

    def train(self, mode: bool = True) -> TunedEncoder:
        """The encoder stays in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    @property
    def trained(self) -> list[list[Parameter]]:
        """What is trained of each layer, lowest first, without pitch adapters."""
        return trained_by_layer(self.encoder)

    @property
    def added(self) -> list[Parameter]:
        """The parameters of pitch adapters; none without any."""
        return [] if self.encoder.adapters is None else list(self.encoder.adapters.parameters())

    def recompute(self) -> None:
        """Keep of each layer its input alone, and compute the rest again for the backward pass."""
        recompute_layers(self.encoder)

    def forward(self, batch: FeatureBatch, standard: Standard) -> Tensor:
        """States as a model takes them: standardised, `(B, C, T)`, zero beyond each recording.

        Args:
            batch: recordings with their waveform.
            standard: mean and deviation of each dimension.

        Raises:
            ValueError: the features were extracted without the waveform.
        """
        if batch.waveform is None:
            raise ValueError("the batch holds no waveform; extract features with FeatureConfig(waveform=True)")
        samples, adapters = batch.lengths * HOP, self.encoder.adapters
        counts = self.encoder.count(samples)
        pitch: AbstractContextManager[None] = nullcontext()
        if adapters is not None:
            pitch = adapters.pitch(*pitch_at_states(batch, self.encoder.first, self.encoder.hop, counts))
        learns = torch.is_grad_enabled() and not self.held
        # In bfloat16 some CPUs compute grouped convolutions, which wav2vec 2.0 has, wrongly (torch 2.13).
        with torch.set_grad_enabled(learns), torch.autocast("cpu", enabled=False), pitch:
            found = normalised_states(self.encoder, batch.waveform[:, 0], samples, self.layers)
        states = standard(found.transpose(1, 2))
        placed = on_clock(states, batch.null.shape[1], self.encoder.first, self.encoder.hop, counts)
        return placed.masked_fill(batch.padding[:, None], 0.0)


def pitch_at_states(batch: FeatureBatch, first: float, hop: int, counts: Tensor) -> tuple[PitchTrack, Tensor]:
    """Pitch at the states of an encoder: a track, and periodicity, `(B, N)` each.

    A state has the mean of the frames within one hop of its centre, weighted by a triangle: linear interpolation where
    states are as dense as frames, and no frame is left out where they are less dense. As in `PitchTrack.pool`, its F0
    is the mean log F0 of voiced frames (of all, where none is voiced). Voicing, energy and periodicity are those of the
    pitch feature, which masks of SpecAugment cover; F0 is that of the track, which they leave as it is.

    Args:
        first, hop: the samples on which the first state is centred, and between two.
        counts: states of each recording, `(B,)`, of which N is the largest.
    """
    frames, size, reach = batch.null.shape[1], int(counts.max()), hop / HOP
    centres = (first + hop * torch.arange(size, dtype=torch.float64))[:, None] / HOP  # in frames
    near = centres.floor() + torch.arange(1 - math.ceil(reach), math.ceil(reach) + 1)  # all within reach, (N, K)
    weights = (1.0 - (near - centres).abs() / reach).clamp(min=0.0).masked_fill((near < 0) | (near >= frames), 0.0)
    index = near.clamp(0, frames - 1).long().to(batch.track.device)
    inside = weights.float().to(batch.track.device) * ~batch.padding[:, index]  # (B, N, K)
    voiced = batch.voicing[:, index] * inside
    voiced = torch.where(voiced.sum(-1, keepdim=True) > 0, voiced, inside)

    def mean(values: Tensor, share: Tensor = inside) -> Tensor:
        return (values[:, index] * share).sum(-1) / share.sum(-1).clamp(min=torch.finfo(share.dtype).tiny)

    f0 = REFERENCE_F0 * torch.exp2(mean((batch.track / REFERENCE_F0).log2(), voiced))
    voicing, energy, periodicity = ((batch.pitch[:, 0] > 0).float(), *batch.pitch[:, 1:].unbind(1))
    null, padding = mean((~batch.null).float()) == 0.0, beyond(counts, size)
    track = PitchTrack(f0, mean(voicing), mean(energy), null, padding, step=reach, speaker_f0=batch.speaker_f0)
    return track, mean(periodicity)
