"""Added positions, a control of rotary ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoids(length: int, width: int, device: torch.device) -> Tensor:
    """Whisper's added positions (Radford et al. 2022): `(length, width)`, sines then cosines."""
    rate = torch.exp(-math.log(10_000.0) / (width // 2 - 1) * torch.arange(width // 2, device=device))
    angle = torch.arange(length, device=device)[:, None] * rate
    return torch.cat((angle.sin(), angle.cos()), dim=1)
