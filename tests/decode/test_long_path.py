import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.alignment import ctc_align
from echo_asr.decode.long_path import long_path


def logs(frames: int, symbols: int, seed: int) -> np.ndarray:
    drawn = torch.randn(frames, symbols, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3
    return drawn.log_softmax(-1).float().numpy()


@settings(max_examples=40)
@given(st.data())
def test_the_path_is_that_of_the_whole_trellis(data: st.DataObject) -> None:
    tokens = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=12))
    needed = len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:], strict=False))
    frames = data.draw(st.integers(needed, needed + 25))
    scores = logs(frames, 5, data.draw(st.integers(0, 10**6)))
    (spans,) = ctc_align(torch.from_numpy(scores)[None], torch.tensor([frames]), [tokens])
    first, last = long_path(scores, np.array(tokens), kept=data.draw(st.integers(1, 9)))
    assert list(zip(first.tolist(), last.tolist(), strict=True)) == [(span.first, span.last) for span in spans]


def test_too_many_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="3 tokens need 4 frames, and there are 3"):
        long_path(logs(3, 5, 0), np.array([1, 1, 2]))


def test_the_path_of_many_frames_is_exact() -> None:
    """Sums of tens of thousands of nats are kept small, so that single precision does."""
    tokens = np.random.default_rng(0).integers(1, 30, 300)
    scores = logs(2000, 30, 1) - 20.0
    (spans,) = ctc_align(torch.from_numpy(scores)[None], torch.tensor([2000]), [tokens.tolist()])
    first, last = long_path(scores, tokens)
    assert list(zip(first.tolist(), last.tolist(), strict=True)) == [(span.first, span.last) for span in spans]
