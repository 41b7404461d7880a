"""Gates on the feed-forward: how much of it each position lets through."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from echo_asr.vrope.track import CHANNELS, PitchTrack


class Gate(nn.Module):
    """A factor in (0, 2) on the output of a feed-forward, `2 sigmoid(.)`; it starts at exactly 1, as if not there.

    `scalar`: one learned number a block. `token`: a number a position, from the position's own features, `w x + b`.
    `pitch`: a number a position and feature, from the pitch track alone, `W [z, v, e] + b`: a filter
    that pitch sets.

    Args:
        kind: one of the three.
        width: D.
        reference: that `z` is relative to, as in `VRoPEModes`.
    """

    def __init__(self, kind: str, width: int, reference: str = "fixed") -> None:
        super().__init__()
        if kind not in ("scalar", "token", "pitch"):
            raise ValueError(f"gate must be scalar, token or pitch, got {kind!r}")
        self.kind, self.reference = kind, reference
        inputs, outputs = {"scalar": (0, 1), "token": (width, 1), "pitch": (CHANNELS, width)}[kind]
        self.weight = nn.Parameter(torch.zeros(outputs, inputs)) if inputs else None
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, track: PitchTrack) -> Tensor:
        """Factors for positions `(B, F, D)`: they broadcast to it."""
        if self.weight is None:
            return 2.0 * torch.sigmoid(self.bias)
        inputs = x if self.kind == "token" else track.channels(self.reference).to(x.dtype)
        return 2.0 * torch.sigmoid(nn.functional.linear(inputs, self.weight, self.bias))


def make_gate(kind: str, width: int, reference: str = "fixed") -> Gate | None:
    """A gate of a kind; None for `none`."""
    return None if kind == "none" else Gate(kind, width, reference)


def text_gate(kind: str, has_pitch: bool) -> str:
    """The kind of gate of text positions. A pitch gate needs pitch: where a position has none, its own features open
    the gate."""
    return "token" if kind == "pitch" and not has_pitch else kind
