"""Constraints on the texts that a search may find, and one of them: texts of a graph whose edges are tokens.

`Repetitions` (`echo_asr.decode.repetition`) is a constraint, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from echo_asr.vrope import precise_device

NEVER = 1 << 40  # frames: from here the end cannot be reached
_END = np.zeros(1, np.int64)  # the end of the text alone


class Constraint(Protocol):
    """Which tokens the hypotheses of a search may go on with.

    It has a row for each place of each recording's beam (`config.beam` rows a recording, those of one recording one
    after another; greedy search has one), and is used by one search.
    """

    def refused(self, size: int) -> Tensor | None:
        """`(rows, size)`, true for the tokens that must not follow; 0 is the end of the text. None: all may follow."""

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the hypotheses `rows`, repeats allowed, and add a token to each; 0 for one that has ended."""


class _Steps(NamedTuple):
    """The tokens that may follow a state: `(edges,)` each.

    Attributes:
        tokens: in the order of the edges.
        needed: CTC frames from here to the nearest end through each, if it does not repeat the token before it.
        most: of them; 0 where there is none.
    """

    tokens: np.ndarray
    needed: np.ndarray
    most: int


@dataclass(frozen=True, eq=False)
class TokenGraph:
    """The texts that may be found, as a deterministic automaton over tokens; a text is a path from state 0.

    Attributes:
        edges: of each state, the tokens that may follow (never 0), each with the state after it.
        ends: the states in which a text may end.
    """

    edges: Sequence[Mapping[int, int]]
    ends: frozenset[int]

    @cached_property
    def _shortest(self) -> list[tuple[int, int, int]]:
        """Of each state: CTC frames that the rest of the shortest text needs, the token that it begins with (0: it ends
        here), and the frames of the shortest rest that begins with another token."""
        found = [(0, 0, NEVER) if state in self.ends else (NEVER, 0, NEVER) for state in range(len(self.edges))]
        changed, back = True, True
        while changed and back:  # once where all edges lead to higher states, as in graphs without loops
            changed = back = False
            for state in reversed(range(len(self.edges))):
                best, first, other = (0, 0, NEVER) if state in self.ends else (NEVER, 0, NEVER)
                for token, after in self.edges[state].items():
                    back = back or after <= state
                    frames = 1 + _frames(found[after], token)
                    if frames < best:
                        best, first, other = frames, token, best
                    elif frames < other:
                        other = frames
                new = best, first, other
                changed, found[state] = changed or new != found[state], new
        return found

    @cached_property
    def _known_steps(self) -> dict[int, _Steps]:
        return {}

    def steps(self, state: int) -> _Steps:
        """The tokens that may follow a state, as arrays; kept for the next time."""
        found = self._known_steps.get(state)
        if found is None:
            edges = self.edges[state]
            needed = [1 + self.frames_to_end(after, token) for token, after in edges.items()]
            found = _Steps(np.fromiter(edges, np.int64, len(edges)), np.array(needed, np.int64), max(needed, default=0))
            self._known_steps[state] = found
        return found

    def frames_to_end(self, state: int, last: int = 0) -> int:
        """The fewest frames in which CTC can write the rest of a text whose last token is `last`: one for each token,
        and one for the blank between two that are equal. `NEVER` or more where the end cannot be reached."""
        return _frames(self._shortest[state], last)


def _frames(shortest: tuple[int, int, int], last: int) -> int:
    best, first, other = shortest
    return min(best + 1, other) if first and first == last else best


class _Place(NamedTuple):
    """Where a hypothesis is in its graph; `state` is None once it has ended."""

    graph: TokenGraph
    frames: int  # that are left for CTC
    state: int | None = 0
    last: int = 0

    def after(self, token: int) -> _Place:
        ahead = None if self.state is None else self.graph.edges[self.state].get(token)
        return _Place(self.graph, self.frames - 1 - (token == self.last), ahead, token)

    def allowed(self) -> np.ndarray:
        """The tokens that may follow."""
        if self.state is None:
            return _END
        steps = self.graph.steps(self.state)
        tokens = steps.tokens
        if steps.most >= self.frames:  # else any of them, even as a repeat, leaves enough frames
            tokens = tokens[steps.needed + (tokens == self.last) <= self.frames]
        return np.append(tokens, 0) if self.state in self.graph.ends else tokens


class GraphConstraint:
    """Keeps each hypothesis in a graph, and on paths whose end CTC can reach in the frames of the recording.

    So the search of a recording ends in a text of its graph, unless the shortest of them needs more frames than there
    are; then all tokens are refused from the beginning, and the hypothesis has the score minus infinity.

    Args:
        graphs: one for each recording.
        frames: encoder frames of each.
        beam: hypotheses a recording.
        device: of the search's scores; those of `precise_device`.
    """

    def __init__(self, graphs: Sequence[TokenGraph], frames: Sequence[int], beam: int, device: torch.device) -> None:
        self.device = precise_device(device)
        starts = [_Place(graph, most) for graph, most in zip(graphs, frames, strict=True)]
        self.places = [start for start in starts for _ in range(beam)]

    def refused(self, size: int) -> Tensor:
        """`(rows, size)`, true for the tokens that must not follow."""
        allowed = [place.allowed() for place in self.places]
        rows = np.repeat(np.arange(len(allowed)), [len(tokens) for tokens in allowed])
        refused = np.ones((len(allowed), size), dtype=bool)
        refused[rows, np.concatenate(allowed)] = False
        return torch.from_numpy(refused).to(self.device)

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the hypotheses `rows`, repeats allowed, and add a token to each."""
        self.places = [self.places[row].after(token) for row, token in zip(rows.tolist(), tokens.tolist(), strict=True)]
