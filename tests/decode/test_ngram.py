import math
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.ngram import (
    FALLBACK_DISCOUNTS,
    MARK,
    NGramModel,
    build_language_model,
    discounts,
    read_lines,
    tokenizer_mark,
    train_ngram,
)
from echo_asr.errors import EchoError
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.tokenizer import Tokenizer
from tests.helpers.plain_search import Arpa, Words


def arpa(model: NGramModel) -> Arpa:
    return Arpa("".join(model.lines()))


def plain(sentences: Sequence[Sequence[str]], order: int, size: int) -> dict[tuple[Words, str], float]:
    """Interpolated modified Kneser-Ney from its definition: of every word after every context that was seen."""
    padded = [("<s>", *sentence, "</s>") for sentence in sentences]
    raw: Counter[Words] = Counter()
    before: dict[Words, set[str]] = defaultdict(set)
    for sentence in padded:
        for n in range(1, order + 1):
            for start in range(len(sentence) - n + 1):
                raw[sentence[start : start + n]] += 1
                if start:
                    before[sentence[start : start + n]].add(sentence[start - 1])
    adjusted: dict[int, Counter[Words]] = {n: Counter() for n in range(1, order + 1)}
    for words, count in raw.items():
        if words != ("<s>",):
            whole = len(words) == order or words[0] == "<s>"
            adjusted[len(words)][words] = count if whole else len(before[words])
    contexts: dict[Words, Counter[str]] = defaultdict(Counter)
    for words, count in (item for table in adjusted.values() for item in table.items()):
        contexts[words[:-1]][words[-1]] = count
    taken = {n: (0.0, *discounts(np.array(list(table.values())))) for n, table in adjusted.items()}

    def probability(context: Words, word: str) -> float:
        after = contexts[context]
        cut = taken[len(context) + 1]
        lower = probability(context[1:], word) if context else 1.0 / size
        left = sum(cut[min(count, 3)] for count in after.values())
        return (max(after[word] - cut[min(after[word], 3)], 0.0) + left * lower) / sum(after.values())

    words = [word for (word,) in (key for key in before if len(key) == 1)]
    return {(context, word): probability(context, word) for context in list(contexts) for word in words}


texts = st.lists(st.lists(st.sampled_from("abcde"), max_size=8), min_size=1, max_size=12)


def test_two_sentences_by_hand() -> None:
    """`a b` and `a c`. Before a: 1 word, before b: 1, before c: 1, before the end: 2. All discounts are 1/2 and 1."""
    found = arpa(train_ngram([["a", "b"], ["a", "c"]], 2))
    expected = {
        ("<unk>",): 0.1,  # (0.5 * 3 + 1) / 5 of the uniform fifth
        ("</s>",): (2 - 1) / 5 + 0.1,
        ("a",): (1 - 0.5) / 5 + 0.1,
        ("b",): 0.2,
        ("c",): 0.2,
        ("<s>", "a"): (2 - 1) / 2 + 0.5 * 0.2,
        ("a", "b"): (1 - 0.5) / 2 + 0.5 * 0.2,
        ("a", "c"): 0.35,
        ("b", "</s>"): (1 - 0.5) / 1 + 0.5 * 0.3,
        ("c", "</s>"): 0.65,
    }
    assert found.probability.pop(("<s>",)) == -99
    assert found.probability == pytest.approx({words: math.log10(p) for words, p in expected.items()}, abs=1e-6)
    assert found.score(("a",), "a") == pytest.approx(math.log10(0.5 * 0.2), abs=1e-6)
    assert found.counts == [6, 5]


def test_discounts_are_those_of_chen_and_goodman() -> None:
    counts = np.array([1] * 10 + [2] * 4 + [3] * 2 + [4] + [9] * 3 + [0] * 5)
    share = 10 / 18
    assert discounts(counts) == pytest.approx((1 - 2 * share * 0.4, 2 - 3 * share * 0.5, 3 - 4 * share * 0.5))
    for few in ([1, 1, 1], [1, 1, 2, 2], [2, 2, 3], [], [1, 2, 3, 3, 3, 3]):  # the last: D_2 would be negative
        assert discounts(np.array(few, dtype=int)) == FALLBACK_DISCOUNTS


