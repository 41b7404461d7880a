"""Loops: an autoregressive model that has nothing more to say may say the same again until it is stopped."""

from __future__ import annotations

import torch
from torch import Tensor

LONGEST_UNIT = 64  # tokens of the longest stretch whose repetition is noticed
SHORT_UNIT = 8  # tokens up to which a stretch may come as often as any
ALWAYS = 3  # times in a row that a stretch of any length may come


def allowed_copies(repetition: int) -> Tensor:
    """How often in a row a unit of 1 to `LONGEST_UNIT` tokens may come, `(LONGEST_UNIT,)`.

    `repetition` times up to eight tokens; of longer ones as many as fit into the same stretch, but at least three.
    """
    lengths = torch.arange(1, LONGEST_UNIT + 1)
    return (SHORT_UNIT * repetition // lengths).clamp(min=ALWAYS).clamp(max=repetition)


class Repetitions:
    """What the hypotheses of a batch have repeated so far, and which tokens they must therefore not go on with.

    A text ends in `m` copies of a unit of `n` tokens if its last `n (m - 1)` tokens each equal the one `n` places
    before. Those counts are carried along, one for each `n`, so that a step costs the same however long the text is.
    A token is refused if it would begin one copy too many; so `the the the then` is safe from a limit of four.

    Args:
        rows: hypotheses.
        repetition: the limit, at least 2; see `allowed_copies`.
        device: of the search.
    """

    def __init__(self, rows: int, repetition: int, device: torch.device) -> None:
        lengths = torch.arange(1, LONGEST_UNIT + 1)
        self.most = (lengths * (allowed_copies(repetition) - 1)).to(device)  # places equal to the one n before
        self.recent = torch.zeros(rows, LONGEST_UNIT, dtype=torch.long, device=device)  # the last token first
        self.equal = torch.zeros_like(self.recent)

    def refused(self, size: int) -> Tensor:
        """`(rows, size)`, true for the tokens that must not follow; never for 0, the end."""
        over = (self.equal >= self.most).long()
        refused = torch.zeros(len(over), size, dtype=torch.long, device=over.device)
        refused = refused.scatter_add_(1, self.recent, over) > 0
        refused[:, 0] = False
        return refused

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the hypotheses `rows`, repeats allowed, and add a token to each."""
        recent = self.recent[rows]
        self.equal = torch.where(recent == tokens[:, None], self.equal[rows] + 1, 0)
        self.recent = torch.cat((tokens[:, None], recent[:, :-1]), 1)
