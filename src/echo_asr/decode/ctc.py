"""CTC scores of growing texts: prefix probabilities for the joint beam search, and best paths."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from echo_asr.vrope import double

NEVER = -1e10  # log probability of all but blank beyond the end, where minus infinity would give NaN


class CTCPrefixScorer:
    """`log p(text begins with h c)` under CTC for every prefix `h` of a beam and every symbol `c`.

    Forward variables of Watanabe et al. 2017 (algorithm 2): `n_t` ends in the prefix's last symbol, `b_t` in a blank.
    Their recurrence in time, `x_t = (x_{t-1} + y_{t-1}) p_t`, is solved at once by a cumulative log-sum-exp,
    `X_t = P_t + logcumsumexp(Y_{s-1} - P_{s-1})`, `P` the running sum of `log p`, in float64 on the device that has it.

    Args:
        log_probabilities: `(B, F, V)`, natural logarithm, 0 the blank.
        lengths: frames of each recording, `(B,)`.
        beam: prefixes a recording.
    """

    def __init__(self, log_probabilities: Tensor, lengths: Tensor, beam: int) -> None:
        count = len(log_probabilities)
        logp = _ended(log_probabilities, lengths)
        self.logp = logp.repeat_interleave(beam, 0)
        self.last = torch.zeros(count * beam, dtype=torch.long, device=logp.device)
        self.blank = self.logp[:, :, 0].cumsum(1)
        self.ending = torch.full_like(self.blank, -torch.inf)
        self.beam = beam

    def score(self) -> Tensor:
        """`(B, beam, V)`: log probability of each extended prefix; at index 0, that the text is the prefix itself."""
        before = self._before()
        start = self.logp.new_zeros(())
        shifted = torch.cat(((start + self._empty())[:, None], before[:, :-1]), 1)
        psi = torch.logsumexp(shifted[..., None] + self.logp, dim=1)
        blank_before = torch.cat((self._empty()[:, None], self.blank[:, :-1]), 1)
        repeat = self.logp.gather(2, self.last[:, None, None].expand(-1, self.logp.shape[1], 1))[..., 0]
        psi_repeat = torch.logsumexp(blank_before + repeat, dim=1)
        psi = psi.scatter(1, self.last[:, None], psi_repeat[:, None])
        psi[:, 0] = before[:, -1]
        psi = psi.masked_fill(psi < NEVER / 2, -torch.inf)  # a text that needs more frames than there are
        return psi.view(-1, self.beam, psi.shape[1])

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the prefixes `rows`, each within its recording, and add a token to each; token 0 leaves a prefix as
        it is."""
        self.blank, self.ending, self.last = self.blank[rows], self.ending[rows], self.last[rows]
        source, symbol = self._source(tokens)
        ending = _recur(source, symbol)
        blank = _recur(torch.cat((torch.full_like(ending[:, :1], -torch.inf), ending[:, :-1]), 1), self.logp[:, :, 0])
        stay = (tokens == 0)[:, None]
        self.ending = torch.where(stay, self.ending, ending)
        self.blank = torch.where(stay, self.blank, blank)
        self.last = torch.where(tokens == 0, self.last, tokens)

    def _source(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """For one more token of each prefix: at each frame, the log probability of all paths that it may follow, and of
        the token itself; both `(rows, F)`."""
        symbol = self.logp.gather(2, tokens[:, None, None].expand(-1, self.logp.shape[1], 1))[..., 0]
        source = torch.where((tokens == self.last)[:, None], self.blank, self._before())
        return torch.cat((self._empty()[:, None], source[:, :-1]), 1), symbol

    def _before(self) -> Tensor:
        return torch.logaddexp(self.blank, self.ending)

    def _empty(self) -> Tensor:
        """Log probability of the prefix before the first frame: 0 for the empty prefix, else impossible."""
        return torch.where(self.last == 0, self.logp.new_zeros(()), -torch.inf)


class CTCBestPath:
    """The log probability of each next token of growing texts on the most likely CTC path, given the tokens before.

    As `CTCPrefixScorer`, with maxima for sums: a token that no frame supports stays improbable, however many frames
    there are.

    Args:
        log_probabilities: `(rows, F, V)`, natural logarithm, 0 the blank.
        lengths: frames of each, `(rows,)`.
        texts: `(rows, L)`, the tokens so far; 0 for none.
    """

    def __init__(self, log_probabilities: Tensor, lengths: Tensor, texts: Tensor) -> None:
        self.logp = _ended(log_probabilities, lengths)
        self.last = torch.zeros(len(lengths), dtype=torch.long, device=self.logp.device)
        self.blank = self.logp[..., 0].cumsum(1)
        self.ending = torch.full_like(self.blank, -torch.inf)
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
        symbol = self.logp.gather(2, tokens[:, None, None].expand(-1, self.logp.shape[1], 1))[..., 0]
        source = torch.where((tokens == self.last)[:, None], self.blank, torch.maximum(self.blank, self.ending))
        start = torch.where(self.last == 0, self.logp.new_zeros(()), -torch.inf)
        source = torch.cat((start[:, None], source[:, :-1]), 1)
        best = (source + symbol).amax(1)
        ending = _recur_best(source, symbol)
        nothing = torch.full_like(start, -torch.inf)[:, None]
        blank = _recur_best(torch.cat((nothing, ending[:, :-1]), 1), self.logp[..., 0])
        stay = tokens == 0
        gained = torch.where(stay, 0.0, (best - self.best).nan_to_num(nan=-torch.inf).clamp(max=0.0))
        self.ending = torch.where(stay[:, None], self.ending, ending)
        self.blank = torch.where(stay[:, None], self.blank, blank)
        self.best, self.last = torch.where(stay, self.best, best), torch.where(stay, self.last, tokens)
        return gained


def _ended(log_probabilities: Tensor, lengths: Tensor) -> Tensor:
    """Log probabilities `(rows, F, V)` in float64, with blank for certain beyond the end of each recording."""
    logp = double(log_probabilities)
    beyond = torch.arange(logp.shape[1], device=logp.device)[None] >= lengths.to(logp.device)[:, None]
    silent = logp.new_full((logp.shape[2],), NEVER)
    silent[0] = 0.0
    return torch.where(beyond[..., None], silent, logp)


def _recur(source: Tensor, symbol: Tensor) -> Tensor:
    """Solve `x_t = logaddexp(x_{t-1}, source_t) + symbol_t` with `x_{-1} = -inf`, over the last axis."""
    running = symbol.cumsum(-1)
    return running + torch.logcumsumexp(source - (running - symbol), dim=-1)


def _recur_best(source: Tensor, symbol: Tensor) -> Tensor:
    """Solve `x_t = max(x_{t-1}, source_t) + symbol_t` with `x_{-1} = -inf`, over the last axis."""
    running = symbol.cumsum(-1)
    return running + (source - (running - symbol)).cummax(-1).values
