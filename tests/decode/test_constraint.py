"""Searches that may find the texts of a graph alone."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.constraint import NEVER, GraphConstraint, TokenGraph
from echo_asr.decode.search import DecodeConfig, search, search_nbest
from echo_asr.model.echo import Echo
from tests.helpers.plain_search import RECORDINGS, Table, talkative

Make = Callable[..., Any]
CPU = torch.device("cpu")


@st.composite
def graphs(draw: st.DrawFn) -> TokenGraph:
    """Any graph over the tokens 1 and 2, loops and dead ends among them."""
    count = draw(st.integers(1, 5))
    edges = [draw(st.dictionaries(st.integers(1, 2), st.integers(0, count - 1))) for _ in range(count)]
    return TokenGraph(edges, draw(st.frozensets(st.integers(0, count - 1))))


def texts(graph: TokenGraph, frames: int) -> set[tuple[int, ...]]:
    """The texts of a graph that CTC can write in so many frames, by trying all."""
    found = set()
    for length in range(frames + 1):
        for text in itertools.product((1, 2), repeat=length):
            state: int | None = 0
            for token in text:
                state = None if state is None else graph.edges[state].get(token)
            repeats = sum(a == b for a, b in itertools.pairwise(text))
            if state in graph.ends and length + repeats <= frames:
                found.add(text)
    return found


@given(graphs(), st.integers(0, 2))
def test_frames_to_the_end_are_those_of_the_shortest_text(graph: TokenGraph, last: int) -> None:
    """Against Dijkstra's search over states and last tokens."""
    for start in range(len(graph.edges)):
        queue, done, shortest = [(0, start, last)], set(), NEVER
        while queue:
            frames, state, before = heapq.heappop(queue)
            if state in graph.ends:
                shortest = frames
                break
            if (state, before) not in done:
                done.add((state, before))
                for token, after in graph.edges[state].items():
                    heapq.heappush(queue, (frames + 1 + (token == before), after, token))
        assert min(graph.frames_to_end(start, last), NEVER) == shortest


@settings(max_examples=20, deadline=None)
@given(graphs(), graphs(), st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_wide_beam_finds_the_best_text_of_each_graph(one: TokenGraph, other: TokenGraph, seed: int, w: float) -> None:
    config = DecodeConfig(beam=40, nbest=3, ctc_weight=w, repetition=0)
    frames = (4, 3)
    table = Table(seed, frames)
    constraint = GraphConstraint([one, other], frames, 40, CPU)
    found = search_nbest(table, table.encoded(), config, constraint=constraint)  # type: ignore[arg-type]
    for row, graph in enumerate((one, other)):
        scores = {text: score for text, score in table.scores(row, config).items() if text in texts(graph, frames[row])}
        best = sorted(scores, key=lambda text: -scores[text])[:3]
        if best:
            assert [tuple(h.tokens) for h in found[row]] == best
            assert [h.score for h in found[row]] == pytest.approx([scores[text] for text in best], abs=1e-5)
        else:
            assert found[row][0].score == -math.inf


@settings(max_examples=20, deadline=None)
@given(graphs(), graphs(), st.integers(0, 5), st.sampled_from([1, 2]), st.sampled_from([0.0, 0.5]))
def test_the_narrowest_search_ends_in_a_text_of_the_graph(
    one: TokenGraph, other: TokenGraph, seed: int, width: int, bonus: float
) -> None:
    config = DecodeConfig(beam=width, length_bonus=bonus, repetition=0)
    frames = (4, 3)
    table = Table(seed, frames)
    constraint = GraphConstraint([one, other], frames, width, CPU)
    found = search(table, table.encoded(), config, constraint=constraint)  # type: ignore[arg-type]
    for hypothesis, graph, most in zip(found, (one, other), frames, strict=True):
        allowed = texts(graph, most)
        assert tuple(hypothesis.tokens) in allowed if allowed else hypothesis.score == -math.inf


@pytest.mark.parametrize("width", [1, 4])
def test_a_graph_of_all_texts_changes_nothing(width: int, make_model: Make, make_batch: Make) -> None:
    model: Echo = talkative(make_model())
    encoded, config = model.encode(make_batch(RECORDINGS)), DecodeConfig(beam=width, repetition=4)
    anything = TokenGraph([dict.fromkeys(range(1, 7), 0)], frozenset({0}))
    lengths = [10 * length for length in encoded.lengths.tolist()]  # greedy search writes texts that CTC cannot
    constraint = GraphConstraint([anything] * len(lengths), lengths, width, CPU)
    assert search(model, encoded, config, constraint=constraint) == search(model, encoded, config)
