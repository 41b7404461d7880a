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
    """The CTC paths of growing texts.

    Attributes:
        paths: `(2, rows, F + 1)`, the log probability that the paths of a text end in a blank (0) or in its last symbol
            (1) before each frame and, at `F`, after the last. Before the first frame there is the empty text alone.
        last: the last token of each, `(rows,)`, 0 for an empty text.

    Args:
        log_probabilities: `(B, F, V)`, natural logarithm, 0 the blank.
        lengths: frames of each recording, `(B,)`.
        recordings: that of each text, `(rows,)`.
    """

    either: Callable[[Tensor, Tensor], Tensor]  # of two sets of paths: their sum, or the better one
    running: Callable[[Tensor], Tensor]  # the same of all that came before, over the last axis

    def __init__(self, log_probabilities: Tensor, lengths: Tensor, recordings: Tensor) -> None:
        self.logp = _ended(log_probabilities, lengths)
        self.recordings = recordings.to(self.logp.device)
        self.last = torch.zeros_like(self.recordings)
        self.silence = self.logp[:, 0][self.recordings]
        self.silence_sum = self.silence.cumsum(1)
        self.paths = self.silence.new_full((2, len(recordings), self.silence.shape[1] + 1), -torch.inf)
        self.paths[0, :, 0] = 0.0
        self.paths[0, :, 1:] = self.silence_sum
        self.both = self.paths[0]  # `either` of the two

    def symbol(self, tokens: Tensor) -> Tensor:
        """Log probability of a token of each text at each frame, `(rows, F)`."""
        return self.logp[self.recordings, tokens]

    def add(self, tokens: Tensor) -> Tensor:
        """Add a token to each text, none where it is 0; returns the log probability that its paths begin the token at
        each frame, `(rows, F)`."""
        symbol = self.symbol(tokens)
        before = torch.where((tokens == self.last)[:, None], self.paths[0], self.both)[:, :-1]
        grown = torch.full_like(self.paths, -torch.inf)
        grown[1, :, 1:] = self._recur(before, symbol, symbol.cumsum(-1))
        grown[0, :, 1:] = self._recur(grown[1, :, :-1], self.silence, self.silence_sum)
        stay = tokens == 0
        self.paths = torch.where(stay[:, None], self.paths, grown)
        self.both = self.either(*self.paths)
        self.last = torch.where(stay, self.last, tokens)
        return before + symbol

    def _recur(self, source: Tensor, symbol: Tensor, total: Tensor) -> Tensor:
        """Solve `x_t = either(x_{t-1}, source_t) + symbol_t` with `x_{-1} = -inf`, over the last axis; `total` is the
        running sum of `symbol`."""
        return total + self.running(source - (total - symbol))


