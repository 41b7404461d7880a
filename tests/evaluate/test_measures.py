import numpy as np
import pytest

from echo_asr.evaluate.measures import Measure, bases, is_tonal, measure_errors, tonal_share, tones


@pytest.mark.parametrize(
    ("text", "tone", "base"),
    [
        ("ni3 hao3", "3 3", "ni hao"),
        ("ni3hao3 ma", "3 3 0", "ni hao ma"),
        ("nü3 xi1'an1", "3 1 1", "nü xi an"),
        ("", "", ""),
        ("you're", "0", "you're"),
        ("7 up", "0", "up"),
    ],
)
def test_text_is_read_as_syllables(text: str, tone: str, base: str) -> None:
    assert (tones(text), bases(text)) == (tone, base)


@pytest.mark.parametrize(
    ("recognised", "word", "tone", "base"),
    [
        ("ni3 hao3", 0, 0, 0),
        ("ni2 hao3", 1, 1, 0),  # a wrong tone is no wrong base
        ("mi3 hao3", 1, 0, 1),  # and the other way round
        ("ni3", 1, 1, 1),
        ("ni hao3", 1, 1, 0),
        ("", 2, 2, 2),
    ],
)
def test_tones_and_bases_go_wrong_by_themselves(recognised: str, word: int, tone: int, base: int) -> None:
    for measure, expected in (("word", word), ("tone", tone), ("base", base)):
        errors, units = measure_errors(["ni3 hao3"], [recognised], measure)  # type: ignore[arg-type]
        assert (errors.tolist(), units.tolist()) == ([expected], [2]), measure


@pytest.mark.parametrize(("measure", "units"), [("word", 1), ("character", 7)])
def test_plain_measures_are_those_of_error_rate(measure: Measure, units: int) -> None:
    errors, found = measure_errors(["ni3hao3"], ["ni3hao2"], measure)
    assert errors.tolist() == [1] and found.tolist() == [units]


@pytest.mark.parametrize(
    ("spoken", "recognised", "runs"),
    [(0, 2, 0), (0, 3, 1), (1, 4, 0), (1, 5, 1), (4, 10, 0), (4, 11, 1)],
)
def test_a_runaway_says_more_than_twice_as_much_and_two_words(spoken: int, recognised: int, runs: int) -> None:
    errors, utterances = measure_errors(["a " * spoken, "b"], ["a " * recognised, "c"], "runaway")
    assert errors.tolist() == [runs, 0] and utterances.tolist() == [1, 1]


def test_only_texts_with_tones_are_tonal() -> None:
    assert is_tonal(["hello", "ni3"]) and not is_tonal(["hello", "7"])
    assert not is_tonal([]) and not is_tonal(["", "7"])
    assert tonal_share(["my mp3 is gone"]) == 0.25 and tonal_share(["ni3 hao3", "de"]) == pytest.approx(2 / 3)
    assert np.array_equal(measure_errors(["a"], ["b"], "tone")[0], [0])
