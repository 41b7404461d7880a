"""Figures from the results of jobs."""

from __future__ import annotations

from typing import Any

import pytest

from echo_asr.research.study.plan import Endpoint
from echo_asr.research.study.results import _Scorer


@pytest.mark.parametrize(
    ("errors", "update"),
    [
        ({250: 70.0, 500: 40.0, 750: 20.0}, 625.0),  # half of the way from 40 to 20
        ({250: 70.0, 500: 31.0, 750: 27.0}, 562.5),
        ({250: 70.0, 500: 30.0, 750: 35.0}, 500.0),
        ({250: 70.0, 500: 20.0, 750: 35.0}, 450.0),  # the first time
        ({250: 29.0, 500: 20.0, 750: 10.0}, 250.0),  # earlier than it was looked at, by an unknown number of updates
        ({250: 70.0, 500: 40.0, 750: 30.1}, None),
        ({}, None),
    ],
)
def test_an_error_is_reached_between_two_validations(errors: dict[int, float], update: float | None) -> None:
    scorer: Any = object.__new__(_Scorer)
    scorer.updates = lambda arm, seed: list(errors)
    scorer.percent = lambda arm, seed, at, measure: errors[at]
    reached = scorer.reached("axis", 0, Endpoint("updates to 30 %", "word", reach=30))
    assert reached == (None if update is None else pytest.approx(update))
