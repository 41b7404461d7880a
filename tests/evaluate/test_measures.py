import pytest

from echo_asr.evaluate.measures import Measure, measure_errors
from echo_asr.text.tones import ToneNotation


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
        errors, units = measure_errors(["ni3 hao3"], [recognised], measure, ToneNotation("digits"))  # type: ignore[arg-type]
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


def test_tones_need_a_notation() -> None:
    with pytest.raises(ValueError, match="notation"):
        measure_errors(["ni3"], ["ni3"], "tone")
