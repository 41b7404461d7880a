"""Tables of a study."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from echo_asr.research.compare import compare_errors
from echo_asr.research.study.results import Row, sentence
from echo_asr.research.study.tables import Findings, overviews, value_table


def row(arm: str, condition: str, endpoint: str, mean: float | None, against: str = "", unit: str = "%") -> Row:
    return Row(condition, endpoint, unit, arm, (0,), (mean,), mean, against)


def findings(*rows: Row) -> Findings:
    study: Any = SimpleNamespace(primary="word error")
    return Findings(study, list(rows), [], [], [], {}, [])


def test_arms_by_conditions_at_a_glance_a_table_an_endpoint_the_primary_one_first() -> None:
    found = overviews(
        findings(
            row("static", "quiet", "updates to 20 %", None, unit="updates"),
            row("axis", "quiet", "updates to 20 %", 400.0, unit="updates"),
            row("static", "quiet", "word error", 20.0),
            row("axis", "quiet", "word error", 10.0, against="static"),
            row("axis", "quiet", "word error", 10.0, against="another"),
            row("static", "in noise", "word error", 30.0),
        )
    )
    words = (("arm", "quiet", "in noise"), [("static", "20.00 %", "30.00 %"), ("axis", "10.00 %", "")])
    updates = (("arm", "quiet"), [("static", "not reached"), ("axis", "400 updates")])
    assert found == [("word error", words), ("updates to 20 %", updates)]


def test_under_one_condition_arms_by_endpoints() -> None:
    rows = [row("static", "quiet", "tone error", 5.0), row("static", "quiet", "word error", 20.0)]
    assert overviews(findings(*rows)) == [
        ("all endpoints", (("arm", "word error", "tone error"), [("static", "20.00 %", "5.00 %")]))
    ]
    assert overviews(findings()) == []


def test_a_difference_without_an_interval_is_shown_as_one() -> None:
    found = compare_errors(np.ones((3, 4)), np.zeros((3, 4)), np.ones(4), range(4))
    compared = Row("as recorded", "word error", "%", "axis", (0, 1, 2), (100.0,) * 3, 100.0, "static", found)
    assert value_table([compared])[1][0][4:] == ("+100.00 (no interval)", "", "", "")
    assert "no verdict by word error: one seed, or results that all differ alike, give no interval" in sentence(
        compared, None
    )
