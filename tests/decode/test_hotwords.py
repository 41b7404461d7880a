import itertools
import random
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.hotwords import Hotwords
from echo_asr.errors import EchoError
from echo_asr.text.normalize import normalize_basic, normalize_none
from echo_asr.text.tokenizer import Tokenizer

LETTERS = Tokenizer.train(["abcdefghijklmnopqrstuvwxyz '"])
PIECES = Tokenizer.train(["new york", "new yorker", "york", "a new day", "yorkshire new", "the new york"], "bpe", 40)


def hotwords(
    *phrases: str, tokenizer: Tokenizer = LETTERS, bonus: float = 1.0, normalize: Callable[[str], str] = normalize_basic
) -> Hotwords:
    return Hotwords(phrases, tokenizer, normalize, bonus)


def earned(found: Hotwords, tokens: list[int], end: bool = True) -> float:
    """What a text has earned, token by token."""
    state, total = found.start(), 0.0
    for token in [*tokens, 0] if end else tokens:
        row = found.row(state)
        assert row.shape == (found.size,) and row.dtype == torch.float64
        total += float(row[token])
        state = found.advance(state, token)
    return total


def covered(text: str, phrases: list[str]) -> int:
    """Characters of a text that lie in whole words of some phrase, by definition."""
    inside: set[int] = set()
    for phrase in phrases:
        for place in range(len(text) - len(phrase) + 1):
            after = place + len(phrase)
            whole = (place == 0 or text[place - 1] == " ") and (after == len(text) or text[after] == " ")
            if whole and text[place:after] == phrase:
                inside |= set(range(place, after))
    return len(inside)


@settings(max_examples=200, deadline=None)
@given(
    text=st.lists(st.sampled_from(["a", "b", "ab", "ba", "aa", "", "abab"]), max_size=12).map(" ".join),
    phrases=st.lists(
        st.lists(st.sampled_from(["a", "b", "ab", "ba", "aa"]), min_size=1, max_size=4).map(" ".join),
        min_size=1,
        max_size=5,
    ),
)
def test_a_finished_text_has_earned_each_letter_of_the_hotwords_in_it_once(text: str, phrases: list[str]) -> None:
    found = hotwords(*phrases, normalize=normalize_none, bonus=0.5)
    assert earned(found, LETTERS.encode(text)) == pytest.approx(0.5 * covered(text, phrases))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("the cat sat", 3),
        ("cat", 3),
        ("category", 0),
        ("concat", 0),
        ("cat cat cat", 9),
        ("cat's", 0),
        ("new york", 8),
        ("a new day", 0),
        ("a new york day", 8),
        ("new yorkshire", 0),
        ("in new new york", 8),
    ],
)
def test_whole_words_earn_and_parts_do_not(text: str, tokens: int) -> None:
    assert earned(hotwords("cat", "New York"), LETTERS.encode(text)) == tokens


def test_the_bonus_comes_token_by_token_and_is_taken_back_when_the_match_breaks() -> None:
    found = hotwords("cat", bonus=2.0)
    state, steps = found.start(), []
    for token in LETTERS.encode("a cat cab"):
        steps.append(float(found.row(state)[token]))
        state = found.advance(state, token)
    assert steps == [0, 0, 2, 2, 2, 0, 2, 2, -4]


def test_a_longer_hotword_takes_up_where_a_shorter_one_was_paid() -> None:
    found = hotwords("new", "new york", "york city")
    assert [earned(found, LETTERS.encode(t)) for t in ("new", "new y", "new york", "york", "new york city")] == [
        3, 3, 8, 0, 13,
    ]  # fmt: skip
    assert earned(found, LETTERS.encode("new york cit")) == 8


@pytest.mark.parametrize("text", ["york", "new york", "the new york", "a new york day", "york new york"])
def test_pieces_of_bpe_earn_at_the_start_of_a_text_and_in_it(text: str) -> None:
    found = hotwords("york", tokenizer=PIECES)
    tokens = PIECES.encode(text)
    parts = sum(len(PIECES.encode(w if i == 0 else f" {w}")) for i, w in enumerate(text.split()) if w == "york")
    assert len(tokens) < len(text), "there are pieces of several letters"
    assert earned(found, tokens) == parts > 0


@pytest.mark.parametrize("text", ["new yorker", "a yorkshire new", "new"])
def test_pieces_of_bpe_earn_nothing_within_a_word(text: str) -> None:
    assert earned(hotwords("york", tokenizer=PIECES), PIECES.encode(text)) == 0


def test_without_spaces_a_hotword_may_stand_anywhere() -> None:
    tokenizer = Tokenizer.train(["北京上海天安门我在"])
    found = hotwords("天安门", "北京", tokenizer=tokenizer)
    assert [earned(found, tokenizer.encode(t)) for t in ("我在北京", "北京天安门", "天安", "上天安门在", "北北京")] == [
        2, 5, 0, 3, 2,
    ]  # fmt: skip


@pytest.mark.parametrize("tokenizer", [LETTERS, PIECES], ids=["letters", "parts"])
def test_a_row_holds_what_each_token_brings(tokenizer: Tokenizer) -> None:
    found = hotwords("new", "new york", "york", "we", bonus=0.7, tokenizer=tokenizer)
    draw = random.Random(0)
    words = ["new", "york", "newyork", "we", "ne", "y"]
    for _ in range(60):
        text = " ".join(draw.choices([w for w in words if set(w) <= set("newyork")], k=draw.randint(0, 4)))
        state = found.start()
        for token in tokenizer.encode(text + draw.choice(["", " ", " n", "e"])):
            state = found.advance(state, token)
        expected = [0.7 * found.step(state, token)[0] for token in range(found.size)]
        assert found.row(state).tolist() == pytest.approx(expected)


def test_hotwords_pass_through_the_models_normaliser() -> None:
    assert earned(hotwords(" The CAT! "), LETTERS.encode("saw the cat")) == 7
    cased = Tokenizer.train(["Cat cat"])
    found = hotwords("Cat", tokenizer=cased, normalize=normalize_none)
    assert [earned(found, cased.encode(text)) for text in ("Cat", "cat")] == [3, 0]


@pytest.mark.parametrize(
    ("phrase", "message"),
    [
        ("!?", "decode.hotwords: nothing is left of '!\\?' once normalised; leave it out"),
        ("", "decode.hotwords: nothing is left of '' once normalised"),
        ("zoë", r"decode.hotwords: text 'zoë': the tokenizer has no symbol for 'ë' \(U\+00EB\)"),
    ],
)
def test_hotwords_that_cannot_be_written_are_reported(phrase: str, message: str) -> None:
    with pytest.raises(EchoError, match=message):
        hotwords("fine", phrase)


def test_a_thousand_hotwords() -> None:
    phrases = ["".join(letters) for letters in itertools.islice(itertools.product("abcdefgh", repeat=5), 1000)]
    found = hotwords(*phrases)
    assert "aahha" in phrases and "haaaa" not in phrases
    assert earned(found, LETTERS.encode("x aahha haaaa aahh aahha")) == 10
