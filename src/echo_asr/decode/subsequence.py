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

    A path has one cell for each query frame; from one to the next it stays in a frame of the recording, goes on to the
    next, or leaves one out: `D(i, j) = c(i, j) + min(D(i-1, j), D(i-1, j-1), D(i-1, j-2))`. So a mean over the query's
    frames compares paths of all speeds up to twice that of the query.

    Args:
        costs: `(B, N, F)`, infinite beyond a recording.
    """
    count, size, frames = costs.shape
    total = costs[:, 0]
    start = torch.arange(frames, device=costs.device).expand(count, -1)
    for index in range(1, size):
        options = [total, *(_later(total, by, torch.inf) for by in (1, 2))]
        begun = [start, *(_later(start, by, 0) for by in (1, 2))]
        best = torch.stack(options).min(0)
        start = torch.stack(begun).gather(0, best.indices[None])[0]
        total = costs[:, index] + best.values
    return total / size, start


def _later(values: Tensor, by: int, fill: float) -> Tensor:
    return torch.cat((torch.full_like(values[:, :by], fill), values[:, :-by]), dim=1)[:, : values.shape[1]]
