"""Words that are looked for, in tokens of all kinds of tokenizers."""

from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from echo_asr.decode.keywords import boundary_tokens, make_keywords
from echo_asr.errors import EchoError
from echo_asr.text.normalize import normalize_basic, normalize_none
from echo_asr.text.tokenizer import Tokenizer

TEXTS = ["ni3 hao3 ma1", "hao3 de5", "đẹp quá"]


def spelled(word: str, tokenizer: Tokenizer, within: bool = False) -> dict[bool, list[str]]:
    """Texts of the spellings of a word, by whether they stand at the start alone."""
    (keyword,) = make_keywords([word], normalize_basic, tokenizer, within)
    found: dict[bool, list[str]] = {True: [], False: []}
    for spelling in keyword.spellings:
        found[spelling.at_start].append("".join(tokenizer.symbols[token] for token in spelling.tokens))
    return found


def test_a_word_is_spelled_with_the_space_before_it_or_at_the_start() -> None:
    character, bpe = Tokenizer.train(TEXTS), Tokenizer.train(TEXTS, "bpe", size=40)
    for tokenizer in (character, bpe):
        assert spelled("Hao3!", tokenizer) == {True: ["hao3"], False: [" hao3"]}
        assert spelled("ni3 hao3", tokenizer) == {True: ["ni3 hao3"], False: [" ni3 hao3"]}
        assert spelled("hao3", tokenizer, within=True) == {True: [], False: ["hao3", " hao3"]}
    assert boundary_tokens(character) == [character.encode(" ")[0]] and len(boundary_tokens(bpe)) > 1


def test_a_ready_tokenizer_of_bytes(tmp_path: Path) -> None:
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    library.save(str(tmp_path / "ready.json"))
    tokenizer = Tokenizer.load(tmp_path / "ready.json")
    assert spelled("hao3", tokenizer) == {True: ["hao3"], False: ["\u0120hao3"]}
    assert boundary_tokens(tokenizer)


def test_scripts_without_spaces_have_no_boundaries() -> None:
    tokenizer = Tokenizer.train(["你好吗", "我 很好"])
    (keyword,) = make_keywords(["好"], normalize_basic, tokenizer)
    assert not keyword.whole and (tuple(tokenizer.encode("好")), False) in [
        (one.tokens, one.at_start) for one in keyword.spellings
    ]
    unspaced = Tokenizer.train(["สวัสดี"])
    (keyword,) = make_keywords(["สวัส"], normalize_basic, unspaced)
    assert not keyword.whole and [one.tokens for one in keyword.spellings] == [tuple(unspaced.encode("สวัส"))]


def test_equal_words_are_one_and_keep_how_they_were_written() -> None:
    tokenizer = Tokenizer.train(TEXTS)
    found = make_keywords(["Đẹp", "đe\u0323p", "ĐẸP!", "quá"], normalize_basic, tokenizer)
    assert [(one.word, one.text) for one in found] == [("Đẹp", "đẹp"), ("quá", "quá")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no word to look for; give one"),
        ([""], "word '' is empty; give one"),
        (["?!"], "word '\\?!' is empty once normalised"),
        (["nǐ"], r"word 'nǐ' cannot be looked for: .*'ǐ' \(U\+01D0\); the texts that the model was trained on lack it"),
    ],
)
def test_words_that_cannot_be_looked_for_are_named(words: list[str], message: str) -> None:
    with pytest.raises(EchoError, match=message):
        make_keywords(words, normalize_basic, Tokenizer.train(TEXTS))


def test_marks_that_are_not_composed_are_named() -> None:
    with pytest.raises(EchoError, match=r"U\+0323"):
        make_keywords(["đe\u0323p"], normalize_none, Tokenizer.train(TEXTS))
