from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from echo_asr.decode.word_homes import encode_words, word_homes
from echo_asr.errors import EchoError
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.script import make_script
from echo_asr.text.tokenizer import Tokenizer

TOKENIZER = Tokenizer.train(["abcd "])


def recognizer(tokenizer: Tokenizer = TOKENIZER) -> Any:
    return SimpleNamespace(bundle=SimpleNamespace(tokenizer=tokenizer), normalize=normalize_basic)


def spikes(text: str, tokenizer: Tokenizer = TOKENIZER) -> np.ndarray:
    """Log probabilities `(F, V)` of a part in which each symbol of a text takes a frame, and blank another."""
    ids = [token for symbol in tokenizer.encode(text) for token in (symbol, 0)]
    probability = torch.full((len(ids), tokenizer.vocabulary_size), 0.01)
    probability[range(len(ids)), ids] = 0.9
    return probability.log().numpy()


def test_homes_are_where_most_symbols_are() -> None:
    script = make_script([(1, "Abc, d.")], normalize_basic)
    tokens, words = encode_words(recognizer(), script, (0, 1))
    assert words == [0, 0, 0, -1, 1]
    assert word_homes([spikes("ab"), spikes("c d")], tokens, words, 2) == [0, 1]
    assert word_homes([spikes("a"), spikes("bc d")], tokens, words, 2) == [1, 1]
    assert word_homes([spikes("a")], [], [], 0) == []
    with pytest.raises(ValueError, match="5 tokens need 5 frames, and there are 2"):
        word_homes([spikes("a")], tokens, words, 2)


def test_ideographs_are_words_and_the_model_needs_no_space() -> None:
    tokenizer = Tokenizer.train(["你好吗"])
    script = make_script([(1, "你好吗？")], normalize_basic)
    tokens, words = encode_words(recognizer(tokenizer), script, (0, 1, 2))
    assert words == [0, 1, 2]
    assert word_homes([spikes("你", tokenizer), spikes("好吗", tokenizer)], tokens, words, 3) == [0, 1, 1]


def test_the_word_with_an_unknown_character_is_named() -> None:
    script = make_script([(1, "ab cd 12 ab naïve")], normalize_basic)
    with pytest.raises(EchoError, match=r"text '12': .*'1' .*\(there are 2 such words\)"):
        encode_words(recognizer(), script, range(5))
