"""Stops loops: at the end of speech, an autoregressive model may repeat itself until it is stopped.

Speakers repeat themselves, too, as in a telephone number of sixteen nines. CTC distinguishes the two, since each copy
needs frames of its own: each token of a spoken copy is probable given those before it; no token of a loop is, since the
frames are used up or contain something else.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from echo_asr.decode.ctc import CTCBestPath

LONGEST_UNIT = 64  # tokens of the longest unit whose repetition is detected
SHORT_UNIT = 8  # tokens up to which a unit may be repeated `repetition` times
ALWAYS = 3  # times in a row that a unit of any length may occur
SPOKEN = math.log(0.2)  # mean CTC log probability of the tokens of a copy, from which it counts as spoken


def allowed_copies(repetition: int) -> Tensor:
    """How often in a row a unit of 1 to `LONGEST_UNIT` tokens may occur, `(LONGEST_UNIT,)`, spoken or not.

    `repetition` times up to eight tokens; longer units as often as fit into the same number of tokens, but at least
    three times.
    """
    lengths = torch.arange(1, LONGEST_UNIT + 1)
    return (SHORT_UNIT * repetition // lengths).clamp(min=ALWAYS).clamp(max=repetition)


class Repetitions:
    """Counts the repetitions in the hypotheses of a batch, and refuses next tokens that would exceed the limit.

    A text ends in `m` copies of a unit of `n` tokens if its last `n (m - 1)` tokens each equal the one `n` positions
    before. Those counts are kept, one for each `n`, so that the cost of a step does not depend on the length of the
    text. A token is refused if it would begin one copy too many, unless CTC finds that whole copy in the remaining
    frames; so a limit of four allows `the the the then`.

    Args:
        rows: hypotheses.
        repetition: the limit, at least 2; see `allowed_copies`.
        device: of the search.
        best_path: returns the best paths of CTC for the texts `(rows, L)` so far, 0 for no token. It is called when the
            limit is first reached, which is rare; the paths are then extended with the texts. None: no copy beyond
            the limit is allowed.
    """

    def __init__(
        self, rows: int, repetition: int, device: torch.device, best_path: Callable[[Tensor], CTCBestPath] | None = None
    ) -> None:
        lengths = torch.arange(1, LONGEST_UNIT + 1)
        self.most = (lengths * (allowed_copies(repetition) - 1)).to(device)  # positions equal to the one n before
        self.recent = torch.zeros(rows, LONGEST_UNIT, dtype=torch.long, device=device)  # the last token first
        self.equal = torch.zeros_like(self.recent)
        self.texts = torch.zeros(rows, 0, dtype=torch.long, device=device)
        self.spoken = torch.zeros(rows, dtype=torch.long, device=device)  # remaining tokens of a copy that CTC found
        self.best_path = best_path
        self.path: CTCBestPath | None = None

    def refused(self, size: int) -> Tensor:
        """`(rows, size)`, true for the tokens that must not follow; never for 0, the end."""
        over = (self.equal >= self.most) & (self.recent > 0)
        if self.best_path is not None:
            over = over & ~self._find_copies(over)[:, None]
        refused = torch.zeros(len(over), size, dtype=torch.long, device=over.device)
        refused = refused.scatter_add_(1, self.recent, over.long()) > 0
        refused[:, 0] = False
        return refused

    def _find_copies(self, over: Tensor) -> Tensor:
        """`(rows,)`, true where the next token belongs to a copy that CTC finds."""
        new = over.any(1) & (self.spoken == 0)
        if bool(new.any()):
            if self.path is None:
                assert self.best_path is not None
                self.path = self.best_path(self.texts)
            shortest = over.long().argmax(1) + 1  # the shortest unit over its limit; longer ones are multiples of it
            for length in shortest[new].unique().tolist():
                rows = (new & (shortest == length)).nonzero()[:, 0]
                ahead, unit = self.path.select(rows), self.recent[rows, :length].flip(1)
                scores = torch.stack([ahead.extend(tokens) for tokens in unit.T])
                self.spoken[rows] = length * (scores.mean(0) >= SPOKEN).long()
        return self.spoken > 0

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the hypotheses `rows`, repeats allowed, and add a token to each."""
        recent = self.recent[rows]
        self.equal = torch.where(recent == tokens[:, None], self.equal[rows] + 1, 0)
        self.recent = torch.cat((tokens[:, None], recent[:, :-1]), 1)
        self.texts = torch.cat((self.texts[rows], tokens[:, None]), 1)
        self.spoken = (self.spoken[rows] - 1).clamp(min=0)
        if self.path is not None:
            self.path = self.path.select(rows)
            self.path.extend(tokens)
