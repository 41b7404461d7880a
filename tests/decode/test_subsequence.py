"""Subsequence dynamic time warping, against the recurrence written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.subsequence import cosine_costs, warp


def plain(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean cost and first frame of the best path that ends in each frame of `(N, F)`, by trying all paths."""
    size, frames = costs.shape
    best, start = np.full(frames, np.inf), np.zeros(frames, int)

    def follow(index: int, frame: int, first: int, total: float, stayed: bool = False) -> None:
        total += costs[index, frame]
        if index + 1 < size:
            for step in (1, 2) if stayed else (0, 1, 2):
                if frame + step < frames:
                    follow(index + 1, frame + step, first, total, step == 0)
        elif total / size < best[frame] - 1e-12:
            best[frame], start[frame] = total / size, first

    for first in range(frames):
        follow(0, first, first, 0.0)
    return best, start


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(1, 6))
def test_the_best_path_is_the_best_of_all(seed: int, size: int, frames: int) -> None:
    costs = np.random.default_rng(seed).random((2, size, frames))
    total, start = warp(torch.from_numpy(costs))
    for row in range(2):
        best, first = plain(costs[row])
        assert total[row].numpy() == pytest.approx(best)
        assert start[row].numpy()[np.isfinite(best)].tolist() == first[np.isfinite(best)].tolist()


def test_a_part_is_found_where_it_was_taken_from_also_if_faster() -> None:
    draw = torch.Generator().manual_seed(0)
    recordings = torch.randn(2, 30, 16, generator=draw)
    for query in (recordings[1, 8:20], recordings[1, 8:20].repeat_interleave(2, 0), recordings[1, 8:20:2] * 3.0):
        total, start = warp(cosine_costs(query, recordings))
        last = int(total[1].argmin())
        assert total[1, last] == pytest.approx(0.0, abs=1e-5) and total[0].min() > 0.3
        assert (int(start[1, last]), last) in ((8, 19), (8, 18))


def test_frames_beyond_a_recording_are_in_no_path() -> None:
    costs = torch.rand(1, 4, 9)
    costs[..., 6:] = torch.inf
    total, _ = warp(costs)
    assert torch.equal(total[:, :6], warp(costs[..., :6])[0]) and total[:, 8].isinf().all()
