"""Shallow fusion: adds the scores of a language model and of hotwords to those of a beam."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from echo_asr.decode.hotwords import Hotwords

SHORTLIST = 4  # times the beam: next tokens of a hypothesis that the language model scores


class Scorer(Protocol):
    """Scores texts token by token; a state holds what the next scores depend on of the text so far."""

    def start(self) -> Hashable:
        """The state of an empty text."""

    def score(self, state: Any, tokens: Sequence[int]) -> list[float]:
        """Log probability (nats) of each next token; 0 is the end of the text."""

    def advance(self, state: Any, token: int) -> Hashable:
        """The state after one more token."""


class Fusion:
    """Adds to each step of a beam `weight log p_lm(token | text) + ` the bonus of the hotwords.

    Args:
        scorer: the language model, if there is one.
        weight: of its log probabilities.
        hotwords: if there are any.
    """

    def __init__(self, scorer: Scorer | None, weight: float, hotwords: Hotwords | None) -> None:
        self.scorer, self.weight, self.hotwords = scorer, weight, hotwords

    @property
    def falls_only(self) -> bool:
        """Whether no continuation of a text adds to its score."""
        return self.hotwords is None or self.hotwords.bonus == 0

    def start(self) -> tuple[Any, Any]:
        """The state of an empty text."""
        return self.scorer and self.scorer.start(), self.hotwords and self.hotwords.start()

    def advance(self, state: tuple[Any, Any], token: int) -> tuple[Any, Any]:
        """The state after one more token."""
        return (
            self.scorer and self.scorer.advance(state[0], token),
            self.hotwords and self.hotwords.advance(state[1], token),
        )

    def added(self, scores: Tensor, states: Sequence[tuple[Any, Any]], keep: int) -> Tensor:
        """`(rows, V)`, float64: nats added to `scores` `(rows, V)` of each next token of each hypothesis.

        The language model scores the end and the `keep` tokens that are best without it (hotword bonuses included);
        the others get minus infinity. With `keep` at least V, all tokens are scored.
        """
        size = scores.shape[1]
        added = torch.zeros_like(scores)
        if self.hotwords is not None:
            added = torch.stack([self.hotwords.row(state) for _, state in states]).to(scores.device)
        if self.scorer is None:
            return added
        if keep >= size:
            tokens = torch.arange(size, device=scores.device).expand(len(states), -1)
        else:
            end = torch.zeros(len(states), 1, dtype=torch.long, device=scores.device)
            tokens = torch.cat((end, 1 + (scores + added)[:, 1:].topk(keep).indices), 1)
        values = [self.scorer.score(state, row) for (state, _), row in zip(states, tokens.tolist(), strict=True)]
        fused = torch.tensor(values, dtype=scores.dtype, device=scores.device) * self.weight
        return added + torch.full_like(scores, -torch.inf).scatter_(1, tokens, fused)


class FusedBeam:
    """The sum that fusion has added to each hypothesis of a beam so far.

    Args:
        fusion: the language model and hotwords.
        count: recordings.
        beam: hypotheses a recording.
        device: of the search.
    """

    def __init__(self, fusion: Fusion, count: int, beam: int, device: torch.device) -> None:
        self.fusion, self.keep = fusion, SHORTLIST * beam
        self.states = [fusion.start()] * (count * beam)
        self.sums = torch.zeros(count * beam, dtype=torch.float64, device=device)
        self.grown = self.sums[:, None]

    def score(self, scores: Tensor, alive: Tensor) -> Tensor:
        """`(B, beam, V)`: nats added to each extended prefix, summed over its tokens.

        Args:
            scores: `(B, beam, V)`, of the extended prefixes without fusion.
            alive: `(B, beam)`, the prefixes to extend; the sums of the others stay.
        """
        flat = scores.flatten(0, 1)
        rows = alive.flatten().nonzero()[:, 0]
        added = torch.zeros_like(flat)
        added[rows] = self.fusion.added(flat[rows], [self.states[row] for row in rows.tolist()], self.keep)
        self.grown = self.sums[:, None] + added
        return self.grown.view_as(scores)

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the prefixes `rows`, and add a token to each; token 0 leaves a prefix as it is."""
        self.sums = self.grown[rows, tokens]
        steps = zip([self.states[row] for row in rows.tolist()], tokens.tolist(), strict=True)
        self.states = [self.fusion.advance(state, token) if token else state for state, token in steps]
