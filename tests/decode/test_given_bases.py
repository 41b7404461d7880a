"""Graphs of texts whose bases are given."""

from __future__ import annotations

import itertools
import unicodedata
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.constraint import TokenGraph
from echo_asr.decode.given_bases import GivenBases, _divides
from echo_asr.errors import EchoError
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import VIETNAMESE_MARKS, ToneNotation
from tests.helpers.notations import NOTATIONS


@cache
def bases_of(name: str, kind: str) -> tuple[GivenBases, Tokenizer]:
    notation, trained, _ = NOTATIONS[name]
    tokenizer = Tokenizer.train(trained, kind, 60)
    return GivenBases(tokenizer, notation), tokenizer


def texts_of(graph: TokenGraph, tokenizer: Tokenizer, most: int = 20_000) -> set[str]:
    """The texts of a graph, all if they are fewer than `most`."""
    found: set[str] = set()
    waiting: list[tuple[tuple[int, ...], int]] = [((), 0)]
    while waiting and len(found) < most:
        tokens, state = waiting.pop()
        if state in graph.ends:
            found.add(tokenizer.decode(list(tokens)))
        waiting += [((*tokens, token), after) for token, after in graph.edges[state].items()]
    return found


@pytest.mark.parametrize("name", NOTATIONS)
@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_texts_without_tones_are_the_given_one(name: str, kind: str) -> None:
    (bases, tokenizer), bare = bases_of(name, kind), NOTATIONS[name][2]
    found = texts_of(bases.graph(bare), tokenizer, 500)
    assert len(found) > 3
    assert {bases.base(text) for text in found} == {bases.base(bare)}


@pytest.mark.parametrize("kind", ["character", "bpe"])
@pytest.mark.parametrize(
    ("name", "bare", "toned"),
    [
        ("digits", "nihao ma", ["ni3hao3 ma1", "nihao ma", "ni34hao1 ma"]),
        ("superscripts", "ma ni", ["ma³⁵ ni²¹", "ma³ ni"]),
        ("chao letters", "ma ta", ["ma˨˩˦ ta˥", "ma˥ ta˨˩˦˥˧"]),
        ("diacritics", "nihao kɔ", ["nǐhǎo kɔ̌", "ńihao kɔ"]),
        ("vietnamese", "ê ma", ["ệ mạ", "ê mã"]),
        ("letters", "po bo", ["pob bov", "po bo", "poj bo"]),
        ("signs", "kpa lo", ["-kpa' ''lo", "kpab 'lo-", "'-kpa lo''"]),
        ("pairs", "ma ni", ["ma35-21 ni2", "ma ni5-2"]),
    ],
)
def test_tones_are_free(name: str, bare: str, toned: list[str], kind: str) -> None:
    """Each of the texts is a path, in the tokens that the tokenizer itself encodes it by."""
    bases, tokenizer = bases_of(name, kind)
    graph = bases.graph(bare)
    for text in toned:
        state = 0
        for token in tokenizer.encode(unicodedata.normalize("NFC", text)):
            assert token in graph.edges[state], text
            state = graph.edges[state][token]
        assert state in graph.ends


@pytest.mark.parametrize(
    ("bare", "toned", "refused"),
    [
        ("gima", ["gi1ma1", "gima"], ["g1i1ma1"]),
        ("nang", ["nang1"], ["na1ng1"]),
        ("mani", ["ma1ni1", "m1ani1"], ["ma1ni1111"]),
        ("ngan", ["ng1an1", "ngan1"], ["nga1n1"]),
    ],
)
def test_a_tone_stands_behind_a_syllable(bare: str, toned: list[str], refused: list[str]) -> None:
    tokenizer = Tokenizer.train(["nima1 g"])
    found = texts_of(GivenBases(tokenizer, ToneNotation("digits")).graph(bare), tokenizer)
    assert found >= set(toned) and not found & set(refused)


def test_each_word_has_a_tone_where_none_is_unmarked() -> None:
    tokenizer = Tokenizer.train(["ma12 ni\u25c6"])
    bases = GivenBases(tokenizer, ToneNotation("digits", unmarked=False))
    found = texts_of(bases.graph("ma \u25c6 2"), tokenizer)
    assert {"ma1 \u25c6 2", "ma22 \u25c6 2"} <= found
    assert all(text.split()[0][-1] in "12" for text in found)


def test_a_letter_is_a_tone_at_the_end_of_a_word_only() -> None:
    tokenizer = Tokenizer.train(["pob poj bo", "po pov"])
    found = texts_of(GivenBases(tokenizer, ToneNotation("letters", "bjv")).graph("po bo"), tokenizer)
    assert found == {f"po{a} bo{b}" for a, b in itertools.product(("", "b", "j", "v"), repeat=2)}


