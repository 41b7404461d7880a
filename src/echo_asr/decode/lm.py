"""N-gram language models in ARPA files for the search, over the tokenizer's symbols or over words.

The only module that imports flashlight-text, which comes with the extra `echo-asr[lm]` and brings KenLM, the reader and
scorer of ARPA files. Nothing else of it is used: its own beam search decodes CTC alone, or an attention model alone,
while that of `echo_asr.decode.search` joins attention, CTC prefixes, language model and hotwords in one score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from echo_asr.decode.fusion import Scorer
from echo_asr.decode.ngram import END, HIGHEST_ORDER, MARK, START, UNKNOWN, tokenizer_mark
from echo_asr.errors import EchoError
from echo_asr.output import silenced_stderr
from echo_asr.text.normalize import Normalizer
from echo_asr.text.tokenizer import Tokenizer

NATS = math.log(10.0)  # in one unit of log10
LEAST = -100.0  # log10, the least of a word
UNKNOWN_WORD = -2.0  # log10, on top of <unk>, for a word that the file lacks; tuned on arctic's validation split

_CONTEXTS_KEPT = 50_000  # contexts whose scores are cached


class Arpa:
    """An n-gram model of an ARPA file, scored by KenLM, with the scores of each context cached.

    A context is the tuple of the last `order - 1` words, as indices in `names`, with `BEGIN` for `<s>`.

    Args:
        path: the file.
        names: the words that will be scored; one that the file lacks scores as `<unk>`.
        order: words of its longest n-grams.

    Raises:
        EchoError: flashlight-text is not installed, or KenLM cannot read the file.
    """

    BEGIN = -1

    def __init__(self, path: Path, names: Sequence[str], order: int) -> None:
        try:
            from flashlight.lib.text.decoder.kenlm import KenLM
            from flashlight.lib.text.dictionary import Dictionary
        except ImportError:
            remedy = "pip install 'echo-asr[lm]' (its wheels are for Python 3.11 and 3.12)"
            raise EchoError(f"decode.lm needs KenLM, which is not installed; {remedy}") from None
        dictionary = Dictionary()
        for name in names:
            dictionary.add_entry(name)
        try:
            with silenced_stderr():  # KenLM prints a progress bar
                self._model = KenLM(str(path), dictionary)
        except (RuntimeError, UnicodeError) as error:
            raise EchoError(f"{path}: KenLM cannot read it ({_reason(error)}); expected an ARPA file") from None
        self._reach = order - 1
        self._cache: dict[tuple[int, ...], dict[int, float]] = {}

    def start(self) -> tuple[int, ...]:
        """The context of a sentence's first word."""
        return (self.BEGIN,) if self._reach else ()

    def advance(self, context: tuple[int, ...], word: int) -> tuple[int, ...]:
        """The context after one more word."""
        return (*context, word)[-self._reach :] if self._reach else ()

    def score(self, context: tuple[int, ...], words: Sequence[int]) -> list[float]:
        """Log10 probabilities of words after a context, `BEGIN` standing for `</s>`."""
        cached = self._cache.get(context)
        if cached is None:
            if len(self._cache) >= _CONTEXTS_KEPT:
                self._cache.clear()
            cached = self._cache[context] = {}
        missing = [word for word in words if word not in cached]
        if missing:
            # KenLM's states keep all their successors in memory, so they are built anew and not kept.
            state = self._model.start(context[:1] != (self.BEGIN,))
            for word in context:
                if word != self.BEGIN:
                    state, _ = self._model.score(state, word)
            for word in missing:
                _, value = self._model.finish(state) if word == self.BEGIN else self._model.score(state, word)
                cached[word] = max(value, LEAST)
        return [cached[word] for word in words]


class TokenScorer:
    """An n-gram model over the tokenizer's own symbols, as `echo-asr lm` writes it.

    Token by token it is exact: no lexicon, no unknown words, no need of spaces between words.
    """

    def __init__(self, path: Path, tokenizer: Tokenizer, order: int) -> None:
        self._arpa = Arpa(path, [str(number) for number in range(1, tokenizer.vocabulary_size)], order)

    def start(self) -> tuple[int, ...]:
        return self._arpa.start()

    def score(self, state: tuple[int, ...], tokens: Sequence[int]) -> list[float]:
        # Token t is word t - 1 of the model; so the end, 0, is -1, which is `Arpa.BEGIN`.
        return [value * NATS for value in self._arpa.score(state, [token - 1 for token in tokens])]

    def advance(self, state: tuple[int, ...], token: int) -> tuple[int, ...]:
        return self._arpa.advance(state, token - 1)


