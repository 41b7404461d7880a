import pytest

from echo_asr.evaluate.collapse import find_collapse

WORDS = [f"word {number}" for number in range(40)]


@pytest.mark.parametrize(
    ("references", "hypotheses", "expected"),
    [
        (WORDS, WORDS, None),
        (WORDS, ["a"] * 40, "the same text, 'a', for all 40 recordings with speech"),
        (WORDS, [""] * 40, "nothing for all 40 recordings"),
        (WORDS, ["a"] * 37 + WORDS[:3], "the same text, 'a', for 37 of 40"),
        (WORDS, [" "] * 38 + WORDS[:2], "nothing for 38 of 40"),
        (WORDS, ["a"] * 36 + WORDS[:4], None),
        (WORDS[:3], ["a", "a ", " a"], "the same text, 'a', for all 3"),
        (["a", "b", "c", ""], ["a", "a", "a", ""], "for all 3 recordings"),
        (["a", "b", "a"], ["a", "a", "a"], None),
        (["a"] * 40, ["a"] * 40, None),  # one text was spoken
        (["a"] * 39 + ["b"], ["a"] * 40, None),
        (["a"], [""], "nothing for all 1"),
        ([""] * 5, [""] * 5, None),
        (["", "", "a"], ["", "", "b"], None),
        ([], [], None),
        (WORDS, ["x" * 200] * 40, "'" + "x" * 39 + "\u2026'"),
    ],
)
def test_a_model_that_does_not_listen_is_found(
    references: list[str], hypotheses: list[str], expected: str | None
) -> None:
    found = find_collapse(references, hypotheses)
    assert (found is None) == (expected is None)
    assert expected is None or expected in (found or "")
