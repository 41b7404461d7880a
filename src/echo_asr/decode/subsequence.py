"""Where a short sequence of vectors is found in longer ones: subsequence dynamic time warping.

As in query-by-example spoken term detection (Hazen et al. 2009; Zhang and Glass 2009), the query is matched as a whole,
and begins and ends anywhere in the recording.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def cosine_costs(query: Tensor, recordings: Tensor) -> Tensor:
    """1 minus the cosine between each frame of a query `(N, D)` and those of recordings `(B, F, D)`: `(B, N, F)`."""
    return 1.0 - normalize(query, dim=-1) @ normalize(recordings, dim=-1).transpose(1, 2)


def warp(costs: Tensor) -> tuple[Tensor, Tensor]:
    """The mean cost a query frame of the best path that ends in each frame, and the frame that it begins in, `(B, F)`.

    A path has one cell for each query frame, so that means compare paths of all speeds, which are half to twice that of
    the query: from one query frame to the next it goes on to the next frame of the recording, leaves one out, or stays,
    but not twice in a row (as in Sakoe and Chiba 1978, of slopes 1/2 to 2):
    `D(i, j) = c(i, j) + min(M(i-1, j), c(i-1, j) + M(i-2, j))`, `M(i, j) = min(D(i, j-1), D(i, j-2))`.

    Args:
        costs: `(B, N, F)`, infinite beyond a recording.
    """
    count, size, frames = costs.shape
    place = torch.arange(frames, device=costs.device).expand(count, -1)
    total, start = costs[:, 0], place
    before, begun = torch.zeros_like(total), place  # M of the query frame before the last: of none it costs nothing
    for index in range(1, size):
        moved, since = _least((_later(total, 1, torch.inf), _later(start, 1, 0)),
                              (_later(total, 2, torch.inf), _later(start, 2, 0)))  # fmt: skip
        best, start = _least((moved, since), (costs[:, index - 1] + before, begun))
        total = costs[:, index] + best
        before, begun = moved, since
    return total / size, start


def _least(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The lower costs, and the frames in which those begin."""
    better = other[0] < one[0]
    return torch.where(better, other[0], one[0]), torch.where(better, other[1], one[1])


def _later(values: Tensor, by: int, fill: float) -> Tensor:
    return torch.cat((torch.full_like(values[:, :by], fill), values[:, :-by]), dim=1)[:, : values.shape[1]]
