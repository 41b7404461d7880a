"""Orthography profiles: their graphemes as symbols, split as the segments library splits."""

from __future__ import annotations

import os
import pickle
import random
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from echo_asr.errors import EchoError
from echo_asr.text.config import TextConfig
from echo_asr.text.profile import read_profile
from echo_asr.text.tokenizer import ZERO_SYMBOL, Tokenizer
from echo_asr.train.prepare import new_tokenizer

segments = pytest.importorskip("segments")

PROFILE = "Grapheme\tIPA\nkp\tk͡p\ngb\tɡ͡b\nng\tŋ\nngb\tŋ͡m͡ɡ͡b\nɔ̃́\tNULL\ná\tá\na\ta\n"
TEXTS = ["kpa ngá", "ngbɔ̃́ gba", "nga kɔ̃́", "akpa"]


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "profile.tsv"
    path.write_text(unicodedata.normalize("NFD", PROFILE), encoding="utf-8")
    return path


def split(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.symbols[number] for number in tokenizer.encode(text)]


def test_graphemes_are_those_of_the_file_composed(profile: Path) -> None:
    assert read_profile(profile) == ("kp", "gb", "ng", "ngb", "ɔ̃́", "á", "a")


def test_texts_are_split_into_graphemes_the_longest_first_and_into_characters_elsewhere(profile: Path) -> None:
    tokenizer = new_tokenizer(TEXTS, TextConfig(tokenizer=str(profile)))
    assert tokenizer.kind == "profile"
    assert tokenizer.symbols[0] == ZERO_SYMBOL and tokenizer.symbols[-5:] == ["gb", "kp", "ng", "ngb", "ɔ̃́"]
    assert set("".join(TEXTS)) | {" "} <= set(tokenizer.symbols)
    assert split(tokenizer, "kpa ngá") == ["kp", "a", " ", "ng", "á"]
    assert split(tokenizer, "ngbɔ̃́ gk") == ["ngb", "ɔ̃́", " ", "g", "k"]
    for many in (TEXTS, ["kpa", "", "ngb n"]):
        assert tokenizer.encode_many(many) == [tuple(tokenizer.encode(text)) for text in many]
        assert [tokenizer.decode(ids) for ids in tokenizer.encode_many(many)] == many
    with pytest.raises(EchoError, match="no symbol for 'x'"):
        tokenizer.encode_many(["kpa", "kpx"])


def test_graphemes_that_do_not_occur_are_no_symbols(profile: Path) -> None:
    tokenizer = Tokenizer.train(["ngb a", "kpa"], "profile", graphemes=read_profile(profile))
    assert tokenizer.symbols[-2:] == ["kp", "ngb"] and "gb" not in tokenizer.symbols


LETTERS = ["k", "p", "g", "b", "n", "a", "á", "ɔ", "ɔ̃", "ɔ̃́", "ʼ", ".", "(", "^", "\\", "|", "-", "]", "#", "*", "ŋ͡m"]


