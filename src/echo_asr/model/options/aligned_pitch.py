"""Text pitch `aligned`: a text position takes the pitch of the frames that it attends to.

Cross-attention reads the pitch track beside its values, with the same weights; what a position read sets its radius and
opens its gate in all that follows. Before the first cross-attention a position has no pitch.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from echo_asr.model.cross_attention import CrossAttention, EncoderKeyValues, Reader
from echo_asr.vrope import PitchTrack, VRoPEConfig, VRoPEModes


class PitchReader(Reader):
    """Reads pitch channels `(B, F, C)`, `PitchTrack.channels` of the frames."""

    def __init__(self, channels: Tensor) -> None:
        self.channels = channels
        self.found: Tensor | None = None  # (B, L, C), a mean over the heads
        self.track: PitchTrack | None = None  # with what was found

    def extend(self, value: Tensor) -> Tensor:
        """Values with the channels as further dimensions, the same in every head."""
        channels = self.channels[:, None].expand(-1, value.shape[1], -1, -1).to(value.dtype)
        return torch.cat((value, channels), dim=-1)

    def read(self, cross: CrossAttention, query: Tensor, out: Tensor, memory: EncoderKeyValues) -> Tensor:
        """Keeps the means of the channels, and returns the others."""
        count = self.channels.shape[-1]
        out, pitch = out.split((out.shape[-1] - count, count), dim=-1)
        self.found, self.track = pitch.mean(1), None
        return out

    def text_track(self, track: PitchTrack) -> PitchTrack:
        """The track with the acoustics that were read."""
        if self.track is None:  # the same for the block's own gate and for what follows
            assert self.found is not None
            self.track = track.read(*self.found.float().unbind(-1))
        return self.track

    def select(self, rows: Tensor) -> Reader:
        """The reader of the batch rows `rows`."""
        return PitchReader(self.channels[rows])


def with_text_radius(text: VRoPEConfig, modes: VRoPEModes) -> VRoPEConfig:
    """Text self-attention with the encoders' radius, which reads the pitch of the positions."""
    return replace(text, radius=modes.radius, radius_range=modes.radius_range)
