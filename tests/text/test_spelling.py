import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.text.normalize import normalize_basic
from echo_asr.text.spelling import join_words, written_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Xin chào, bạn!", [("Xin", "xin"), ("chào,", "chào"), ("bạn!", "bạn")]),
        ("well - no", [("well", "well"), ("-", ""), ("no", "no")]),
        ("one,two", [("one,two", "one two")]),
        ("他说：好。", [("他", "他"), ("说：", "说"), ("好。", "好")]),
        ("", []),
    ],
)
def test_words_stand_beside_their_normalised_forms(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(word.written, word.normal) for word in written_words(text, normalize_basic)] == expected


@given(st.text(st.sampled_from("aB 你，.-\u00e9"), max_size=20))
def test_joined_words_are_the_text(text: str) -> None:
    words = written_words(text, normalize_basic)
    assert join_words(words) == " ".join(text.split())
    assert " ".join(" ".join(w.normal for w in words).split()).replace(" ", "") == normalize_basic(text).replace(
        " ", ""
    )