@given(
    graphemes=st.lists(st.lists(st.sampled_from(LETTERS), min_size=1, max_size=3).map("".join), max_size=8),
    words=st.lists(st.lists(st.sampled_from(LETTERS), max_size=8).map("".join), min_size=1, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_texts_are_split_as_by_segments(graphemes: list[str], words: list[str]) -> None:
    """With all letters in the profile, so that both have a symbol for everything."""
    several = sorted({unicodedata.normalize("NFC", one) for one in [*graphemes, *LETTERS, "kp"]})
    text = unicodedata.normalize("NFC", " ".join(["kp", *words]))
    tokenizer = Tokenizer.train([text], "profile", graphemes=several)
    apart = segments.Tokenizer(segments.Profile(*({"Grapheme": unicodedata.normalize("NFD", g)} for g in several)))
    try:
        expected = apart(unicodedata.normalize("NFD", text), errors="strict", segment_separator="\0", separator="\0 \0")
    except ValueError:  # a grapheme that ends before a mark on its last letter, which segments refuses
        reject()
    assert split(tokenizer, " ".join(text.split())) == unicodedata.normalize("NFC", expected).split("\0")
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_file_of_a_tokenizer_needs_no_profile(profile: Path, tmp_path: Path, monkeypatch) -> None:
    import tokenizers

    tokenizer = new_tokenizer(TEXTS, TextConfig(tokenizer=str(profile)))
    tokenizer.save(tmp_path / "tokenizer.json")
    profile.unlink()
    monkeypatch.setitem(sys.modules, "segments", None)
    for other in (Tokenizer.load(tmp_path / "tokenizer.json"), pickle.loads(pickle.dumps(tokenizer))):
        assert (other.kind, other.symbols) == ("profile", tokenizer.symbols)
        assert other.encode_many(TEXTS) == tokenizer.encode_many(TEXTS)
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert library.encode(TEXTS[1]).ids == tokenizer.encode(TEXTS[1])
    assert library.decode(tokenizer.encode(TEXTS[1])) == TEXTS[1]


def test_extending_keeps_graphemes_and_adds_characters(profile: Path, tmp_path: Path) -> None:
    old = new_tokenizer(TEXTS, TextConfig(tokenizer=str(profile)))
    new, mapping = old.extend(["tsa kpo"])
    assert new.symbols == [*old.symbols, "o", "s", "t"] and list(mapping) == list(mapping.values())
    assert split(new, "kpotsa") == ["kp", "o", "t", "s", "a"] and new.encode(TEXTS[0]) == old.encode(TEXTS[0])
    new.save(tmp_path / "tokenizer.json")
    assert Tokenizer.load(tmp_path / "tokenizer.json").encode("kpotsa") == new.encode("kpotsa")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Letter\tIPA\nkp\tx\n", "missing required columns.*columns separated by tabs, one of them Grapheme"),
        ("Grapheme,IPA\nkp,x\n", "missing required columns.*columns separated by tabs, one of them Grapheme"),
        ("Grapheme\nkp\n\nng\n", "Grapheme: required column value is missing.*a grapheme a line"),
        ("Grapheme\tIPA\nkp\tx\n\ty\n", "3.*required column value is missing"),
        ("Grapheme\nkp\nng\nkp\n", "line 4: 'kp' is on line 2 already; remove one"),
        ("Grapheme\n\u00e9\ne\u0301\n", "line 3: '\u00e9' is on line 2 already"),
        ("Grapheme\nkp\nn g\n", "line 3: expected a grapheme without spaces, got 'n g'"),
        ('Grapheme\n"kp\nng\n', "cannot read it"),
        ("Grapheme\tIPA\n", "the profile has no grapheme; write one a line below the header Grapheme"),
        ("", "the profile has no grapheme"),
        (b"\xff\xfe\x00", "cannot read it .*expected UTF-8"),
    ],
)
def test_what_is_no_profile(content: str | bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(EchoError, match=message) as caught:
        read_profile(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_a_missing_library(profile: Path, monkeypatch) -> None:
    with pytest.raises(EchoError, match="none.tsv: no such file; expected an orthography profile"):
        read_profile(profile.parent / "none.tsv")
    with pytest.raises(EchoError, match="cannot read it"):
        read_profile(profile.parent)
    monkeypatch.setitem(sys.modules, "segments", None)
    with pytest.raises(EchoError, match=r"profile.tsv: a profile needs segments.*pip install 'echo-asr\[profiles\]'"):
        read_profile(profile)


def test_rules_beside_a_profile_are_named(profile: Path) -> None:
    profile.with_suffix(".rules").write_text("a, b\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="profile.rules: rules of a profile are not applied"):
        read_profile(profile)


def test_the_profile_of_another_orthography(profile: Path) -> None:
    message = "none of the 5 graphemes of several characters is in the training texts; take the profile of this"
    with pytest.raises(EchoError, match=message):
        new_tokenizer(["hello there"], TextConfig(tokenizer=str(profile)))
    with pytest.raises(EchoError, match="the training texts have no character"):
        new_tokenizer([""], TextConfig(tokenizer=str(profile)))


def test_settings_take_paths_of_profiles() -> None:
    for name in ("a.tsv", f"b{os.sep}c.csv", "d.txt"):
        assert TextConfig(tokenizer=name).profile and not TextConfig(tokenizer=name).ready
    with pytest.raises(ValueError, match=r"orthography profile \(.tsv, .csv, .txt\), got 'word'"):
        TextConfig(tokenizer="word")


def test_a_large_profile_splits_much_text() -> None:
    draw = random.Random(0)
    graphemes = sorted({"".join(draw.choices("kpgbnmtsdaeiou", k=draw.choice((2, 3)))) for _ in range(400)})
    texts = [" ".join("".join(draw.choices("kpgbnmtsdaeiou", k=6)) for _ in range(8)) for _ in range(500)]
    tokenizer = Tokenizer.train(texts, "profile", graphemes=graphemes)
    assert [tokenizer.decode(ids) for ids in tokenizer.encode_many(texts)] == texts
