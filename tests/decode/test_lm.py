import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from echo_asr.decode import lm as module
from echo_asr.decode.lm import UNKNOWN_WORD, load_language_model
from echo_asr.decode.ngram import build_language_model, train_ngram
from echo_asr.errors import EchoError
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.tokenizer import Tokenizer
from tests.helpers.plain_search import LETTERS, TEXTS, TOKENIZER, Arpa, along, needs_kenlm


@needs_kenlm
@pytest.mark.parametrize("order", [2, 3, 6])
def test_kenlm_scores_as_the_file_says(order: int, tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    build_language_model(TEXTS, TOKENIZER, normalize_basic, order, path)
    plain, scorer = Arpa(path.read_text()), load_language_model(path, TOKENIZER, normalize_basic)
    for text in [*TEXTS, "", "eeeee", "cab dab", "e d c b a", "bee bee bee bee"]:
        tokens = TOKENIZER.encode(text)
        words = ("<s>", *map(str, tokens), "</s>")
        expected = [math.log(10) * plain.score(words[:place], words[place]) for place in range(1, len(words))]
        assert along(scorer, tokens) == pytest.approx(expected, abs=1e-4)


@needs_kenlm
def test_what_is_remembered_of_a_context_is_what_was_said_of_it(arpa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = [along(load_language_model(arpa, TOKENIZER, normalize_basic), TOKENIZER.encode(text)) for text in TEXTS]
    scorer = load_language_model(arpa, TOKENIZER, normalize_basic)
    for _ in range(2):
        assert [along(scorer, TOKENIZER.encode(text)) for text in TEXTS] == fresh
    monkeypatch.setattr(module, "_CONTEXTS_KEPT", 3)
    assert [along(scorer, TOKENIZER.encode(text)) for text in TEXTS] == fresh


@needs_kenlm
def test_kenlm_prints_nothing(arpa: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_language_model(arpa, TOKENIZER, normalize_basic)
    print("here again", file=sys.stderr)
    assert capfd.readouterr() == ("", "here again\n")


WORDS = ["the cat sat on the mat", "the dog ran", "a cat ran to the dog", "the cat sat"]


@needs_kenlm
@pytest.mark.parametrize("shape", [str, str.upper])
@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_a_model_of_words_scores_each_word_as_it_ends(kind: str, shape: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "words.arpa"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(train_ngram([shape(text).split() for text in WORDS], 3).lines())
    tokenizer = Tokenizer.train([*WORDS, "moon"], kind, 40)
    scorer, plain = load_language_model(path, tokenizer, normalize_basic), Arpa(path.read_text())
    for text in [*WORDS, "", "cat the the", "the moon sat", " the  cat "]:
        words = ("<s>", *(w if w != shape("moon") else "<unk>" for w in shape(text).split()), "</s>")
        expected = sum(plain.score(words[:place], words[place]) for place in range(1, len(words)))
        expected += UNKNOWN_WORD * words.count("<unk>")
        assert sum(along(scorer, tokenizer.encode(text))) == pytest.approx(math.log(10) * expected, abs=1e-4)
    steps = along(scorer, tokenizer.encode("the cat"))
    assert steps[0] == 0 and steps[-1] < 0, "nothing before a word is complete"


def test_words_need_a_tokenizer_that_shows_where_they_end(tmp_path: Path) -> None:
    path = tmp_path / "words.arpa"
    path.write_text("".join(train_ngram([["a", "b"]], 2).lines()))
    ready: Any = SimpleNamespace(kind="ready", symbols=["", "a"])
    with pytest.raises(EchoError, match="words.arpa: a language model over words needs a character or bpe tokenizer;"):
        load_language_model(path, ready, normalize_basic)


def test_a_language_model_of_another_tokenizer_is_refused(arpa: Path) -> None:
    with pytest.raises(EchoError, match="lm.arpa: made for another tokenizer than this model's; make it anew with"):
        load_language_model(arpa, LETTERS, normalize_basic)


def test_without_the_extra_it_is_named(arpa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flashlight.lib.text.decoder.kenlm", None)
    monkeypatch.setitem(sys.modules, "flashlight", None)
    with pytest.raises(EchoError, match=r"decode.lm needs KenLM, which is not installed; pip install 'echo-asr\[lm\]'"):
        load_language_model(arpa, TOKENIZER, normalize_basic)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.arpa", None, r"none.arpa: cannot be read \(No such file or directory\); expected the ARPA file of"),
        (".", None, r"cannot be read \(Is a directory\); expected the ARPA file of decode.lm"),
        ("lm.arpa", b"", "lm.arpa: not an ARPA file; make a language model with echo-asr lm"),
        ("lm.arpa", b"some text\n" * 5000, "lm.arpa: not an ARPA file"),
        ("lm.arpa", bytes(range(256)) * 9, "lm.arpa: not an ARPA file"),
        ("lm.arpa", b"\x1f\x8b\x08\x00\xff", "lm.arpa: not an ARPA file"),
    ],
)
def test_files_that_are_no_language_models_are_reported(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(EchoError, match=message):
        load_language_model(tmp_path / name, TOKENIZER, normalize_basic)


@pytest.mark.parametrize("order", [1, 7])
def test_orders_that_kenlm_does_not_read_are_reported(order: int, tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text("".join(train_ngram([["a", "b"]], order).lines()))
    with pytest.raises(EchoError, match=f"an ARPA file of order {order}; KenLM as installed reads orders 2 to 6"):
        load_language_model(path, TOKENIZER, normalize_basic)


@needs_kenlm
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "KenLM cannot read it .*; expected an ARPA file"),
        (lambda text: text.replace("\\end\\", ""), "KenLM cannot read it .*End of file"),
        (lambda text: re.sub(r"\t1\t", "\t9\t", text), "KenLM cannot read it .*Word 1 was not seen in the unigrams"),
        (lambda text: text.replace("-99\t<s>", "-99\t77"), "KenLM cannot read it .*missing <s>"),
        (lambda text: re.sub(r"ngram 2=\d+", "ngram 2=3", text), "KenLM cannot read it"),
    ],
)
def test_damaged_files_are_reported_in_one_line(
    change: Callable[[str], str], message: str, arpa: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "damaged.arpa"
    path.write_text(change(arpa.read_text(encoding="utf-8")))
    with pytest.raises(EchoError, match=message) as caught:
        load_language_model(path, TOKENIZER, normalize_basic)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert ".cc:" not in str(caught.value) and capfd.readouterr().err == ""


@needs_kenlm
def test_probabilities_of_nothing_are_small_numbers(arpa: Path, tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(re.sub(r"^-\S+(\t1\t)", r"-inf\1", arpa.read_text(encoding="utf-8"), flags=re.MULTILINE))
    scorer = load_language_model(path, TOKENIZER, normalize_basic)
    assert scorer.score(scorer.start(), [1])[0] > -math.inf