def test_a_base_that_ends_in_a_letter_of_tone_has_one_after_it() -> None:
    notation, tokenizer = ToneNotation("letters", "bjv"), Tokenizer.train(["pob poj bo", "po pov"])
    found = texts_of(GivenBases(tokenizer, notation).graph("pob o"), tokenizer)
    assert found == {f"pob{a} o{b}" for a, b in itertools.product("bjv", ("", "b", "j", "v"))}


def test_signs_stand_at_the_edges_of_words_with_letters() -> None:
    tokenizer = Tokenizer.train(["-ma' b\u25c6"])
    bases = GivenBases(tokenizer, ToneNotation("letters", "-'b"))
    found = texts_of(bases.graph("a \u25c6"), tokenizer)
    before, after = ("", "-", "'", "--", "-'", "'-", "''"), ("", "b", "-", "'", "--", "-'", "'-", "''")
    assert found == {f"{left}a{right} \u25c6" for left in before for right in after}


@pytest.mark.parametrize("name", ["superscripts", "diacritics", "digits"])
def test_the_symbol_of_an_event_has_no_tone(name: str) -> None:
    tokenizer = Tokenizer.train(["ma1\u00b9 m\u0301", "\u25c6"])
    bases = GivenBases(tokenizer, NOTATIONS[name][0])
    assert all(text.startswith("\u25c6 ") for text in texts_of(bases.graph("\u25c6 ma"), tokenizer))


@pytest.mark.parametrize("text", ["3ma", "ma 12", "35-ma", "3 5a"])
def test_digits_that_begin_a_word_are_no_tones(text: str) -> None:
    notation, tokenizer = ToneNotation("digits"), Tokenizer.train(["ma 1235-"])
    bases = GivenBases(tokenizer, notation)
    assert bases.base(text) == text
    found = texts_of(bases.graph(text), tokenizer, 500)
    assert {notation.without_tones(one) for one in found} == {text}


def test_marks_of_a_letter_may_be_symbols_of_their_own() -> None:
    tokenizer = Tokenizer.train([unicodedata.normalize("NFD", "ê mạ")])
    found = texts_of(GivenBases(tokenizer, ToneNotation("diacritics", VIETNAMESE_MARKS)).graph("ê"), tokenizer, 50)
    assert {unicodedata.normalize("NFC", text) for text in found} >= {"ê", "ệ"}


@pytest.mark.parametrize(
    ("text", "named"),
    [("ma qi", r"text 'ma qi': the model's tokenizer has no symbol for 'q' \(U\+0071\)"), ("mâ", r"'â' \(U\+00E2\)")],
)
def test_letters_without_a_symbol_are_named(text: str, named: str) -> None:
    with pytest.raises(EchoError, match=named):
        GivenBases(Tokenizer.train(["ma1 mi2"]), ToneNotation("digits")).graph(text)


def test_a_tokenizer_without_tones_is_refused() -> None:
    with pytest.raises(EchoError, match=r"the model writes no tone in the notation digits.*text\.tones"):
        GivenBases(Tokenizer.train(["mǎ mi"]), ToneNotation("digits"))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(list(NOTATIONS)), st.sampled_from(["character", "bpe"]), st.data())
def test_any_path_leads_to_an_end(name: str, kind: str, data: st.DataObject) -> None:
    bases, tokenizer = bases_of(name, kind)
    words = sorted({bases.base(word) for text in NOTATIONS[name][1] for word in text.split()} - {""})
    base = " ".join(data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=3)))
    graph, tokens, state = bases.graph(base), list[int](), 0
    while state not in graph.ends or (graph.edges[state] and data.draw(st.booleans())):
        token = data.draw(st.sampled_from(sorted(graph.edges[state])))
        tokens.append(token)
        state = graph.edges[state][token]
    assert bases.base(tokenizer.decode(tokens)) == base


@pytest.mark.parametrize(
    ("before", "after", "divides"),
    [
        ("zh", "ong", False),  # no vowel before
        ("zho", "ng", False),  # none after
        ("ni", "hao", True),
        ("n", "an", True),  # a syllabic nasal
        ("hng", "a", True),
        ("kʰv̩", "ma", True),
        ("กบ", "มด", True),  # another script
    ],
)
def test_tones_stand_between_what_may_be_syllables(before: str, after: str, divides: bool) -> None:
    assert _divides(before, after) == divides
