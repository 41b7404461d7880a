"""Where float64 is to be had: phases need it, and Apple's GPU has none."""

from __future__ import annotations

import torch
from torch import Tensor

SINGLE_ONLY = ("mps",)  # types of device without float64


def precise_device(device: torch.device) -> torch.device:
    """The device that computes in float64 for another: that one itself, or the CPU where it has no such numbers."""
    return torch.device("cpu") if device.type in SINGLE_ONLY else device


def double(x: Tensor) -> Tensor:
    """A tensor in float64, on the device of `precise_device`. What becomes of it is cast before it is moved back."""
    return x.to(precise_device(x.device)).double()
