"""Automata against sets of sentences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from echo_asr.text.grammar.automaton import DEAD, END, Automata

Sentences = set[tuple[str, ...]]
sentences = st.sets(st.text("ab", max_size=4).map(tuple), max_size=6)


def all_of(automata: Automata[str], start: int) -> Sentences:
    found = [tuple(sentence) for sentence in automata.sentences(start)]
    assert len(found) == len(set(found)) == automata.count(start)
    assert all(automata.accepts(start, sentence) for sentence in found)
    return set(found)


@given(sentences, sentences)
def test_union_concatenation_and_choice_are_those_of_sets(one: Sentences, other: Sentences) -> None:
    automata: Automata[str] = Automata()
    a, b = (automata.choose((sentence, END) for sentence in sorted(some)) for some in (one, other))
    assert all_of(automata, a) == one
    assert all_of(automata, automata.union(a, b)) == one | other
    joined = automata.concatenate(a, b)
    assert all_of(automata, joined) == {left + right for left in one for right in other}
    assert joined == automata.choose((left, b) for left in one)  # equal languages are one state
    common = automata.common(a, b)
    assert (common is None) == (not one & other)
    assert common is None or len(common) == min(map(len, one & other))


@given(sentences)
def test_equal_rests_are_one_state(some: Sentences) -> None:
    """As few states as there are different sets of what may follow."""
    automata: Automata[str] = Automata()
    start = automata.choose((sentence, END) for sentence in some)
    prefixes = {sentence[:n] for sentence in some for n in range(len(sentence) + 1)}
    rests = {frozenset(s[len(p) :] for s in some if s[: len(p)] == p) for p in prefixes}
    assert len(automata.reachable(start)) == max(1, len(rests))
    assert start != DEAD or not some


def test_long_sentences_need_no_recursion() -> None:
    automata: Automata[str] = Automata()
    start = automata.choose(("a" * n, END) for n in range(1, 1500))
    assert automata.count(start) == 1499
    later = automata.concatenate(automata.prepend("b" * 1500, END), start)
    assert automata.count(automata.union(later, automata.prepend("b" * 2000, start))) == 2998
