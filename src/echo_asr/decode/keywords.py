"""Words that are looked for, spelled in the tokens of a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from echo_asr.decode.hotwords import SPACES
from echo_asr.errors import EchoError
from echo_asr.text.normalize import Normalizer, is_spaceless
from echo_asr.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Spelling:
    """Tokens that spell a keyword.

    Attributes:
        tokens: ids, at least one; in the middle of a text the first may be, or begin with, the space before the word.
        at_start: with these it is spelled at the beginning of a text alone.
    """

    tokens: tuple[int, ...]
    at_start: bool


@dataclass(frozen=True)
class Keyword:
    """A word or phrase that is looked for.

    Attributes:
        word: as it was given.
        text: normalised.
        spellings: in tokens.
        whole: it is looked for between spaces or ends of texts alone.
    """

    word: str
    text: str
    spellings: tuple[Spelling, ...]
    whole: bool


def make_keywords(
    words: Iterable[str], normalize: Normalizer, tokenizer: Tokenizer, within_words: bool = False
) -> list[Keyword]:
    """The keywords that words and phrases stand for; of several that are equal once normalised the first.

    A word of a script without spaces, or for a model that writes none, is looked for anywhere; others as whole words,
    unless `within_words`.

    Raises:
        EchoError: there is no word, one is empty or only punctuation, or the model cannot spell one.
    """
    found: dict[str, Keyword] = {}
    bounded = bool(boundary_tokens(tokenizer)) and not within_words
    for word in words:
        text = " ".join(normalize(word).split())
        if not text:
            what = "is empty" if not word.strip() else "is empty once normalised as the model's texts are"
            raise EchoError(f"word {word!r} {what}; give one with letters")
        whole = bounded and not is_spaceless(text[0]) and not is_spaceless(text[-1])
        try:
            spellings = _spell(text, tokenizer, whole)
        except EchoError as error:
            where = "the texts that the model was trained on lack it; spell the word as they do"
            raise EchoError(f"word {word!r} cannot be looked for: {str(error).split(';')[0]}; {where}") from None
        found.setdefault(text, Keyword(word, text, spellings, whole))
    if not found:
        raise EchoError("no word to look for; give one at least")
    return list(found.values())


def boundary_tokens(tokenizer: Tokenizer) -> list[int]:
    """Ids of the tokens before which a word ends: those that are, or begin with, a space. None for a model that writes
    no spaces."""
    return [token for token, symbol in enumerate(tokenizer.symbols) if token and symbol.startswith(tuple(SPACES))]


def _spell(text: str, tokenizer: Tokenizer, whole: bool) -> tuple[Spelling, ...]:
    """The tokens of a text at the beginning of a longer one, and those in its middle, as far as they differ."""
    first = tuple(tokenizer.encode(text))
    try:
        twice = tuple(tokenizer.encode(f"{text} {text}"))
    except EchoError:  # a model that writes no spaces
        twice = ()
    later = twice[len(first) :] if twice[: len(first)] == first else ()
    if not whole:
        return tuple(Spelling(tokens, False) for tokens in dict.fromkeys((first, later)) if tokens)
    if not later or later == first:
        return (Spelling(first, False),)
    return Spelling(first, True), Spelling(later, False)
