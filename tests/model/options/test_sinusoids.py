import math

import pytest
import torch

from echo_asr.model.options.sinusoids import sinusoids


@pytest.mark.parametrize("width", [8, 24])
def test_sinusoids_are_whispers(width: int) -> None:
    table = sinusoids(7, width, torch.device("cpu"))
    half = width // 2
    for t in range(7):
        for i in range(half):
            rate = 10_000 ** (-i / (half - 1))
            assert table[t, i] == pytest.approx(math.sin(t * rate), abs=1e-6)
            assert table[t, half + i] == pytest.approx(math.cos(t * rate), abs=1e-6)
