"""Stops loops: at the end of speech, an autoregressive model may repeat itself until it is stopped.

Speakers repeat themselves, too, as in a telephone number of sixteen nines. CTC distinguishes the two, since each copy
needs frames of its own: each token of a spoken copy is probable given those before it; no token of a loop is, since the
frames are used up or contain something else.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
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
        lengths = np.arange(1, LONGEST_UNIT + 1)
        self.most = lengths * (allowed_copies(repetition).numpy() - 1)  # positions equal to the one n before
        self.recent = np.zeros((rows, LONGEST_UNIT), np.int64)  # the last token first
        self.equal = np.zeros_like(self.recent)
        self.texts: list[np.ndarray] = []  # the rows of `advance` and the tokens, in turn
        self.spoken = np.zeros(rows, np.int64)  # remaining tokens of a copy that CTC found
        self.device, self.best_path = device, best_path
        self.path: CTCBestPath | None = None

    def refused(self, size: int) -> Tensor | None:
        """`(rows, size)`, true for the tokens that must not follow; never for 0, the end. None: all may follow."""
        over = (self.equal >= self.most) & (self.recent > 0)
        if not over.any():
            return None
        if self.best_path is not None:
            over &= ~self._find_copies(over)[:, None]
        refused = np.zeros((len(over), size), bool)
        rows, places = over.nonzero()
        refused[rows, self.recent[rows, places]] = True
        refused[:, 0] = False
        return torch.from_numpy(refused).to(self.device)

    def _find_copies(self, over: np.ndarray) -> np.ndarray:
        """`(rows,)`, true where the next token belongs to a copy that CTC finds."""
        new = over.any(1) & (self.spoken == 0)
        if new.any():
            if self.path is None:
                assert self.best_path is not None
                self.path = self.best_path(torch.from_numpy(self._so_far()).to(self.device))
            shortest = over.argmax(1) + 1  # the shortest unit over its limit; longer ones are multiples of it
            for length in np.unique(shortest[new]).tolist():
                rows = (new & (shortest == length)).nonzero()[0]
                ahead = self.path.select(torch.from_numpy(rows).to(self.device))
                unit = torch.from_numpy(self.recent[rows, :length][:, ::-1].copy()).to(self.device)
                scores = torch.stack([ahead.extend(tokens) for tokens in unit.T])
                self.spoken[rows] = length * (scores.mean(0) >= SPOKEN).cpu().numpy()
        found: np.ndarray = self.spoken > 0
        return found

    def _so_far(self) -> np.ndarray:
        """The texts, `(rows, L)`."""
        columns: list[np.ndarray] = []
        rows = np.arange(len(self.recent))
        for before, tokens in zip(self.texts[-2::-2], self.texts[::-2], strict=True):
            columns.append(tokens[rows])
            rows = before[rows]
        return np.stack(columns[::-1], 1) if columns else np.zeros((len(rows), 0), np.int64)

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the hypotheses `rows`, repeats allowed, and add a token to each."""
        kept, added = rows.cpu().numpy(), tokens.cpu().numpy()
        recent = self.recent[kept]
        self.equal = np.where(recent == added[:, None], self.equal[kept] + 1, 0)
        self.recent = np.concatenate((added[:, None], recent[:, :-1]), 1)
        self.spoken = np.maximum(self.spoken[kept] - 1, 0)
        if self.path is not None:
            self.path = self.path.select(rows)
            self.path.extend(tokens)
        elif self.best_path is not None:
            self.texts += [kept, added]
