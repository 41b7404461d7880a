"""CTC prefix probabilities, for the joint beam."""

from __future__ import annotations

import torch
from torch import Tensor

from echo_asr.vrope import double


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
        count, frames, size = log_probabilities.shape
        logp = double(log_probabilities)
        beyond = torch.arange(frames, device=logp.device)[None] >= lengths.to(logp.device)[:, None]
        # Beyond its end a recording is certainly blank: nothing new begins, and what was read stays.
        silent = torch.full((size,), -1e10, dtype=torch.float64, device=logp.device)
        silent[0] = 0.0
        logp = torch.where(beyond[..., None], silent, logp)
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
        return psi.view(-1, self.beam, psi.shape[1])

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the prefixes `rows`, each within its recording, and add a token to each; token 0 leaves a prefix as
        it is."""
        self.blank, self.ending, self.last = self.blank[rows], self.ending[rows], self.last[rows]
        empty = self._empty()
        symbol = self.logp.gather(2, tokens[:, None, None].expand(-1, self.logp.shape[1], 1))[..., 0]
        source = torch.where((tokens == self.last)[:, None], self.blank, self._before())
        source = torch.cat((empty[:, None], source[:, :-1]), 1)
        ending = _recur(source, symbol)
        blank = _recur(torch.cat((torch.full_like(ending[:, :1], -torch.inf), ending[:, :-1]), 1), self.logp[:, :, 0])
        stay = (tokens == 0)[:, None]
        self.ending = torch.where(stay, self.ending, ending)
        self.blank = torch.where(stay, self.blank, blank)
        self.last = torch.where(tokens == 0, self.last, tokens)

    def _before(self) -> Tensor:
        return torch.logaddexp(self.blank, self.ending)

    def _empty(self) -> Tensor:
        """Log probability of the prefix before the first frame: 0 for the empty prefix, else impossible."""
        return torch.where(self.last == 0, self.logp.new_zeros(()), -torch.inf)


def _recur(source: Tensor, symbol: Tensor) -> Tensor:
    """Solve `x_t = logaddexp(x_{t-1}, source_t) + symbol_t` with `x_{-1} = -inf`, over the last axis."""
    running = symbol.cumsum(-1)
    return running + torch.logcumsumexp(source - (running - symbol), dim=-1)
