"""Deterministic automata of finite languages, minimal by construction: equal states are one.

After the incremental construction of minimal acyclic automata (Daciuk et al. 2000), with the operations of decision
diagrams (Bryant 1986): a state is known by its edges and whether a sentence may end in it, so that a union or a
concatenation of what was seen before takes no time, and a language of 10^12 sentences with few states is small.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from echo_asr.errors import EchoError

Symbol = TypeVar("Symbol", bound=Hashable)

DEAD, END = 0, 1  # the state from which nothing is accepted, and the one in which everything ends
MOST_STATES = 2_000_000


class Automata(Generic[Symbol]):
    """States that automata share; a language is the state that it begins in.

    A state is a number larger than those of the states after it.

    Args:
        most: states that there may be.

    Attributes:
        edges: of each state, the symbols that may follow, each with the state after it.
        final: whether a sentence may end there.
    """

    def __init__(self, most: int = MOST_STATES) -> None:
        self.most = most
        self.edges: list[Mapping[Symbol, int]] = [{}, {}]
        self.final = [False, True]
        self._known: dict[tuple[bool, frozenset[tuple[Symbol, int]]], int] = {}
        self._chained: dict[tuple[Symbol, int], int] = {}  # states with one edge, which are most
        self._unions: dict[tuple[int, ...], int] = {}
        self._concatenated: dict[tuple[int, int], int] = {}
        self._counts = [0, 1]

    def state(self, edges: Mapping[Symbol, int], final: bool = False) -> int:
        """The state with these edges; those to `DEAD` are left out.

        Raises:
            EchoError: there are very many states.
        """
        if DEAD in edges.values():
            edges = {symbol: after for symbol, after in edges.items() if after}
        if not edges:
            return END if final else DEAD
        if len(edges) == 1 and not final:
            ((symbol, after),) = edges.items()
            return self.prepend((symbol,), after)
        key = final, frozenset(edges.items())
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._new(edges, final)
        return found

    def prepend(self, symbols: Sequence[Symbol], state: int) -> int:
        """The symbols, then what the state accepts.

        Raises:
            EchoError: there are very many states.
        """
        if state == DEAD:
            return DEAD
        chained = self._chained
        for symbol in reversed(symbols):
            key = symbol, state
            found = chained.get(key)
            if found is None:
                found = chained[key] = self._new({symbol: state}, False)
            state = found
        return state

    def _new(self, edges: Mapping[Symbol, int], final: bool) -> int:
        number = len(self.edges)
        if number > self.most:
            what = f"the grammar needs more than {self.most:,} states"
            raise EchoError(f"{what}; shorten its lists, or what may be left out or swapped in one sentence")
        self.edges.append(edges)
        self.final.append(final)
        return number

    def union(self, *states: int) -> int:
        """What any of the states accepts."""
        start = _key(states)
        waiting = [start] if isinstance(start, tuple) else []
        while waiting:
            key = waiting[-1]
            if key in self._unions:
                waiting.pop()
                continue
            targets: dict[Symbol, list[int]] = {}
            for state in key:
                for symbol, after in self.edges[state].items():
                    targets.setdefault(symbol, []).append(after)
            edges, unknown = {}, []
            for symbol, afters in targets.items():
                merged = _key(afters)
                if isinstance(merged, int):
                    edges[symbol] = merged
                elif merged in self._unions:
                    edges[symbol] = self._unions[merged]
                else:
                    unknown.append(merged)
            if unknown:
                waiting += unknown
            else:
                self._unions[key] = self.state(edges, any(self.final[state] for state in key))
        return start if isinstance(start, int) else self._unions[start]

    def concatenate(self, first: int, then: int) -> int:
        """What `first` accepts, followed by what `then` does."""
        if DEAD in (first, then):
            return DEAD
        if first == END or then == END:
            return then if first == END else first
        known = self._concatenated
        if (first, then) not in known:
            for state in self.reachable(first):
                if (state, then) not in known:
                    edges = {symbol: known[after, then] for symbol, after in self.edges[state].items()}
                    here = self.state(edges)
                    known[state, then] = self.union(here, then) if self.final[state] else here
        return known[first, then]

    def choose(self, pairs: Iterable[tuple[Sequence[Symbol], int]]) -> int:
        """For each pair, its symbols and then what its state accepts."""
        states: dict[Sequence[Symbol], int] = {}
        for symbols, state in pairs:
            states[symbols] = self.union(states[symbols], state) if symbols in states else state
        if not states:
            return DEAD
        # In order, what two neighbours begin with alike is all that is known of where they branch.
        before: Sequence[Symbol] = ()
        state, depth = DEAD, -1  # what follows the first `depth` symbols of `before`
        branches: list[tuple[int, dict[Symbol, int], int]] = []  # depth, edges, and the state of what ends there
        for symbols in sorted(states):  # type: ignore[type-var]
            shared = _shared(before, symbols)
            while branches and branches[-1][0] > shared:
                state, depth = self._close(branches, before, state, depth)
            if branches and branches[-1][0] == shared:
                branches[-1][1][before[shared]] = self.prepend(before[shared + 1 : depth], state)
            elif depth == shared:
                branches.append((shared, {}, state))
            elif depth > shared:
                branches.append((shared, {before[shared]: self.prepend(before[shared + 1 : depth], state)}, DEAD))
            before, state, depth = symbols, states[symbols], len(symbols)
        while branches:
            state, depth = self._close(branches, before, state, depth)
        return self.prepend(before[:depth], state)

    def _close(
        self, branches: list[tuple[int, dict[Symbol, int], int]], before: Sequence[Symbol], state: int, depth: int
    ) -> tuple[int, int]:
        """The state of the last branch, whose last edge leads to the state behind `depth` symbols, and its depth."""
        place, edges, target = branches.pop()
        edges[before[place]] = self.prepend(before[place + 1 : depth], state)
        if target and not edges.keys() & self.edges[target].keys():
            return self.state({**self.edges[target], **edges}, self.final[target]), place
        return self.union(self.state(edges), target), place

    def reachable(self, start: int) -> list[int]:
        """The states that are reached from one, itself the last, each after those that follow it."""
        found, waiting = {start}, [start]
        while waiting:
            for after in self.edges[waiting.pop()].values():
                if after not in found:
                    found.add(after)
                    waiting.append(after)
        return sorted(found)

    def count(self, start: int) -> int:
        """How many sentences are accepted."""
        counts = self._counts
        for state in range(len(counts), start + 1):
            number = int(self.final[state])
            for after in self.edges[state].values():
                number += counts[after]
            counts.append(number)
        return counts[start]

    def accepts(self, start: int, symbols: Iterable[Symbol]) -> bool:
        """Whether a sentence is accepted."""
        state = start
        for symbol in symbols:
            state = self.edges[state].get(symbol, DEAD)
            if not state:
                return False
        return self.final[state]

    def sentences(self, start: int) -> Iterable[list[Symbol]]:
        """All sentences, one after the other, in the order of the edges; there may be very many."""
        if self.final[start]:
            yield []
        path: list[Symbol] = []
        open_edges = [iter(self.edges[start].items())]
        while open_edges:
            symbol, after = next(open_edges[-1], (None, DEAD))
            if not after:
                open_edges.pop()
                if path:
                    path.pop()
                continue
            path.append(symbol)  # type: ignore[arg-type]
            if self.final[after]:
                yield list(path)
            open_edges.append(iter(self.edges[after].items()))

    def sample(self, start: int, number: int, seed: int = 0) -> list[list[Symbol]]:
        """Sentences drawn at random, each as likely as any other, without repeats; all, where there are no more."""
        total = self.count(start)
        if total <= number:
            return list(self.sentences(start))
        draw, chosen = random.Random(seed), set[int]()
        while len(chosen) < number:
            chosen.add(draw.randrange(total))
        return [self._nth(start, index) for index in sorted(chosen)]

    def _nth(self, state: int, index: int) -> list[Symbol]:
        """A sentence by its number, from 0."""
        path: list[Symbol] = []
        while True:
            if self.final[state]:
                if index == 0:
                    return path
                index -= 1
            for symbol, after in self.edges[state].items():
                if index < self._counts[after]:
                    path.append(symbol)
                    state = after
                    break
                index -= self._counts[after]

    def common(self, first: int, second: int) -> list[Symbol] | None:
        """A sentence that both accept, a shortest one; None where there is none."""
        before: dict[tuple[int, int], tuple[tuple[int, int], Symbol] | None] = {(first, second): None}
        waiting = [(first, second)]
        for pair in waiting:
            one, other = pair
            if self.final[one] and self.final[other]:
                path: list[Symbol] = []
                while (step := before[pair]) is not None:
                    pair = step[0]
                    path.append(step[1])
                return path[::-1]
            for symbol, after in self.edges[one].items():
                beside = self.edges[other].get(symbol)
                if beside and (after, beside) not in before:
                    before[after, beside] = pair, symbol
                    waiting.append((after, beside))
        return None


def _key(states: Iterable[int]) -> int | tuple[int, ...]:
    """The states without repeats and `DEAD`, in order; one alone as itself, and none as `DEAD`."""
    distinct = set(states)
    distinct.discard(DEAD)
    if len(distinct) > 1:
        return tuple(sorted(distinct))
    return distinct.pop() if distinct else DEAD


def _shared(one: Sequence, other: Sequence) -> int:
    """How many symbols two sequences have in common at their beginnings."""
    shared = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        shared += 1
    return shared
