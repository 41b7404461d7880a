import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.evaluate.intervals import rate_interval
from echo_asr.evaluate.metrics import ErrorRate, count_errors, error_rate

texts = st.lists(st.sampled_from(["a", "b", "cc", "d"]), max_size=6).map(" ".join)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=6)


def edit_distance(left: list[str], right: list[str]) -> int:
    """Levenshtein's distance by the textbook recurrence."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        ("a b c", "a b c", (0, 0, 0, 3)),
        ("a b c", "a c", (0, 1, 0, 3)),
        ("a c", "a b c", (1, 0, 0, 2)),
        ("a b c", "a x c", (0, 0, 1, 3)),
        ("a b c", "", (0, 3, 0, 3)),
        ("a b", "x y z", (1, 0, 2, 2)),
        ("", "x y", (2, 0, 0, 0)),
        ("", "", (0, 0, 0, 0)),
    ],
)
def test_the_three_kinds_of_error(reference: str, hypothesis: str, counts: tuple[int, ...]) -> None:
    rate = error_rate([reference], [hypothesis])
    assert (rate.insertions, rate.deletions, rate.substitutions, rate.reference) == counts
    assert rate.errors == sum(counts[:3])


@pytest.mark.parametrize("unit", ["word", "character"])
@given(pairs=pairs)
@settings(max_examples=60, deadline=None)
def test_errors_are_the_edit_distance(unit: str, pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = zip(*pairs, strict=True)
    rate = error_rate(references, hypotheses, unit)
    split = str.split if unit == "word" else list
    left, right = [split(text) for text in references], [split(text) for text in hypotheses]
    assert rate.errors == sum(map(edit_distance, left, right))
    assert rate.reference == sum(map(len, left))
    assert rate.reference + rate.insertions - rate.deletions == sum(map(len, right))
    if rate.reference:
        assert rate.percent == pytest.approx(100 * rate.errors / rate.reference)


def test_utterances_are_weighed_by_their_length() -> None:
    rate = error_rate(["a b c d e f g h i", "x"], ["a b c d e f g h i", "y"])
    assert rate.percent == pytest.approx(10.0)


def test_characters_count_spaces() -> None:
    rate = error_rate(["ab cd"], ["abcd"], "character")
    assert (rate.deletions, rate.reference, rate.percent) == (1, 5, 20.0)


@pytest.mark.parametrize("unit", ["word", "character"])
def test_the_amount_of_whitespace_does_not_count(unit: str) -> None:
    assert error_rate(["  a \t b\n"], ["a b "], unit).errors == 0


def test_texts_are_compared_as_they_come() -> None:
    assert error_rate(["Hello, you"], ["hello you"]).substitutions == 1


def test_empty_references_count_insertions() -> None:
    rate = error_rate(["a b c d", "", ""], ["a b c d", "x", ""])
    assert (rate.insertions, rate.percent) == (1, 25.0)


def test_without_any_reference_unit() -> None:
    silent = error_rate(["", ""], ["", ""])
    assert (silent.percent, silent.ci95) == (0.0, (0.0, 100.0))
    recognised = error_rate(["", ""], ["x y z", ""])
    assert (recognised.percent, recognised.insertions, recognised.reference) == (100.0, 3, 0)
    assert recognised.ci95 == (0.0, 100.0)


@pytest.mark.parametrize("unit", ["word", "character"])
def test_the_interval_is_that_of_the_counts_in_percent(unit: str) -> None:
    references, hypotheses = ["a b", "c", "", "d e f"], ["a x y", "c", "z", "d f"]
    rate = error_rate(references, hypotheses, unit)
    counts = count_errors(references, hypotheses, unit)
    low, high = rate_interval(counts[:, :3].sum(1), counts[:, 0], counts[:, 3])
    assert rate.ci95 == pytest.approx((100 * low, 100 * high))
    assert rate.ci95[0] < rate.percent < rate.ci95[1]


def test_no_error_is_not_certainty() -> None:
    rate = error_rate(["a"] * 299, ["a"] * 299)
    assert rate.ci95[0] == 0.0 and rate.ci95[1] == pytest.approx(1.0, abs=0.03)


def test_words_of_one_utterance_err_together() -> None:
    # The same 100 errors of 400, once scattered over single words, once in utterances wrong from end to end.
    scattered = error_rate(["a"] * 400, ["b"] * 100 + ["a"] * 300)
    clumped = error_rate(["a " * 20] * 20, ["b " * 20] * 5 + ["a " * 20] * 15)
    assert scattered.percent == clumped.percent == 25.0
    assert np.ptp(clumped.ci95) > 3 * np.ptp(scattered.ci95)


def test_to_dict_is_json_with_the_fields_of_an_evaluation() -> None:
    rate = error_rate(["a b c", "d"], ["a x c", "d e"])
    content = json.loads(json.dumps(rate.to_dict()))
    assert list(content) == ["percent", "insertions", "deletions", "substitutions", "reference", "ci95"]
    assert content["percent"] == 50.0 and content["ci95"] == list(rate.ci95)


def test_the_rate_in_words() -> None:
    rate = ErrorRate(12.5, 1, 2, 3, 48, (8.0, 17.25))
    assert str(rate) == "12.50 % (8.00 to 17.25; 1 ins, 2 del, 3 sub of 48)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a"], ["a", "b"]), "hypotheses: expected 1, one a reference, got 2"),
        (([], []), "references: expected at least one utterance, got none"),
        ((["a"], ["a"], "phone"), "unit: expected word or character, got 'phone'"),
    ],
)
def test_wrong_arguments(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        error_rate(*arguments)
