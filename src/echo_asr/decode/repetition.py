"""Loops: an autoregressive model that has nothing more to say may say the same again until it is stopped.

People repeat themselves, too: a telephone number of sixteen nines. The two are told apart by CTC, in which every copy
takes frames of its own: of a repeat that was spoken each token is probable given those before it; of a loop none is,
since the frames are used up or hold something else.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from echo_asr.decode.ctc import CTCBestPath

LONGEST_UNIT = 64  # tokens of the longest stretch whose repetition is noticed
SHORT_UNIT = 8  # tokens up to which a stretch may come as often as any
ALWAYS = 3  # times in a row that a stretch of any length may come
SPOKEN = math.log(0.2)  # mean of the log probabilities of a copy's tokens in CTC, from which the copy was spoken


def allowed_copies(repetition: int) -> Tensor:
    """How often in a row a unit of 1 to `LONGEST_UNIT` tokens may come, `(LONGEST_UNIT,)`, spoken or not.

    `repetition` times up to eight tokens; of longer ones as many as fit into the same stretch, but at least three.
    """
    lengths = torch.arange(1, LONGEST_UNIT + 1)
    return (SHORT_UNIT * repetition // lengths).clamp(min=ALWAYS).clamp(max=repetition)


class Repetitions:
    """What the hypotheses of a batch have repeated so far, and which tokens they must therefore not go on with.

    A text ends in `m` copies of a unit of `n` tokens if its last `n (m - 1)` tokens each equal the one `n` places
    before. Those counts are carried along, one for each `n`, so that a step costs the same however long the text is.
    A token is refused if it would begin one copy too many, unless CTC finds that whole copy in the frames that are
    left; so `the the the then` is safe from a limit of four.

    Args:
        rows: hypotheses.
        repetition: the limit, at least 2; see `allowed_copies`.
        device: of the search.
        listen: gives the best paths of CTC for the texts `(rows, L)` so far, 0 for no token. It is asked when the limit
            is first reached, which is seldom; the paths then follow the texts. None: no copy passes the limit.
    """

    def __init__(
        self, rows: int, repetition: int, device: torch.device, listen: Callable[[Tensor], CTCBestPath] | None = None
    ) -> None:
        lengths = torch.arange(1, LONGEST_UNIT + 1)
        self.most = (lengths * (allowed_copies(repetition) - 1)).to(device)  # places equal to the one n before
        self.recent = torch.zeros(rows, LONGEST_UNIT, dtype=torch.long, device=device)  # the last token first
        self.equal = torch.zeros_like(self.recent)
        self.texts = torch.zeros(rows, 0, dtype=torch.long, device=device)
        self.spoken = torch.zeros(rows, dtype=torch.long, device=device)  # tokens to come of a copy that was found
        self.listen = listen
        self.path: CTCBestPath | None = None

    def refused(self, size: int) -> Tensor:
        """`(rows, size)`, true for the tokens that must not follow; never for 0, the end."""
        over = (self.equal >= self.most) & (self.recent > 0)
        if self.listen is not None:
            over = over & ~self._find_copies(over)[:, None]
        refused = torch.zeros(len(over), size, dtype=torch.long, device=over.device)
        refused = refused.scatter_add_(1, self.recent, over.long()) > 0
        refused[:, 0] = False
        return refused

    def _find_copies(self, over: Tensor) -> Tensor:
        """`(rows,)`, true where the next token belongs to a copy that CTC finds."""
        asked = over.any(1) & (self.spoken == 0)
        if bool(asked.any()):
            if self.path is None:
                assert self.listen is not None
                self.path = self.listen(self.texts)
            shortest = over.long().argmax(1) + 1  # the units of which there are too many: the others repeat it
            for length in shortest[asked].unique().tolist():
                rows = (asked & (shortest == length)).nonzero()[:, 0]
                ahead, unit = self.path.select(rows), self.recent[rows, :length].flip(1)
                said = torch.stack([ahead.extend(tokens) for tokens in unit.T])
                self.spoken[rows] = length * (said.mean(0) >= SPOKEN).long()
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
