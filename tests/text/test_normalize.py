import pickle
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from echo_asr.text.config import TextConfig
from echo_asr.text.normalize import NORMALIZERS, is_blank, join_texts, make_normalizer

# Every code point that UTF-8 can carry: lone surrogates are no text.
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", "hello world"),
        ("one,two;three—four", "one two three four"),
        ("  tabs\tand\nlines\r\n  ", "tabs and lines"),
        ("Don't can’t DON‘T", "don't can't don't"),
        ("'tis the dogs' 'quoted' rock'n'roll", "tis the dogs quoted rock'n'roll"),
        ("a ' b '' c a''b", "a b c a b"),
        ("Ni3 hao3! lv4", "ni3 hao3 lv4"),
        ("ma˥ ma˧˥ xin cha\u0300o", "ma˥ ma˧˥ xin chào"),
        ("Straße ÉTÉ Ελλάς", "straße été ελλάς"),
        ("İYİ I\u0307 IĞDIR", "iyi i iğdir"),
        ("i\u0307\u0301 Į\u0307\u0303 J\u0307 ŻÓŁĆ q\u0307", "í į̃ j żółć q\u0307"),  # a dot on other letters stays
        ("STRASSE MASẞE", "strasse masße"),
        ("ΟΔΟΣ.ΑΒΣ, «ΣΑΣ»(Σ) ΑΣ'ΤΟ ΟΔΟΣ2", "οδος αβς σας σ ασ'το οδος2"),
        ("zero\u200bwidth soft\u00adhyphen \ufeffbom", "zerowidth softhyphen bom"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("今天，天气。好！", "今天 天气 好"),
        ("null\x00byte", "null byte"),
        ("¿?!", ""),
        ("", ""),
    ],
)
def test_basic_normalizer(text: str, expected: str) -> None:
    assert make_normalizer("basic")(text) == expected


@given(any_text)
@example("\u0130")  # its lower case is two characters
@example("ΑΣ.Σ'")  # the lower case of a sigma depends on what follows
@example("a\u00ad\u0301")  # what is removed stood between a letter and its accent
def test_basic_normalizer_is_idempotent_and_leaves_no_punctuation(text: str) -> None:
    normalize = make_normalizer("basic")
    once = normalize(text)
    assert normalize(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == once.strip() and "  " not in once
    assert not any(unicodedata.category(character)[0] == "P" for character in once if character != "'")


@given(
    st.text(st.sampled_from("iIİıjJįĮ\u0307\u0301\u0323\u0328\u0130Ii ΣσςaΑ'.’"), max_size=12),
    st.text("'-:!", max_size=2),
)
def test_no_dot_is_left_on_a_letter_that_has_one_and_no_sigma_stands_wrong(text: str, letters: str) -> None:
    normalize = make_normalizer("basic", letters)
    once = normalize(text)
    assert normalize(once) == once
    assert not re.search("[ij][\u0300-\u036f]*\u0307", unicodedata.normalize("NFD", once))
    assert not re.search("\u03c2['\u0300-\u036f]*[^\\W\\d_]", once)


@pytest.mark.parametrize(
    ("letters", "text", "expected"),
    [
        (":'", "Ka:ti wak' 'ena", "ka:ti wak' 'ena"),
        ("'", "wak’ ‘ena", "wak' 'ena"),  # typed as quotation marks
        ("‘’", "Wak’ ‘ena' 'na", "wak’ ‘ena na"),  # two letters, and no straight one
        ("-", "'kpa -kpa kpa ma-55 (x-)", "kpa -kpa kpa ma-55 x-"),
        ("!/", "!Ama //ama ama, #", "!ama //ama ama"),
        ("·", "col·lecció, més.", "col·lecció més"),
        ("ʼ", "kʼa", "kʼa"),  # which is one already
        (":", "it's 'so' a:'b", "it's so a:'b"),
    ],
)
def test_characters_that_a_person_names_are_letters(letters: str, text: str, expected: str) -> None:
    normalize = make_normalizer("basic", letters)
    assert normalize(text) == expected and normalize(expected) == expected
    assert pickle.loads(pickle.dumps(normalize))(text) == expected
    assert TextConfig(letters=letters).normalize(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ma35-21, ni3-hao3", "ma35-21 ni3 hao3"),
        ("ma³⁵-²¹ 10-15 mǎ:3-1", "ma³⁵-²¹ 10 15 mǎ 3 1"),
        ("n̩35\u201321 a\u02d05-1-2", "n̩35-21 a\u02d05-1 2"),
        ("\u02d7 -", "\u02d7"),
    ],
)
def test_a_hyphen_between_two_numbers_of_a_tone_stays(text: str, expected: str) -> None:
    normalize = make_normalizer("basic", tone_pairs=True)
    assert normalize(text) == expected == normalize(expected)
    assert make_normalizer("basic", ":", tone_pairs=True)("ka:3-1") == "ka:3-1"


