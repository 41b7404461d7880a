"""CTC scores of growing texts: prefix probabilities for the joint beam search, and best paths."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial

import torch
from torch import Tensor

from echo_asr.vrope import double

NEVER = -1e10  # log probability of all but blank beyond the end, where minus infinity would give NaN


class _GrowingTexts:
    """The CTC paths of growing texts: the log probability that they end in the text's last symbol (`ending`) or in a
    blank (`blank`) at each frame, both `(rows, F)`.

    Args:
        logp: `(rows, F, V)`, as of `_ended`.
    """

    either: Callable[[Tensor, Tensor], Tensor]  # of two sets of paths: their sum, or the better one
    running: Callable[[Tensor], Tensor]  # the same of all that came before, over the last axis

    def __init__(self, logp: Tensor) -> None:
        self.logp = logp
        self.last = torch.zeros(len(logp), dtype=torch.long, device=logp.device)
        self.blank = logp[..., 0].cumsum(1)
        self.ending = torch.full_like(self.blank, -torch.inf)

    def symbol(self, tokens: Tensor) -> Tensor:
        """Log probability of a token of each text at each frame, `(rows, F)`."""
        return self.logp.gather(2, tokens[:, None, None].expand(-1, self.logp.shape[1], 1))[..., 0]

    def after(self, source: Tensor) -> Tensor:
        """The source of the paths that go on in each frame, `(rows, F)`: `source` one frame earlier. Before the first
        there is 0 for the empty text, else nothing."""
        empty = torch.where(self.last == 0, self.logp.new_zeros(()), -torch.inf)
        return torch.cat((empty[:, None], source[:, :-1]), 1)

    def add(self, tokens: Tensor) -> Tensor:
        """Add a token to each text, none where it is 0; returns the log probability that its paths begin the token at
        each frame, `(rows, F)`."""
        symbol = self.symbol(tokens)
        before = torch.where((tokens == self.last)[:, None], self.blank, self.either(self.blank, self.ending))
        source = self.after(before)
        ending = self._recur(source, symbol)
        nothing = torch.full_like(ending[:, :1], -torch.inf)
        blank = self._recur(torch.cat((nothing, ending[:, :-1]), 1), self.logp[..., 0])
        stay = tokens == 0
        self.ending = torch.where(stay[:, None], self.ending, ending)
        self.blank = torch.where(stay[:, None], self.blank, blank)
        self.last = torch.where(stay, self.last, tokens)
        return source + symbol

    def _recur(self, source: Tensor, symbol: Tensor) -> Tensor:
        """Solve `x_t = either(x_{t-1}, source_t) + symbol_t` with `x_{-1} = -inf`, over the last axis."""
        total = symbol.cumsum(-1)
        return total + self.running(source - (total - symbol))


class CTCPrefixScorer(_GrowingTexts):
    """`log p(text begins with h c)` under CTC for every prefix `h` of a beam and every symbol `c`.

    Forward variables of Watanabe et al. 2017 (algorithm 2): `n_t` ends in the prefix's last symbol, `b_t` in a blank.
    Their recurrence in time, `x_t = (x_{t-1} + y_{t-1}) p_t`, is solved at once by a cumulative log-sum-exp,
    `X_t = P_t + logcumsumexp(Y_{s-1} - P_{s-1})`, `P` the running sum of `log p`, in float64 on the device that has it.

    Args:
        log_probabilities: `(B, F, V)`, natural logarithm, 0 the blank.
        lengths: frames of each recording, `(B,)`.
        beam: prefixes a recording.
    """

    either = staticmethod(torch.logaddexp)
    running = staticmethod(partial(torch.logcumsumexp, dim=-1))

    def __init__(self, log_probabilities: Tensor, lengths: Tensor, beam: int) -> None:
        super().__init__(_ended(log_probabilities, lengths).repeat_interleave(beam, 0))
        self.beam = beam

    def score(self) -> Tensor:
        """`(B, beam, V)`: log probability of each extended prefix; at index 0, that the text is the prefix itself."""
        before = self.either(self.blank, self.ending)
        psi = torch.logsumexp(self.after(before)[..., None] + self.logp, dim=1)
        psi_repeat = torch.logsumexp(self.after(self.blank) + self.symbol(self.last), dim=1)
        psi = psi.scatter(1, self.last[:, None], psi_repeat[:, None])
        psi[:, 0] = before[:, -1]
        psi = psi.masked_fill(psi < NEVER / 2, -torch.inf)  # a text that needs more frames than there are
        return psi.view(-1, self.beam, psi.shape[1])

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the prefixes `rows`, each within its recording, and add a token to each; token 0 leaves a prefix as
        it is."""
        self.blank, self.ending, self.last = self.blank[rows], self.ending[rows], self.last[rows]
        self.add(tokens)


class CTCBestPath(_GrowingTexts):
    """The log probability of each next token of growing texts on the most likely CTC path, given the tokens before.

    As `CTCPrefixScorer`, with maxima for sums: a token that no frame supports stays improbable, however many frames
    there are.

    Args:
        log_probabilities: `(rows, F, V)`, natural logarithm, 0 the blank.
        lengths: frames of each, `(rows,)`.
        texts: `(rows, L)`, the tokens so far; 0 for none.
    """

    either = staticmethod(torch.maximum)
    running = staticmethod(lambda values: values.cummax(-1).values)

    def __init__(self, log_probabilities: Tensor, lengths: Tensor, texts: Tensor) -> None:
        super().__init__(_ended(log_probabilities, lengths))
        self.best = torch.zeros_like(self.blank[:, 0])  # log probability of the best path that the text begins
        for tokens in texts.T:
            self.extend(tokens)

    def select(self, rows: Tensor) -> CTCBestPath:
        """A copy with the texts `rows`, repeats allowed."""
        chosen = copy(self)
        for name, value in vars(self).items():
            setattr(chosen, name, value[rows])
        return chosen

    def extend(self, tokens: Tensor) -> Tensor:
        """Add a token to each text, none where it is 0; returns the log probability of each, `(rows,)`."""
        best, stay = self.add(tokens).amax(1), tokens == 0
        gained = torch.where(stay, 0.0, (best - self.best).nan_to_num(nan=-torch.inf).clamp(max=0.0))
        self.best = torch.where(stay, self.best, best)
        return gained


def _ended(log_probabilities: Tensor, lengths: Tensor) -> Tensor:
    """Log probabilities `(rows, F, V)` in float64, with blank for certain beyond the end of each recording."""
    logp = double(log_probabilities)
    beyond = torch.arange(logp.shape[1], device=logp.device)[None] >= lengths.to(logp.device)[:, None]
    silent = logp.new_full((logp.shape[2],), NEVER)
    silent[0] = 0.0
    return torch.where(beyond[..., None], silent, logp)