class WordScorer:
    """An n-gram model over words, from another program: a word is scored when complete, at a space or at the end.

    The words of the file are normalised as the model's texts, so that a file in capitals works for lower case.
    A word that is not in the file costs `UNKNOWN_WORD` on top of `<unk>`.
    """

    def __init__(
        self, path: Path, tokenizer: Tokenizer, normalize: Normalizer, order: int, words: Sequence[str]
    ) -> None:
        self._symbols = ["", *tokenizer.symbols[1:]]
        self._arpa = Arpa(path, words, order)
        self._indices = {normalize(word): index for index, word in reversed(list(enumerate(words)))}
        self._indices |= {word: index for index, word in enumerate(words)}
        self._unknown = len(words) - 1  # the last of them is <unk>

    def start(self) -> tuple[tuple[int, ...], str]:
        return self._arpa.start(), ""

    def score(self, state: tuple[tuple[int, ...], str], tokens: Sequence[int]) -> list[float]:
        return [self._step(state, token)[0] * NATS for token in tokens]

    def advance(self, state: tuple[tuple[int, ...], str], token: int) -> tuple[tuple[int, ...], str]:
        return self._step(state, token)[1]

    def _step(self, state: tuple[tuple[int, ...], str], token: int) -> tuple[float, tuple[tuple[int, ...], str]]:
        context, begun = state
        *words, begun = (begun + self._symbols[token]).split(" ") if token else (begun, "")
        total = 0.0
        for word in filter(None, words):
            index = self._indices.get(word, self._unknown)
            total += self._arpa.score(context, [index])[0] + (UNKNOWN_WORD if index == self._unknown else 0.0)
            context = self._arpa.advance(context, index)
        if not token:
            total += self._arpa.score(context, [Arpa.BEGIN])[0]
        return total, (context, begun)


def load_language_model(path: Path, tokenizer: Tokenizer, normalize: Normalizer) -> Scorer:
    """The language model of an ARPA file: over the tokenizer's symbols if the file is marked so, else over words.

    Raises:
        EchoError: the file cannot be read, is of another tokenizer or too long n-grams, or is over words while
            the model's tokenizer was not trained by Echo.
    """
    mark, orders, words = _survey(path)
    if not 1 < orders <= HIGHEST_ORDER:
        raise EchoError(f"{path}: an ARPA file of order {orders}; KenLM as installed reads orders 2 to {HIGHEST_ORDER}")
    if mark is None:
        if tokenizer.kind == "ready":
            what = "a language model over words needs a character or bpe tokenizer"
            raise EchoError(f"{path}: {what}; make one over the symbols of this model with echo-asr lm")
        return WordScorer(path, tokenizer, normalize, orders, words)
    if mark != tokenizer_mark(tokenizer):
        raise EchoError(f"{path}: made for another tokenizer than this model's; make it anew with echo-asr lm")
    return TokenScorer(path, tokenizer, orders)


def _survey(path: Path) -> tuple[str | None, int, list[str]]:
    """The mark of the tokenizer in an ARPA file (None without one), its order, and its words, `<unk>` last."""
    mark, order, words = None, 0, []
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file):
                if line.startswith(MARK):
                    mark = line[len(MARK) :].strip()
                elif line.startswith("ngram "):
                    order += 1
                elif line.startswith("\\2-grams:"):
                    break
                elif order and line.count("\t"):
                    words.append(line.split("\t")[1].strip())
                elif not order and number > 1000:
                    break
    except OSError as error:
        raise EchoError(f"{path}: cannot be read ({error.strerror}); expected the ARPA file of decode.lm") from None
    except UnicodeDecodeError:
        order = 0
    if not order:
        raise EchoError(f"{path}: not an ARPA file; make a language model with echo-asr lm")
    return mark, order, [word for word in words if word not in (UNKNOWN, START, END)] + [UNKNOWN]


def _reason(error: Exception) -> str:
    """The last sentence of a message of KenLM, which begins with names of source files and functions."""
    text = " ".join(str(error).split())
    return text.rsplit("because ", 1)[-1].rsplit("Exception. ", 1)[-1][:160]