class CTCPrefixScorer(_GrowingTexts):
    """`log p(text begins with h c)` under CTC for every prefix `h` of a beam and every symbol `c`.

    Forward variables of Watanabe et al. 2017 (algorithm 2): `n_t` ends in the prefix's last symbol, `b_t` in a blank.
    Their recurrence in time, `x_t = (x_{t-1} + y_{t-1}) p_t`, is solved at once by a cumulative log-sum-exp,
    `X_t = P_t + logcumsumexp(Y_{s-1} - P_{s-1})`, `P` the running sum of `log p`, in float64 on the device that has it.
    The sum over the frames at which a symbol may begin is one matrix product for all prefixes and symbols, of
    probabilities over the largest of a prefix; what is 1e-308 of it counts as 0.

    Args:
        log_probabilities: `(B, F, V)`, natural logarithm, 0 the blank.
        lengths: frames of each recording, `(B,)`.
        beam: prefixes a recording.
    """

    either = staticmethod(torch.logaddexp)
    running = staticmethod(partial(torch.logcumsumexp, dim=-1))

    def __init__(self, log_probabilities: Tensor, lengths: Tensor, beam: int) -> None:
        recordings = torch.arange(len(lengths), device=lengths.device).repeat_interleave(beam)
        super().__init__(log_probabilities, lengths, recordings)
        self.beam = beam
        self.probabilities = self.logp.exp().transpose(1, 2)  # (B, F, V)

    def score(self) -> Tensor:
        """`(B, beam, V)`: log probability of each extended prefix; at index 0, that the text is the prefix itself."""
        blank, before = self.paths[0], self.both
        highest = before[:, :-1].amax(1, keepdim=True).clamp(min=2 * NEVER)  # finite, for a text that has no path
        shares = (before[:, :-1] - highest).exp().view(len(self.logp), self.beam, -1)
        psi = (shares @ self.probabilities).log().flatten(0, 1) + highest
        again = torch.logsumexp(blank[:, :-1] + self.symbol(self.last), dim=1)
        psi.scatter_(1, self.last[:, None], again[:, None])
        psi[:, 0] = before[:, -1]
        psi = psi.masked_fill(psi < NEVER / 2, -torch.inf)  # a text that needs more frames than there are
        return psi.view(-1, self.beam, psi.shape[1])

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the prefixes `rows`, each within its recording, and add a token to each; token 0 leaves a prefix as
        it is."""
        self.paths, self.both, self.last = self.paths[:, rows], self.both[rows], self.last[rows]
        self.add(tokens)


class CTCBestPath(_GrowingTexts):
    """The log probability of each next token of growing texts on the most likely CTC path, given the tokens before.

    As `CTCPrefixScorer`, with maxima for sums: a token that no frame supports stays improbable, however many frames
    there are.

    Args:
        log_probabilities: `(B, F, V)`, natural logarithm, 0 the blank.
        lengths: frames of each recording, `(B,)`.
        texts: `(rows, L)`, the tokens so far; 0 for none.
        recordings: that of each text, `(rows,)`; by default one text a recording.
    """

    either = staticmethod(torch.maximum)
    running = staticmethod(lambda values: values.cummax(-1).values)

    def __init__(
        self, log_probabilities: Tensor, lengths: Tensor, texts: Tensor, recordings: Tensor | None = None
    ) -> None:
        if recordings is None:
            recordings = torch.arange(len(lengths))
        super().__init__(log_probabilities, lengths, recordings)
        self.best = self.silence.new_zeros(len(recordings))  # log probability of the best path that the text begins
        for tokens in texts.to(self.last.device).T:
            self.extend(tokens)

    def select(self, rows: Tensor) -> CTCBestPath:
        """A copy with the texts `rows`, repeats allowed."""
        chosen = copy(self)
        for name in ("recordings", "last", "silence", "silence_sum", "both", "best"):
            setattr(chosen, name, getattr(self, name)[rows])
        chosen.paths = self.paths[:, rows]
        return chosen

    def extend(self, tokens: Tensor) -> Tensor:
        """Add a token to each text, none where it is 0; returns the log probability of each, `(rows,)`."""
        best, stay = self.add(tokens).amax(1), tokens == 0
        gained = torch.where(stay, 0.0, (best - self.best).nan_to_num(nan=-torch.inf).clamp(max=0.0))
        self.best = torch.where(stay, self.best, best)
        return gained


def best_paths(log_probabilities: Tensor, lengths: Tensor) -> list[list[int]]:
    """The text of the most likely CTC path of each recording.

    Args:
        log_probabilities: `(B, F, V)`; lengths: frames of each recording, `(B,)`.
    """
    texts = []
    for path, size in zip(log_probabilities.argmax(-1).tolist(), lengths.tolist(), strict=True):
        changed = [token for at, token in enumerate(path[:size]) if not at or token != path[at - 1]]
        texts.append([token for token in changed if token])
    return texts


def _ended(log_probabilities: Tensor, lengths: Tensor) -> Tensor:
    """Log probabilities `(B, V, F)` in float64, with blank for certain beyond the end of each recording."""
    logp = double(log_probabilities).transpose(1, 2).contiguous()
    beyond = torch.arange(logp.shape[2], device=logp.device)[None] >= lengths.to(logp.device)[:, None]
    silent = logp.new_full((logp.shape[1], 1), NEVER)
    silent[0] = 0.0
    return torch.where(beyond[:, None], silent, logp)
