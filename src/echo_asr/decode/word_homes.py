"""Which of several parts of a recording each word of a script is spoken in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from echo_asr.decode.long_path import long_path
from echo_asr.decode.times import token_texts
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.text.script import Script


def encode_words(recognizer: Recognizer, script: Script, words: Sequence[int]) -> tuple[list[int], list[int]]:
    """The tokens of successive words of a script, and for each the place in `words` of the one that it begins in; -1
    for spaces.

    Raises:
        EchoError: the model does not know a character.
    """
    tokenizer = recognizer.bundle.tokenizer
    own = [script.words[word].normal for word in words]
    sizes = [len("".join(word.split())) for word in own]
    text = recognizer.normalize(script.text(words))
    if "".join(text.split()) != "".join("".join(word.split()) for word in own):
        text = " ".join(own)  # words are normalised in other ways together
    try:
        tokens = tokenizer.encode(text)
    except EchoError as error:
        raise _named(recognizer, own) or error from None
    ends, place, places = np.cumsum(sizes), 0, list[int]()
    for spoken in ("".join(text.split()) for text in token_texts(tokenizer, tokens)):
        places.append(int(np.searchsorted(ends, place, side="right")) if spoken else -1)
        place += len(spoken)
    return tokens, places


def _named(recognizer: Recognizer, words: Sequence[str]) -> EchoError | None:
    """The error for the first of the words that cannot be encoded, and how many such words there are."""
    errors = []
    for word in words:
        try:
            recognizer.bundle.tokenizer.encode(word)
        except EchoError as error:
            errors.append(error)
    more = f" (there are {len(errors)} such words)" if len(errors) > 1 else ""
    return EchoError(f"{errors[0]}{more}") if errors else None


def word_homes(logs: Sequence[np.ndarray], tokens: Sequence[int], words: Sequence[int], count: int) -> list[int]:
    """The part in which most tokens of each of `count` words lie, in the likeliest CTC path through all parts.
    They do not decrease.

    Args:
        logs: log probabilities of each part, `(F, V)` float32.
        tokens: of all words.
        words: the number of each token's word, or -1, as of `encode_words`.

    Raises:
        ValueError: the tokens need more frames than there are.
    """
    if not tokens:
        return [0] * count
    first, last = long_path(np.concatenate(list(logs)), np.array(tokens))
    parts = np.searchsorted(np.cumsum([len(log) for log in logs]), (first + last) / 2, side="right")
    votes = np.zeros((count, len(logs)), np.int64)
    own = np.array(words) >= 0
    np.add.at(votes, (np.array(words)[own], parts[own]), 1)
    # A word that begins within a token of another is where that is.
    return np.maximum.accumulate(np.where(votes.any(axis=1), votes.argmax(axis=1), 0)).tolist()
