"""Trains n-gram language models on texts, and writes them as ARPA files.

The steps: count every n-gram, discount the counts (modified Kneser-Ney), and interpolate each order with the next lower
one. `echo_asr.decode.lm` reads and scores the file.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echo_asr.errors import EchoError
from echo_asr.storage import replace_file
from echo_asr.text.normalize import Normalizer
from echo_asr.text.tokenizer import Tokenizer

UNKNOWN, START, END = "<unk>", "<s>", "</s>"
MARK = "# echo-asr tokenizer "  # begins the line of an ARPA file that identifies the tokenizer of its symbols
HIGHEST_ORDER = 6  # that the KenLM in flashlight-text reads

# Where counts of counts are too few to estimate discounts from, as with the single symbols of an alphabet: KenLM's.
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
NEVER = -99.0  # log10, of <s>, which is never predicted


@dataclass(frozen=True)
class NGrams:
    """The n-grams of one order `n`, as an ARPA file lists them.

    Attributes:
        words: `(rows, n)`, indices into the names of the model.
        probability: `(rows,)`, log10 of the last word given those before it.
        backoff: `(rows,)`, log10 of the backoff weight of the n-gram as a context; 0 where nothing
            follows it.
    """

    words: np.ndarray
    probability: np.ndarray
    backoff: np.ndarray


@dataclass(frozen=True)
class NGramModel:
    """A trained model: the names of its words, and its n-grams from the first order to the highest."""

    names: tuple[str, ...]
    orders: tuple[NGrams, ...]

    def lines(self, comment: str = "") -> Iterator[str]:
        """The lines of the ARPA file, with their ends; a comment comes before all else."""
        if comment:
            yield f"{comment}\n"
        yield "\\data\\\n"
        for n, grams in enumerate(self.orders, 1):
            yield f"ngram {n}={len(grams.words)}\n"
        for n, grams in enumerate(self.orders, 1):
            yield f"\n\\{n}-grams:\n"
            rows = zip(grams.words.tolist(), grams.probability.tolist(), grams.backoff.tolist(), strict=True)
            for words, probability, backoff in rows:
                tail = f"\t{backoff:.7g}" if backoff else ""
                yield f"{probability:.7g}\t{' '.join([self.names[word] for word in words])}{tail}\n"
        yield "\n\\end\\\n"


@dataclass
class _Counts:
    """Rows of one order while it is being estimated: `prefix` and `suffix` point into the rows of the order below."""

    last: np.ndarray  # position in the text of the last word of an occurrence
    count: np.ndarray
    prefix: np.ndarray
    suffix: np.ndarray
    begins: np.ndarray  # true where the n-gram begins with <s>


def train_ngram(sentences: Iterable[Sequence[str]], order: int, vocabulary: Sequence[str] = ()) -> NGramModel:
    """Interpolated modified Kneser-Ney (Chen and Goodman 1998, section 3; Heafield et al. 2013).

    For a word `w` after a context `h` that was seen, `h'` the context without its first word,

        P(w | h) = max(a(h w) - D(a), 0) / sum_v a(h v)  +  g(h) P(w | h'),
        g(h)     = sum_v D(a(h v)) / sum_v a(h v).

    `a` is the count of an n-gram in the highest order, and of one that begins with `<s>`; below, it is the number of
    different words seen before it. `D` has three values, for 1, 2, and 3 or more, each order its own:
    `D_k = k - (k + 1) Y t_{k+1} / t_k`, `Y = t_1 / (t_1 + 2 t_2)`, `t_k` the number of n-grams with `a = k`. Below the
    first order lies the uniform distribution over the vocabulary, `<unk>` and `</s>` included.

    Args:
        sentences: each a sequence of words; `<s>` and `</s>` are put around them.
        order: words of the longest n-grams, at least 1.
        vocabulary: words that have a probability even if no sentence holds them.

    Raises:
        ValueError: order below 1, no sentence, or a word that is empty, holds white space or is a reserved name.
    """
    if order < 1:
        raise ValueError(f"order must be at least 1, got {order}")
    index = {name: position for position, name in enumerate((UNKNOWN, START, END))}
    for word in vocabulary:
        index.setdefault(word, len(index))
    stream: list[int] = []
    for sentence in sentences:
        stream.append(1)
        stream.extend([index.setdefault(word, len(index)) if word not in (START, END) else -1 for word in sentence])
        stream.append(2)
    text = np.array(stream, dtype=np.int64)
    if not len(text):
        raise ValueError("sentences: expected at least one")
    wrong = [name for name in index if name.split() != [name]] or ([START] if (text < 0).any() else [])
    if wrong:
        raise ValueError(f"sentences: {wrong[0]!r} cannot be a word; expected no white space, {START} or {END}")
    tables = _count(text, len(index), order)
    return NGramModel(tuple(index), _estimate(text, len(index), tables))


def _count(text: np.ndarray, size: int, order: int) -> list[_Counts]:
    position = np.arange(len(text))
    depth = position - np.maximum.accumulate(np.where(text == 1, position, 0)) + 1  # words since <s>, itself included
    none = np.zeros(size, dtype=np.int64)
    begins = np.arange(size) == 1
    tables = [_Counts(none, np.bincount(text, minlength=size), none, none, begins)]
    rows = text  # the row of the n-gram that ends at each position
    for n in range(2, order + 1):
        inside = np.flatnonzero(depth >= n)
        keys = rows[inside - 1] * size + text[inside]
        _, first, inverse, count = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        last = inside[first]
        tables.append(_Counts(last, count, rows[last - 1], rows[last], depth[last] == n))
        rows = np.full(len(text), -1)
        rows[inside] = inverse
    return tables


def _estimate(text: np.ndarray, size: int, tables: list[_Counts]) -> tuple[NGrams, ...]:
    found: list[NGrams] = []
    below = np.full(size, 1.0 / (size - 1))  # the uniform distribution; <s> is not in it
    for n, table in enumerate(tables, 1):
        adjusted = table.count
        if n < len(tables):
            before = np.bincount(tables[n].suffix, minlength=len(adjusted))
            adjusted = np.where(table.begins, table.count, before)
        if n == 1:
            adjusted = np.where(table.begins, 0, adjusted)
        discount = np.array((0.0, *discounts(adjusted)))[np.minimum(adjusted, 3)]
        contexts = 1 if n == 1 else len(found[-1].words)
        total = np.bincount(table.prefix, adjusted, contexts)
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.bincount(table.prefix, discount, contexts) / total
            lower = below if n == 1 else below[table.suffix]
            probability = (adjusted - discount) / total[table.prefix] + left[table.prefix] * lower
            if n > 1:
                found[-1].backoff[:] = np.where(total > 0, np.log10(left), 0.0)
            logs = np.log10(probability)
        if n == 1:
            logs[1] = NEVER
            words = np.arange(size)[:, None]
        else:
            words = text[table.last[:, None] + np.arange(1 - n, 1)]
        found.append(NGrams(words, logs, np.zeros(len(logs))))
        below = probability
    return tuple(found)


def discounts(adjusted: np.ndarray) -> tuple[float, float, float]:
    """`D_1, D_2, D_3` of modified Kneser-Ney for adjusted counts; `FALLBACK_DISCOUNTS` where they are not defined."""
    ones, twos, threes, fours = (int((adjusted == k).sum()) for k in (1, 2, 3, 4))
    if not (ones and twos and threes):
        return FALLBACK_DISCOUNTS
    share = ones / (ones + 2 * twos)
    first = 1 - 2 * share * twos / ones
    second = 2 - 3 * share * threes / twos
    third = 3 - 4 * share * fours / threes
    return (first, second, third) if second > 0 and third > 0 else FALLBACK_DISCOUNTS


# --- a model over the symbols of a tokenizer


@dataclass(frozen=True)
class Built:
    """Counts of the training data of a language model.

    Attributes:
        sentences: texts that are not empty.
        tokens: in all of them.
        grams: n-grams of each order.
        skipped: characters that the tokenizer does not know, with how often each was left out.
    """

    sentences: int
    tokens: int
    grams: tuple[int, ...]
    skipped: dict[str, int]


def tokenizer_mark(tokenizer: Tokenizer) -> str:
    """Sixteen hexadecimal digits that differ between tokenizers with different symbols."""
    return hashlib.sha256(json.dumps(tokenizer.symbols).encode()).hexdigest()[:16]


def read_lines(paths: Iterable[Path]) -> Iterator[str]:
    """The lines of UTF-8 text files, one text each; empty ones are skipped.

    Raises:
        EchoError: a file is missing, a folder, or not UTF-8.
    """
    for path in paths:
        try:
            with open(path, encoding="utf-8-sig") as file:
                yield from filter(None, map(str.strip, file))
        except OSError as error:
            raise EchoError(f"{path}: cannot be read ({error.strerror}); expected a text file, a line a text") from None
        except UnicodeDecodeError as error:
            raise EchoError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8, a line a text") from None


def build_language_model(
    texts: Iterable[str], tokenizer: Tokenizer, normalize: Normalizer, order: int, path: Path
) -> Built:
    """Train an n-gram model over a tokenizer's symbols, and write it as an ARPA file, whole or not at all.

    Symbols stand in the file as their decimal ids, since a space is a symbol and ARPA separates fields by spaces. A
    comment before the first section identifies the tokenizer, so that a model with another one refuses the file. Every
    symbol has a probability, also those that the texts lack.

    Args:
        texts: sentences or lines, not normalised.
        normalize: that of the model.
        order: symbols of the longest n-grams, 2 to `HIGHEST_ORDER`.

    Raises:
        EchoError: the order is out of range, the texts hold nothing that the tokenizer knows, or the file cannot be
            written; errors of `texts` are passed on.
    """
    if not 2 <= order <= HIGHEST_ORDER:
        raise EchoError(f"order of a language model is {order}; expected 2 to {HIGHEST_ORDER}")
    skipped: Counter[str] = Counter()
    sentences: list[list[str]] = []
    for text in map(normalize, texts):
        ids = tokenizer.encode(text, unknown="skip")
        skipped += Counter(text) - Counter(tokenizer.decode(ids))
        if ids:
            sentences.append([str(number) for number in ids])
    if not sentences:
        missed = f"; it does not know {_named(skipped)}" if skipped else ""
        raise EchoError(f"the texts for the language model hold nothing that the tokenizer knows{missed}")
    vocabulary = [str(number) for number in range(1, tokenizer.vocabulary_size)]
    model = train_ngram(sentences, order, vocabulary)

    def write(part: Path) -> None:
        with open(part, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(model.lines(MARK + tokenizer_mark(tokenizer)))

    replace_file(path, write)
    grams = tuple(len(grams.words) for grams in model.orders)
    return Built(len(sentences), sum(map(len, sentences)), grams, dict(skipped.most_common()))


def _named(characters: Counter[str]) -> str:
    return ", ".join(f"{c!r} (U+{ord(c):04X})" for c, _ in characters.most_common(5))