@settings(max_examples=60, deadline=None)
@given(sentences=texts, order=st.integers(1, 5), seed=st.integers(0, 3))
def test_probabilities_are_those_of_the_definition(sentences: list[list[str]], order: int, seed: int) -> None:
    if seed:  # enough of them for discounts of their own
        draw = random.Random(seed)
        sentences = sentences + [draw.choices("abcde", (9, 5, 3, 2, 1), k=draw.randint(0, 9)) for _ in range(40)]
    found = arpa(train_ngram(sentences, order))
    expected = plain(sentences, order, len(found.words) - 1)
    assert expected
    for (context, word), probability in expected.items():
        assert 10 ** found.score(context, word) == pytest.approx(probability, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(sentences=texts, order=st.integers(1, 5))
def test_probabilities_add_up_to_one_after_every_context(sentences: list[list[str]], order: int) -> None:
    found = arpa(train_ngram(sentences, order, vocabulary=["a", "f"]))
    words = [word for word in found.words if word != "<s>"]
    assert {"<unk>", "</s>", "a", "f"} <= set(words)
    contexts = [(), ("f",), ("e", "e", "e"), *(c for c in found.probability if len(c) < order and c[-1] != "</s>")]
    for context in contexts:
        assert sum(10 ** found.score(context, word) for word in words) == pytest.approx(1.0, abs=1e-5)
        assert all(found.score(context, word) < 0 for word in words)


@given(sentences=texts, order=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_the_file_is_as_arpa_has_it(sentences: list[list[str]], order: int) -> None:
    text = "".join(train_ngram(sentences, order).lines("# a remark"))
    found = Arpa(text)
    assert text.startswith("# a remark\n\\data\\\nngram 1=") and text.endswith("\n\n\\end\\\n")
    assert found.counts == [len(section) for section in found.sections] and len(found.counts) == order
    padded = [("<s>", *sentence, "</s>") for sentence in sentences]
    for n in range(2, order + 1):
        seen = {s[place : place + n] for s in padded for place in range(len(s) - n + 1)}
        assert {tuple(fields[1].split(" ")) for fields in found.sections[n - 1]} == seen
    for words in found.probability:  # KenLM needs the beginning and the end of every n-gram
        assert len(words) == 1 or {words[:-1], words[1:]} <= set(found.probability)


def source(count: int, seed: int) -> list[list[str]]:
    """Sentences of a source in which a letter depends on the two before it."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        sentence = ["a", "b"]
        while len(sentence) < 30:
            code = (ord(sentence[-1]) * 7 + ord(sentence[-2]) * 3) % 8
            sentence.append("abcdefgh"[code if draw.random() < 0.8 else draw.randrange(8)])
        made.append(sentence)
    return made


def test_unseen_text_of_the_same_source_is_less_of_a_surprise_to_higher_orders() -> None:
    held_out = source(50, seed=1)
    surprise = [arpa(train_ngram(source(300, seed=0), order)).perplexity(held_out) for order in (1, 2, 3, 6)]
    uniform = 9.0  # eight letters and the end
    assert uniform > surprise[0] > surprise[1] > surprise[2]
    assert surprise[3] < surprise[2] * 1.1, "contexts longer than the source has them cost little"
    entropy = -(0.825 * math.log(0.825) + 0.175 * math.log(0.025))  # nats a letter, at best
    assert math.exp(entropy) < surprise[2] < 1.15 * math.exp(entropy)


@pytest.mark.parametrize(
    ("sentences", "order", "message"),
    [
        ([["a"]], 0, "order must be at least 1, got 0"),
        ([], 2, "sentences: expected at least one"),
        ([["a b"]], 2, "sentences: 'a b' cannot be a word"),
        ([["a", ""]], 2, "sentences: '' cannot be a word"),
        ([["a", "</s>"]], 2, "sentences: '<s>' cannot be a word; expected no white space, <s> or </s>"),
    ],
)
def test_what_cannot_be_trained_on_is_reported(sentences: list[list[str]], order: int, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        train_ngram(sentences, order)


@pytest.mark.slow
def test_a_million_letters_take_seconds() -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(1, 9))) for _ in range(20_000)]
    sentences = [list(" ".join(draw.choices(words, k=10)).replace(" ", "_")) for _ in range(18_000)]
    assert sum(map(len, sentences)) > 1_000_000
    start = time.perf_counter()
    lines = sum(1 for _ in train_ngram(sentences, 6).lines())
    assert time.perf_counter() - start < 30 and lines > 500_000


# --- over a tokenizer's symbols


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the cat sat on a mat", "xyz"])


def test_a_language_model_is_made_of_the_symbols_and_names_their_tokenizer(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "lm.arpa"
    built = build_language_model(["The cat!", "A mat: a cat.", "  "], tokenizer, normalize_basic, 3, path)
    text = path.read_text(encoding="utf-8")
    assert text.splitlines()[0] == MARK + tokenizer_mark(tokenizer)
    found = Arpa(text)
    assert set(found.words) == {"<unk>", "<s>", "</s>", *map(str, range(1, tokenizer.vocabulary_size))}
    assert list(built.grams) == found.counts and built.sentences == 2
    assert built.tokens == len("the cat") + len("a mat a cat") and built.skipped == {}
    cat = [str(number) for number in tokenizer.encode(" cat")]
    assert 10 ** found.score(tuple(cat[:2]), cat[2]) > 0.5
    assert all(found.score((), str(number)) > -3 for number in tokenizer.encode("xyz")), "never seen, yet possible"


def test_characters_that_the_tokenizer_lacks_are_left_out_and_counted(tokenizer: Tokenizer, tmp_path: Path) -> None:
    built = build_language_model(["the quick cat", "çat"], tokenizer, normalize_basic, 2, tmp_path / "lm.arpa")
    assert built.skipped == {"q": 1, "u": 1, "i": 1, "k": 1, "ç": 1} and built.sentences == 2
    assert built.tokens == len("the c cat") + len("at")


@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_tokenizers_of_other_symbols_have_other_marks(kind: str) -> None:
    marks = {tokenizer_mark(Tokenizer.train([text], kind, 20)) for text in ("a b c ab ab", "a b d ad ad", "a b")}
    assert len(marks) == 3
    assert tokenizer_mark(Tokenizer.train(["a b c ab ab"], kind, 20)) in marks


@pytest.mark.parametrize("order", [0, 1, 7, 10])
def test_an_order_that_kenlm_does_not_read_is_refused(order: int, tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(EchoError, match=f"order of a language model is {order}; expected 2 to 6"):
        build_language_model(["a"], tokenizer, normalize_basic, order, tmp_path / "lm.arpa")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "the texts for the language model hold nothing that the tokenizer knows$"),
        (["", " . "], "hold nothing that the tokenizer knows$"),
        (["ÇÇ", "ß"], r"hold nothing that the tokenizer knows; it does not know 'ç' \(U\+00E7\), 'ß' \(U\+00DF\)$"),
    ],
)
def test_texts_that_hold_nothing_are_reported(
    texts: list[str], message: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text("what was there")
    with pytest.raises(EchoError, match=message):
        build_language_model(texts, tokenizer, normalize_basic, 3, path)
    assert path.read_text() == "what was there"


def test_a_place_that_cannot_be_written_is_reported(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(EchoError, match=r"no/lm.arpa: could not be written \(No such file or directory\)"):
        build_language_model(["a cat"], tokenizer, normalize_basic, 3, tmp_path / "no" / "lm.arpa")


def test_lines_of_files_are_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffOne line\r\n\n  two \nthree".encode())
    (tmp_path / "b.txt").write_text("four\n", encoding="utf-8")
    assert list(read_lines([tmp_path / "a.txt", tmp_path / "b.txt"])) == ["One line", "two", "three", "four"]


def test_files_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("café\n".encode("latin-1"))
    for name, message in (
        ("none.txt", r"none.txt: cannot be read \(No such file or directory\); expected a text file, a line a text"),
        (".", r"cannot be read \(Is a directory\)"),
        ("latin.txt", r"latin.txt: not UTF-8 text \(byte 3\); save it as UTF-8, a line a text"),
    ):
        with pytest.raises(EchoError, match=message):
            list(read_lines([tmp_path / name]))
