"""Grammars as graphs of tokens: what a graph accepts is what the grammar gives, spelt as the tokenizer spells it."""

from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers

from echo_asr.decode.constraint import TokenGraph
from echo_asr.decode.grammar import CompiledGrammar, compile_grammar
from echo_asr.errors import EchoError
from echo_asr.text.grammar import Grammar
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.tokenizer import Tokenizer

LINES = """\
language = en
{room} = kitchen | living room | (bath room):bathroom
<please> = [could you] please
[<please>] turn (on|off) [the] light[s] in [the] {room}
order {digit:order}*2
wait {1..30:minutes} minute[s]
naïve
living
hello world
""".splitlines()
TEXTS = [
    *("could you please turn on the lights in the bath room", "turn off the light in the kitchen", "hello world"),
    *(
        "wait twenty seven minutes",
        "order zero one two three four five six seven eight nine oh",
        "eleven twelve fifteen",
    ),
]


def ready(folder: Path) -> Tokenizer:
    """A tokenizer of another program, that writes spaces as U+2581."""
    letters = sorted(set("".join(TEXTS)) - {" "})
    backend = tokenizers.Tokenizer(models.BPE({c: n for n, c in enumerate(["\u2581", *letters, "\u2581t", "ou"])},
                                              [("\u2581", "t"), ("o", "u")]))  # fmt: skip
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.save(str(folder / "tokenizer.json"))
    return Tokenizer.load(folder / "tokenizer.json")


@pytest.fixture(params=["character", "bpe", "profile", "ready"])
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> Tokenizer:
    if request.param == "ready":
        return ready(tmp_path)
    return Tokenizer.train(TEXTS, request.param, 90, graphemes=["ch", "th", "ou", "ng"])


def paths(graph: TokenGraph) -> list[tuple[int, ...]]:
    found, waiting = [], [((), 0)]
    while waiting:
        tokens, state = waiting.pop()
        found += [tokens] if state in graph.ends else []
        waiting += [((*tokens, token), after) for token, after in graph.edges[state].items()]
    return found


def sentences(compiled: CompiledGrammar) -> set[str]:
    accepted = compiled.accepted
    return {"".join(sentence) for sentence in accepted.automata.sentences(accepted.start)}


def test_the_graph_accepts_each_sentence_as_the_tokenizer_spells_it(tokenizer: Tokenizer) -> None:
    compiled = compile_grammar(Grammar.of(LINES), tokenizer, normalize_basic)
    found, expected = paths(compiled.graph), sentences(compiled)
    assert len(found) == len(expected) == compiled.report.sentences > 250
    assert {tuple(tokenizer.encode(text)) for text in expected} == set(found)
    assert {tokenizer.decode(tokens) for tokens in found} == expected
    assert all(after > state for state, edges in enumerate(compiled.graph.edges) for after in edges.values())
    assert [account.unwritable for account in compiled.report.templates if account.unwritable] == [("naïve",)]


@pytest.mark.parametrize("kind", ["bpe", "profile"])
def test_words_that_are_too_many_are_spelt_in_all_ways(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echo_asr.decode.grammar.MOST_WORDS", 3)
    tokenizer = Tokenizer.train(TEXTS, kind, 90, graphemes=["ch", "th", "ou", "ng"])
    compiled = compile_grammar(
        Grammar.of(["[the] light[s]", "(in|on|off|ten) four", "bath"]), tokenizer, normalize_basic
    )
    found = paths(compiled.graph)
    assert {tokenizer.decode(tokens) for tokens in found} == sentences(compiled)
    assert {tuple(tokenizer.encode(text)) for text in sentences(compiled)} < set(found)


def test_a_large_grammar_for_a_ready_tokenizer_is_spelt_word_by_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = ready(tmp_path)
    whole = compile_grammar(Grammar.of(LINES), tokenizer, normalize_basic)
    monkeypatch.setattr("echo_asr.decode.grammar.MOST_WHOLE", 10)
    by_word = compile_grammar(Grammar.of(LINES), tokenizer, normalize_basic)
    assert {tokenizer.decode(tokens) for tokens in paths(by_word.graph)} == sentences(whole)
    assert set(paths(by_word.graph)) == set(paths(whole.graph))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab ", min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=6), st.integers(5, 12))
def test_any_words_are_spelt_as_bpe_spells_them(lines: list[str], size: int) -> None:
    tokenizer = Tokenizer.train(["abab aab ba", *lines], "bpe", size)
    compiled = compile_grammar(Grammar.of(lines), tokenizer, normalize_basic)
    expected = {normalize_basic(line) for line in lines}
    assert sorted(paths(compiled.graph)) == sorted(tuple(tokenizer.encode(text)) for text in expected)


def test_a_model_without_spaces_writes_none() -> None:
    tokenizer = Tokenizer.train(["打开客厅的灯", "关厨房门"])
    lines = ["打开 {房间} 的 灯", "{房间} = 客厅 | 厨房", "关 门"]
    compiled = compile_grammar(Grammar.of(lines), tokenizer, normalize_basic)
    assert sentences(compiled) == {"打开客厅的灯", "打开厨房的灯", "关门"}
    found = compiled.interpret("打开厨房的灯")
    assert found and (found.line, found.slots) == (1, {"房间": "厨房"})
    assert compiled.interpret("打开灯") is None


def test_a_grammar_of_which_the_model_can_write_nothing_is_refused() -> None:
    tokenizer = Tokenizer.train(["abc"])
    with pytest.raises(EchoError, match="no sentence of it can be recognised: the model cannot write 'xyz'"):
        compile_grammar(Grammar.of(["xyz", "[a] q"]), tokenizer, normalize_basic)
    with pytest.raises(EchoError, match="nothing can be said"):
        compile_grammar(Grammar.of(["{a}", "{a} ="]), tokenizer, normalize_basic)
