"""One encoder for each audio feature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from echo_asr.features import FeatureBatch
from echo_asr.model.config import ModelConfig
from echo_asr.model.layers import Block, FrontEnd, sinusoids
from echo_asr.vrope import PitchTrack

PITCH_CHANNELS = 4  # z where voiced, voicing, energy, periodicity


def feature_track(batch: FeatureBatch) -> PitchTrack:
    """The 10 ms pitch track of a batch of features."""
    return PitchTrack(
        f0=batch.track, voicing=batch.voicing, energy=batch.pitch[:, 1], null=batch.null, padding=batch.padding
    )


def pitch_channels(batch: FeatureBatch, reference: str) -> Tensor:
    """What the pitch encoder hears, `(B, 4, T)`: `z` in octaves where voiced, voicing, energy, periodicity; 0 in
    padding. Hertz would saturate; octaves about the reference are of order one."""
    track = feature_track(batch)
    z = track.z(reference) * track.voicing
    return torch.stack((z, track.voicing, batch.pitch[:, 1], batch.pitch[:, 2]), dim=1)


@dataclass(frozen=True)
class Encoded:
    """What the encoders made of a batch.

    Attributes:
        states: for each feature, `(B, F, D)`.
        track: of the encoder frames; its `null` and `padding` are what cross-attention reads.
        lengths: encoder frames of each recording, `(B,)`.
    """

    states: dict[str, Tensor]
    track: PitchTrack
    lengths: Tensor


class Encoder(nn.Module):
    """Front end and blocks of one feature: to `(B, F, D)`, normalised.

    Args:
        config: the model's.
        feature: `spectrogram` or `pitch`.
        channels: C, of the feature.
    """

    def __init__(self, config: ModelConfig, feature: str, channels: int) -> None:
        super().__init__()
        self.config = config
        self.front = FrontEnd(channels, config.width, config.subsampling)
        attention = config.vrope.attention(config.width, config.heads)
        self.blocks = nn.ModuleList(
            Block(attention, config.feedforward, config.dropout) for _ in range(config.layers(feature))
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor, lengths: Tensor, track: PitchTrack) -> Tensor:
        """Encode.

        Args:
            x: the feature, `(B, C, T)`.
            lengths: feature frames of each recording, `(B,)`.
            track: pitch at encoder frames.
        """
        x = self.front(x, lengths)
        if self.config.positions == "sinusoidal":
            x = x + sinusoids(x.shape[1], x.shape[2], x.device)
        for block in self.blocks:
            x = block(x, track)
        return self.norm(x)
