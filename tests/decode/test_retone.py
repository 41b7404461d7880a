"""Tones for given bases."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.decode.retone import GivenBases
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import VIETNAMESE_MARKS, ToneNotation

CPU = torch.device("cpu")
CASES = {
    "digits": (ToneNotation("digits"), ["ni3hao3 ma1", "ma2 ni4"], "nihao ma"),
    "chao letters": (ToneNotation("chao_letters"), ["ma˧˥ mi˥", "ta˨˩˦"], "ma ta"),
    "diacritics": (ToneNotation("diacritics"), ["mǎ má nǐ hǎo", "mà ma ni"], "ni ma"),
    "vietnamese": (ToneNotation("diacritics", VIETNAMESE_MARKS, "word"), ["nguyễn mạ ê", "ma mã"], "nguyên ma"),
    "letters": (ToneNotation("letters", "bjv"), ["pob poj bo", "po pov"], "po bo"),
}


def texts_of(constraint: GivenBases, tokenizer: Tokenizer, steps: int) -> set[str]:
    """Every text that a constraint lets through, by trying all tokens."""
    found, waiting = set(), [((), constraint.states[0])]
    while waiting:
        tokens, state = waiting.pop()
        for token, after in constraint.allowed(state).items():
            if token == 0:
                found.add(tokenizer.decode(list(tokens)))
            elif len(tokens) < steps:
                waiting.append(((*tokens, token), after))
    return found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_texts_without_tones_are_the_given_one_and_each_with_single_tones_is_reached(name: str, kind: str) -> None:
    notation, trained, bare = CASES[name]
    tokenizer = Tokenizer.train(trained, kind, 60)
    longest = len(unicodedata.normalize("NFD", bare)) + 2
    found = texts_of(GivenBases([bare], tokenizer, notation, CPU), tokenizer, longest)
    assert bare in found and len(found) > 3
    assert {notation.without_tones(text) for text in found} == {bare}


def test_a_letter_is_a_tone_at_the_end_of_a_word_only() -> None:
    notation, trained, _ = CASES["letters"]
    tokenizer = Tokenizer.train(trained)
    found = texts_of(GivenBases(["po bo"], tokenizer, notation, CPU), tokenizer, 7)
    assert found == {f"po{a} bo{b}" for a, b in itertools.product(("", "b", "j", "v"), repeat=2)}


@given(st.lists(st.sampled_from(["ma", "ni", "hao"]), min_size=1, max_size=3), st.randoms())
def test_any_path_that_is_allowed_can_be_walked_to_its_end(words: list[str], draw: object) -> None:
    notation, trained, _ = CASES["digits"]
    tokenizer = Tokenizer.train(trained)
    bare = " ".join(words)
    constraint = GivenBases([bare, "ma"], tokenizer, notation, CPU)
    tokens: list[int] = []
    while not constraint.states[0].ended:
        refused = constraint.refused(tokenizer.vocabulary_size)
        chosen = draw.choice((~refused[0]).nonzero()[:, 0].tolist())  # type: ignore[attr-defined]
        assert chosen in constraint.allowed(constraint.states[0])
        tokens.append(chosen)
        other = (~refused[1]).nonzero()[0, 0]
        constraint.advance(torch.tensor([0, 1]), torch.tensor([chosen, int(other)]))
    assert notation.without_tones(tokenizer.decode([t for t in tokens if t])) == bare
