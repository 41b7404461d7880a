"""Several steps of a greedy search in one call of the decoder, where CTC knows how a text will go on.

The decoder is asked about the tokens of the most likely CTC path as if it had written them; what it says of those
that it then does write is kept, and the rest is forgotten. So what is found is as if each token were asked for by
itself, but for rounding (speculative decoding, Leviathan et al. 2023, arXiv:2211.17192; the draft is the CTC head's).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from echo_asr.model.decoder import DecoderState
from echo_asr.model.echo import Echo

ROWS = 4  # texts at most that are read ahead for; of more, one or another differs at nearly every token
LONGEST = 64  # tokens that are read ahead
NEAR = 4  # tokens of a path, before and after, among which it is taken up again after another token was written


class Lookahead:
    """The decoder's predictions for a batch of texts that grow by a token at a time.

    Args:
        model, state: the decoder's state is extended.
        paths: the tokens that each text will probably have; see `best_paths`.
    """

    def __init__(self, model: Echo, state: DecoderState, paths: Sequence[Sequence[int]]) -> None:
        self.model, self.state = model, state
        self.paths = [list(path) for path in paths]
        self.places = [0] * len(self.paths)  # in each path, of the next token
        self.latest = [0] * len(self.paths)
        self.most = LONGEST
        self.asked: list[list[int]] = []  # the tokens of each text that the decoder was asked about
        self.known: Tensor | None = None  # what it said of them, (rows, L, V)
        self.used = 0  # of these L

    def predict(self, last: Tensor) -> Tensor:
        """Log probabilities `(rows, V)` of what follows `last` `(rows, 1)`, the latest token of each text."""
        tokens = last[:, 0].tolist()
        known = self.known
        if known is None or self.used == known.shape[1] or [row[self.used] for row in self.asked] != tokens:
            known = self._ask(tokens)
        self.used += 1
        return known[:, self.used - 1]

    def _ask(self, tokens: Sequence[int]) -> Tensor:
        """Ask the decoder about the latest tokens and those of the paths after them."""
        if self.known is not None:
            unused = self.known.shape[1] - self.used
            self.state.forget(unused)
            self.most = min(LONGEST, 2 * self.used + 2)
        ahead = [path[place : place + self.most] for path, place in zip(self.paths, self.places, strict=True)]
        longest = max(map(len, ahead)) if len(ahead) <= ROWS else 0
        self.asked = [
            [token, *row[:longest], *[0] * (longest - len(row))] for token, row in zip(tokens, ahead, strict=True)
        ]
        self.known = self.model.predict(torch.tensor(self.asked), self.state)
        self.used = 0
        return self.known

    def advance(self, tokens: Sequence[int]) -> None:
        """Each text gets a token."""
        for row, (path, token) in enumerate(zip(self.paths, tokens, strict=True)):
            self.places[row] = _next_place(path, self.places[row], self.latest[row], token)
        self.latest = list(tokens)

    def select(self, rows: Tensor) -> None:
        """Keep the texts `rows`."""
        chosen = rows.tolist()
        self.paths, self.asked = ([values[row] for row in chosen] for values in (self.paths, self.asked))
        self.places, self.latest = ([values[row] for row in chosen] for values in (self.places, self.latest))
        if self.known is not None:
            self.known = self.known[rows]
        self.state.select(rows.to(self.model.device))


def _next_place(path: Sequence[int], place: int, before: int, token: int) -> int:
    """The place in a path of what comes after `token`, which was written at `place`: after the same two tokens nearby,
    where the token is another; else a token is taken for one of the path."""
    if path[place : place + 1] != [token]:
        nearby = [*range(place, place + NEAR), *range(place - 1, place - NEAR, -1)]
        for near in nearby:
            if 0 < near < len(path) and path[near - 1] == before and path[near] == token:
                return near + 1
    return place + 1
