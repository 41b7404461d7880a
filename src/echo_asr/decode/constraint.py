"""Constraints on the texts that a search may find, and one of them: texts of a graph whose edges are tokens.

`Repetitions` (`echo_asr.decode.repetition`) is a constraint, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from echo_asr.vrope import precise_device

NEVER = 1 << 40  # frames: from here the end cannot be reached


class Constraint(Protocol):
    """Which tokens the hypotheses of a search may go on with.

    It has a row for each place of each recording's beam (`config.beam` rows a recording, those of one recording one
    after another; greedy search has one), and is used by one search.
    """

    def refused(self, size: int) -> Tensor | None:
        """`(rows, size)`, true for the tokens that must not follow; 0 is the end of the text. None: all may follow."""

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the hypotheses `rows`, repeats allowed, and add a token to each; 0 for one that has ended."""


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
        changed = True
        while changed:
            changed = False
            for state in reversed(range(len(self.edges))):
                rests = [(1 + _frames(found[after], token), token) for token, after in self.edges[state].items()]
                if state in self.ends:
                    rests.append((0, 0))
                rests.sort()
                best, first = rests[0] if rests else (NEVER, 0)
                new = min(best, NEVER), first, min(rests[1][0], NEVER) if len(rests) > 1 else NEVER
                changed, found[state] = changed or new != found[state], new
        return found

    def frames_to_end(self, state: int, last: int = 0) -> int:
        """The fewest frames in which CTC can write the rest of a text whose last token is `last`: one for each token,
        and one for the blank between two that are equal. `NEVER` or more where the end cannot be reached."""
        return _frames(self._shortest[state], last)


def sentence_graph(sentences: Iterable[Sequence[int]]) -> TokenGraph:
    """The graph of some texts, each given as its tokens."""
    edges: list[dict[int, int]] = [{}]
    ends = set()
    for tokens in sentences:
        state = 0
        for token in tokens:
            if token not in edges[state]:
                edges[state][token] = len(edges)
                edges.append({})
            state = edges[state][token]
        ends.add(state)
    return TokenGraph(edges, frozenset(ends))


def _frames(shortest: tuple[int, int, int], last: int) -> int:
    best, first, other = shortest
    return min(best + 1, other) if first and first == last else best


@dataclass(frozen=True)
class _Place:
    """Where a hypothesis is in its graph; `state` is None once it has ended."""

    graph: TokenGraph
    frames: int  # that are left for CTC
    state: int | None = 0
    last: int = 0

    def after(self, token: int) -> _Place:
        ahead = None if self.state is None else self.graph.edges[self.state].get(token)
        needed = 1 + (token == self.last)
        return _Place(self.graph, self.frames - needed, ahead, token)

    def allowed(self) -> list[int]:
        if self.state is None:
            return [0]
        edges = self.graph.edges[self.state]
        after = ((token, self.after(token)) for token in edges)
        found = [t for t, p in after if p.state is not None and p.graph.frames_to_end(p.state, t) <= p.frames]
        return [0, *found] if self.state in self.graph.ends else found


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
        refused = torch.ones(len(self.places), size, dtype=torch.bool)
        allowed = {place: place.allowed() for place in set(self.places)}
        for row, place in enumerate(self.places):
            refused[row, allowed[place]] = False
        return refused.to(self.device)

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the hypotheses `rows`, repeats allowed, and add a token to each."""
        self.places = [self.places[row].after(token) for row, token in zip(rows.tolist(), tokens.tolist(), strict=True)]
