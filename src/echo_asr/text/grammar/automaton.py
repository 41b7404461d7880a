"""Deterministic automata of finite languages, minimal by construction: equal states are one.

After the incremental construction of minimal acyclic automata (Daciuk et al. 2000), with the operations of decision
diagrams (Bryant 1986): a state is known by its edges and whether a sentence may end in it, so that a union or a
concatenation of what was seen before takes no time, and a language of 10^12 sentences with few states is small.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from echo_asr.errors import EchoError

Symbol = TypeVar("Symbol", bound=Hashable)

DEAD, END = 0, 1  # the state from which nothing is accepted, and the one in which everything ends
MOST_STATES = 2_000_000

_TARGET = None  # key of a trie's node for the state behind it, which no symbol is


class Automata(Generic[Symbol]):
    """States that automata share; a language is the state that it begins in.

    A state is a number larger than those of the states after it.

    Attributes:
        edges: of each state, the symbols that may follow, each with the state after it.
        final: whether a sentence may end there.
    """

    def __init__(self) -> None:
        self.edges: list[Mapping[Symbol, int]] = [{}, {}]
        self.final = [False, True]
        self._known: dict[tuple[bool, frozenset[tuple[Symbol, int]]], int] = {
            (False, frozenset()): DEAD,
            (True, frozenset()): END,
        }
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
        key = final, frozenset(edges.items())
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = len(self.edges)
            self.edges.append(edges)
            self.final.append(final)
            if found > MOST_STATES:
                what = f"the grammar needs more than {MOST_STATES:,} states"
                raise EchoError(f"{what}; shorten its lists, or what may be left out or swapped in one sentence")
        return found

    def prepend(self, symbols: Sequence[Symbol], state: int) -> int:
        """The symbols, then what the state accepts."""
        if state:
            for symbol in reversed(symbols):
                state = self.state({symbol: state})
        return state

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
        root: dict = {}
        for symbols, state in pairs:
            node = root
            for symbol in symbols:
                node = node.setdefault(symbol, {})
            node[_TARGET] = self.union(node[_TARGET], state) if _TARGET in node else state
        nodes = [root]
        for node in nodes:
            nodes += [after for symbol, after in node.items() if symbol is not _TARGET]
        states: dict[int, int] = {}
        for node in reversed(nodes):
            target = node.pop(_TARGET, DEAD)
            if not node:
                states[id(node)] = target
                continue
            edges = {symbol: states[id(after)] for symbol, after in node.items()}
            if target and not edges.keys() & self.edges[target].keys():
                states[id(node)] = self.state({**self.edges[target], **edges}, self.final[target])
            else:
                here = self.state(edges)
                states[id(node)] = self.union(here, target) if target else here
        return states[id(root)]

    def reachable(self, start: int) -> list[int]:
        """The states that are reached from one, itself the last, each after those that follow it."""
        found, waiting = {start}, [start]
        while waiting:
            new = set(self.edges[waiting.pop()].values()) - found
            found |= new
            waiting += new
        return sorted(found)

    def count(self, start: int) -> int:
        """How many sentences are accepted."""
        for state in range(len(self._counts), start + 1):
            self._counts.append(self.final[state] + sum(self._counts[after] for after in self.edges[state].values()))
        return self._counts[start]

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
