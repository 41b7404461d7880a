import pickle
from typing import Any

import pytest

from echo_asr.text.config import TextConfig


def test_tones_are_found_in_raw_texts_whatever_the_normaliser() -> None:
    texts = ["Ma\u02e7\u02e5, ma\u02e5!", "li\u02e9 [ma\u02e5]"] * 20
    for normalizer in ("basic", "none", "whisper"):
        found, how = TextConfig(normalizer=normalizer).find_tones(texts)  # type: ignore[arg-type]
        assert found.tones == "chao_letters" and found.notation is not None and how is not None
        assert found.notation.syllables("ma\u02e7\u02e5")[0].tone == "\u02e7\u02e5"
        assert found.normalizer == normalizer
    again, how = found.find_tones(["x1 y2"])
    assert again == found and how is None, "what is set stays"


def test_tones_that_are_named_or_none_are_not_looked_for() -> None:
    assert TextConfig(tones="none").find_tones(["ma3 ma1"]) == (TextConfig(tones="none"), None)
    assert TextConfig(tones="none").notation is None and TextConfig().notation is None
    settled, found = TextConfig().find_tones(["hello mp3 world"])
    assert settled == TextConfig() and found is not None and found.notation is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tone_marks": "b"}, "text.tone_marks needs text.tones"),
        ({"tones": "letters"}, "name the letters that write tone"),
        ({"conventions": {"[...]": "eat"}}, "expected one of keep, drop, event, break, exclude; got 'eat'"),
        ({"conventions": {"...": "drop"}}, "name a mark, such as"),
        ({"conventions": {"[...]": "event"}, "normalizer": "whisper"}, "removes the symbol of an event"),
    ],
)
def test_wrong_settings_of_texts_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextConfig(**wrong)


def test_conventions_come_before_the_normaliser_and_can_be_pickled() -> None:
    normalize = TextConfig(conventions={"[...]": "event", "word-": "drop", "<...>": "keep"}).normalize
    assert normalize("Ko- KONA <mi> [cough], ja.") == "kona mi \u25c6 ja"
    assert pickle.loads(pickle.dumps(normalize))("ko- a") == "a"


def test_signs_that_write_tone_stay_in_normalised_texts() -> None:
    text = TextConfig(tones="letters", tone_marks="-'=j")
    assert text.normalize("-Kpa' =zo, dit-il: poj!") == "-kpa' =zo dit-il poj"
    assert text.word_signs == "'-=" and TextConfig(letters=":").word_signs == ":"
    assert not text.lost_signs(["-kpa' =zo"])
