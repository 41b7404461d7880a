"""Tokenizers: text to ids and back.

Token 0 is the padding, the start and the end token; the symbols of texts have the ids 1 to V - 1.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from echo_asr.errors import EchoError
from echo_asr.storage import replace_text

# Symbol 0 of every vocabulary. It is longer than one character and not the result of a merge, so that no text, not even
# one that contains it, is encoded with it.
ZERO_SYMBOL = "<|zero|>"


class Tokenizer:
    """Converts text to ids from 1 to V - 1 and back; id 0 is not part of texts.

    Four kinds: ``character`` (one id a Unicode code point), ``profile`` (one id a grapheme of an orthography profile,
    the longest first from left to right, and a code point where none fits), ``bpe`` (byte-pair encoding over
    characters, Sennrich et al. 2016; symbols do not span words, and a space belongs to the word after it) and
    ``ready`` (a ``tokenizer.json`` of another program, whose ids are raised by one to make room for 0). A space is a
    symbol like any other, so ``decode(encode(text)) == text`` for every text that ``encode`` accepts.

    Created by :meth:`train`, :meth:`load` or :meth:`extend`.

    Attributes:
        kind: ``character``, ``profile``, ``bpe`` or ``ready``.
        symbols: the V symbols in the order of their ids; symbol 0 is :data:`ZERO_SYMBOL`.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        vocabulary = backend.get_vocab()
        own = vocabulary.get(ZERO_SYMBOL) == 0
        vocabulary_symbols = sorted(vocabulary, key=lambda symbol: vocabulary[symbol])
        kind = "profile" if any(len(symbol) > 1 for symbol in vocabulary_symbols[1:]) else "character"
        kind = "bpe" if isinstance(backend.model, models.BPE) else kind
        self.kind: str = kind if own else "ready"
        self.symbols: list[str] = vocabulary_symbols if own else [ZERO_SYMBOL, *vocabulary_symbols]
        self._backend = backend
        self._alphabet = frozenset(symbol for symbol in vocabulary_symbols if len(symbol) == 1)

    @property
    def alphabet(self) -> frozenset[str]:
        """The characters that the symbols are made of; of a ready tokenizer those that are symbols themselves."""
        return self._alphabet

    @property
    def vocabulary_size(self) -> int:
        """V, the number of ids, 0 included."""
        return len(self.symbols)

    @classmethod
    def train(
        cls, texts: Iterable[str], kind: str = "character", size: int | None = None, graphemes: Iterable[str] = ()
    ) -> Self:
        """A tokenizer for the given texts; the same texts give the same tokenizer.

        Args:
            texts: normalised texts; every character in them becomes a symbol.
            kind: ``character``, ``profile`` or ``bpe``.
            size: the vocabulary size of ``bpe``, 0 included; it is smaller if the corpus has fewer symbols. Ignored for
                the others.
            graphemes: of ``profile``, NFC; those that texts are split into become symbols.

        Raises:
            ValueError: an unknown kind.
            EchoError: the texts have no character, the size is too small for their characters, or no grapheme of
                several characters occurs.
        """
        if kind not in ("character", "profile", "bpe"):
            raise ValueError(f"kind: expected character, profile or bpe, got {kind!r}")
        texts = list(texts)
        characters = sorted(set().union(*texts))
        if not characters:
            raise EchoError("tokenizer: the training texts have no character; give texts to train on")
        if kind == "character":
            return cls(_symbol_backend([ZERO_SYMBOL, *characters]))
        if kind == "profile":
            return cls(_symbol_backend([ZERO_SYMBOL, *characters, *_used_graphemes(texts, graphemes)]))
        if size is None or size < len(characters) + 1:
            needed = f"{len(characters) + 1} for bpe, one for each character of the texts and one for 0"
            mend = "raise it or take the character tokenizer"
            raise EchoError(f"tokenizer size: expected at least {needed}, got {size}; {mend}")
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=[ZERO_SYMBOL], initial_alphabet=characters, show_progress=False
        )
        learner = _bpe_backend({}, [])
        learner.train_from_iterator(texts, trainer)
        return cls(_bpe_backend(learner.get_vocab(), _merges(learner)))

    def encode(self, text: str, unknown: Literal["error", "skip"] = "error") -> list[int]:
        """The ids of a text, each from 1 to V - 1; an empty text gives an empty list.

        Raises:
            EchoError: a character without a symbol, unless ``unknown`` is ``skip``, which drops it; a text that a ready
                tokenizer does not decode to itself.
        """
        if self.kind == "ready":
            return self._encode_ready(text, unknown)
        unknown_characters = sorted(set(text) - self._alphabet)
        if unknown_characters and unknown == "error":
            named = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in unknown_characters[:5])
            what = f"text {_shorten(text)!r}: the tokenizer has no symbol for {named}"
            raise EchoError(f"{what}; correct the text, normalise it, or train with a tokenizer that knows it")
        if unknown_characters:
            text = "".join(character for character in text if character in self._alphabet)
        ids = list(self._backend.encode(text, add_special_tokens=False).ids)
        if 0 in ids:  # never with a vocabulary of `train`; the file was changed
            raise EchoError(f"text {_shorten(text)!r}: the tokenizer.json is damaged; copy it again")
        return ids

    def encode_many(self, texts: Sequence[str], unknown: Literal["error", "skip"] = "error") -> list[tuple[int, ...]]:
        """`encode` for many texts, faster.

        Raises:
            EchoError: as `encode`; the message has the text, but not its index.
        """
        if self.kind == "character":
            return self._encode_characters(texts, unknown)
        if self.kind == "ready" or not self._alphabet.issuperset(set().union(*texts)):
            return [tuple(self.encode(text, unknown)) for text in texts]
        found = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [tuple(encoding.ids) for encoding in found]

    def _encode_characters(self, texts: Sequence[str], unknown: Literal["error", "skip"]) -> list[tuple[int, ...]]:
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
        table = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.int32)
        for index, symbol in enumerate(self.symbols):
            if index and ord(symbol) < len(table):
                table[ord(symbol)] = index
        ids = table[codes].tolist()
        ends = np.cumsum([len(text) for text in texts]).tolist()
        found = [tuple(ids[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
        pairs = zip(texts, found, strict=True)
        return [tuple(self.encode(text, unknown)) if 0 in own else own for text, own in pairs]

    def _encode_ready(self, text: str, unknown: str) -> list[int]:
        encoding = self._backend.encode(text, add_special_tokens=False)
        dropped = self._backend.token_to_id(getattr(self._backend.model, "unk_token", None) or "")
        ids = [number + 1 for number in encoding.ids if number != dropped]
        back = self.decode(ids)
        if unknown == "error" and back != text:
            what = f"text {_shorten(text)!r}: the ready tokenizer decodes it to {_shorten(back)!r}"
            raise EchoError(f"{what}; take another text.normalizer, or a tokenizer that knows these texts")
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; zeros are skipped.

        Raises:
            ValueError: an id that is not in 0 to V - 1.
        """
        numbers = [number for number in map(int, ids) if number]
        wrong = [number for number in numbers if not 0 < number < len(self.symbols)]
        if wrong:
            raise ValueError(f"ids: expected 0 to {len(self.symbols) - 1}, got {wrong[0]}")
        if self.kind == "ready":
            return str(self._backend.decode([number - 1 for number in numbers]))
        return "".join(self.symbols[number] for number in numbers)

    def extend(self, texts: Iterable[str]) -> tuple[Self, dict[int, int]]:
        """A tokenizer that also knows the new characters of ``texts``, and the new id of every old id.

        Old symbols keep their ids and new ones follow in the order of their code points, so the mapping is
        the identity. Characters alone are new, no graphemes or merges; a ready tokenizer is not extended.
        """
        if self.kind == "ready":
            return self, {index: index for index in range(self.vocabulary_size)}
        new = sorted(set().union(*texts) - self._alphabet)
        symbols = [*self.symbols, *new]
        if self.kind in ("character", "profile"):
            backend = _symbol_backend(symbols)
        else:
            vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
            backend = _bpe_backend(vocabulary, _merges(self._backend))
        return type(self)(backend), {index: index for index in range(self.vocabulary_size)}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``tokenizer.json``, in the format of the tokenizers library, atomically.

        Raises:
            EchoError: the folder cannot be written, or the disk is full.
        """
        replace_text(Path(path), self._backend.to_str(pretty=True))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote, or a ``tokenizer.json`` of another program.

        Raises:
            EchoError: there is no such file, it holds something else, or its ids have gaps.
        """
        try:
            backend = tokenizers.Tokenizer.from_str(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise EchoError(f"{path}: no such file; expected a tokenizer.json") from None
        except Exception as error:  # the library raises bare Exception for a malformed file
            raise EchoError(f"{path}: cannot read it ({_shorten(str(error))}); expected a tokenizer.json") from error
        ids = sorted(backend.get_vocab().values())
        if not ids or ids != list(range(len(ids))):
            raise EchoError(f"{path}: expected a tokenizer whose ids go from 0 without a gap; train one anew")
        if backend.token_to_id(ZERO_SYMBOL):
            raise EchoError(f"{path}: expected {ZERO_SYMBOL!r} to be symbol 0 or none; train one anew")
        backend.no_padding()
        backend.no_truncation()
        return cls(backend)


def _symbol_backend(symbols: list[str]) -> tokenizers.Tokenizer:
    """Splits texts into symbols, the longest first, after the zero symbol."""
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=ZERO_SYMBOL))
    backend.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(_longest_first(symbols[1:])), "isolated")
    backend.decoder = decoders.Fuse()
    return backend


def _longest_first(symbols: Iterable[str]) -> str:
    """A regular expression for the longest symbol of several characters, or else any character."""
    several = sorted((symbol for symbol in symbols if len(symbol) > 1), key=lambda symbol: (-len(symbol), symbol))
    return "|".join([*map(re.escape, several), r"[\s\S]"])


def _used_graphemes(texts: Iterable[str], graphemes: Iterable[str]) -> list[str]:
    """The graphemes of several characters that texts are split into, sorted."""
    several = {grapheme for grapheme in graphemes if len(grapheme) > 1} - {ZERO_SYMBOL}
    split = re.compile(_longest_first(several)).findall
    used = several & {symbol for text in texts for symbol in split(text)}
    if not used:
        what = f"tokenizer: none of the {len(several)} graphemes of several characters is in the training texts"
        mend = "take the profile of this orthography, written as text.normalizer leaves texts, or tokenizer character"
        raise EchoError(f"{what}; {mend}")
    return sorted(used)


def _bpe_backend(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    backend.decoder = decoders.Fuse()
    return backend


def _merges(backend: tokenizers.Tokenizer) -> list[tuple[str, str]]:
    return [(left, right) for left, right in json.loads(backend.to_str())["model"]["merges"]]


def _shorten(text: str, length: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "\u2026"
