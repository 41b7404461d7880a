"""How fast a machine multiplies matrices, beside which CPU times of other machines can be read."""

from __future__ import annotations

import time

import torch

SIZE = 1024  # rows and columns
SECONDS = 1.0  # of CPU time that a measurement takes, about


def matrix_products() -> float:
    """Rate of float32 matrix products, in 10^9 floating-point operations a second of CPU time of all threads."""
    left, right = torch.randn(2, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).unbind()
    left @ right  # what is made ready on first use
    began, products = time.process_time(), 0
    while time.process_time() - began < SECONDS:
        left @ right
        products += 1
    return 2e-9 * SIZE**3 * products / (time.process_time() - began)