@given(any_text)
def test_letters_change_nothing_of_texts_without_them(text: str) -> None:
    plain = "".join(c for c in text if c not in "-:!")
    assert make_normalizer("basic", "-:!")(plain) == make_normalizer("basic")(plain)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"letters": "a b"}, "text.letters must be characters without spaces between"),
        ({"letters": "\0"}, "text.letters must be characters without spaces between"),
        ({"letters": ":", "normalizer": "none"}, "text.letters goes with text.normalizer basic, got none"),
    ],
)
def test_letters_that_are_none(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextConfig(**wrong)


@pytest.mark.parametrize(
    ("text", "blank"), [("", True), (" \t\u00a0\u3000", True), ("\u200b\ufeff\u200c ", True), (".", False)]
)
def test_texts_in_which_nobody_sees_anything(text: str, blank: bool) -> None:
    assert is_blank(text) is blank


@given(any_text)
def test_basic_normalizer_does_not_tell_composed_from_decomposed(text: str) -> None:
    normalize = make_normalizer("basic")
    assert normalize(unicodedata.normalize("NFC", text)) == normalize(unicodedata.normalize("NFD", text))


@given(any_text)
def test_none_normalizer_changes_nothing(text: str) -> None:
    assert make_normalizer("none")(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He said [laughs] hello (um) there.", "he said hello there"),
        ("Uh, I won't, um, say hmm!", "i will not say"),
        ("I can't, we're, they'll, you've, I'm, he'd", "i can not we are they will you have i am he would"),
        ("It's been long; it 's fine", "it has been long it is fine"),
        ("Mr. Smith and Dr. Jones", "mister smith and doctor jones"),
        ("She's gonna and shoulda", "she is going to and should have"),
        ("1,000,000 people and a, b", "1000000 people and a b"),
        ("$3.50 is 20% of it. 3.14", "$3.50 is 20% of it 3.14"),
        ("$ 5 % . * # 100%!", "5 100%"),
        ("café naïve", "cafe naive"),
        ("Don’t", "do not"),
        ("ni3 hao3", "ni3 hao3"),
        ("", ""),
    ],
)
def test_whisper_normalizer(text: str, expected: str) -> None:
    assert make_normalizer("whisper")(text) == expected


@pytest.mark.parametrize("name", NORMALIZERS)
@given(text=any_text)
@settings(max_examples=30)
def test_normalizers_take_any_text_and_pickle(name: str, text: str) -> None:
    normalize = make_normalizer(name)
    assert pickle.loads(pickle.dumps(normalize))(text) == normalize(text)


def test_unknown_normalizer() -> None:
    with pytest.raises(ValueError, match="normalizer: expected one of basic, none, whisper, got 'english'"):
        make_normalizer("english")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], ""),
        (["ni3 hao3"], "ni3 hao3"),
        (["good morning", "", "all"], "good morning all"),
        (["\u4f60\u597d", "\u4e16\u754c\u3002", "\u597d"], "\u4f60\u597d\u4e16\u754c\u3002\u597d"),
        (["\u0e2a\u0e27\u0e31", "\u0e14\u0e35"], "\u0e2a\u0e27\u0e31\u0e14\u0e35"),  # Thai
        (["\u4f60\u597d", "hello", "\u4f60"], "\u4f60\u597d hello \u4f60"),
        (["\uc548\ub155", "\uc138\uacc4"], "\uc548\ub155 \uc138\uacc4"),  # Korean has spaces
    ],
)
def test_segments_are_joined_as_their_script_is_written(texts: list[str], expected: str) -> None:
    assert join_texts(texts) == expected
