"""Marks of transcribers."""

from __future__ import annotations

import pytest

from echo_asr.text.conventions import EVENT, Conventions
from tests.helpers.transcribed import RULES, TEXTS


def test_each_mark_does_what_its_convention_says() -> None:
    conventions = Conventions(RULES)  # type: ignore[arg-type]
    found = [conventions.apply(text) for text in TEXTS]
    assert [one.text for one in found] == [
        "ta˧ mi˥ ko˩", "ta˧ mi˥ ko˩", f"{EVENT} ta˧ mi˥", "mi˥ ko˩", "ko˩ ta˧", "mi˥", "", "ta˧ mi˥", "mi˥ ta˧ ko˩",
        "ta˧ mi˥", EVENT,
    ]  # fmt: skip
    assert [n for n, one in enumerate(found) if one.excluded] == [5, 6]
    counts = {mark: sum(one.counts[mark] for one in found) for mark in RULES}
    assert counts == {**dict.fromkeys(RULES, 1), "|": 2}


@pytest.mark.parametrize(
    ("rules", "text", "left"),
    [
        ({"[...]": "event"}, "mi[cough]to", f"mi {EVENT} to"),
        ({"[...]": "keep"}, "(mi [a [b] c]", "(mi a b c"),  # brackets within brackets
        ({"(...)": "keep"}, "(mi)to (?)", "mito"),
        ({"(...)": "keep", "(xxx)": "exclude"}, "(XXX) (mi)", "mi"),
        ({"((...))": "event", "(...)": "keep"}, "((laughs)) (mi)", f"{EVENT} mi"),
        ({"[]": "exclude", "[...]": "keep"}, "[...] [\u2026] [ ] [mi]", "mi"),
        ({"(0.0)": "break"}, "(0.5) mi (.3) to(2 s)ko (1987)", "mi to ko (1987)"),
        ({"word-": "drop"}, "ko- ko, well-known ko-, (ko-) -ko", "ko, well-known , ) -ko"),
        ({"word-": "keep"}, "ko-- ko", "ko ko"),
        ({"word...": "keep", "word\u2026": "keep"}, "so... mi\u2026 ...", "so mi ..."),
        ({"&=word": "event", "&word": "drop"}, "&=laughs mi &uh", f"{EVENT} mi"),
        ({"word@s": "keep"}, "casa@s casas@s casa@sp", "casa casas casa@sp"),
        ({"uh": "drop"}, "Uh, uh-huh uhu u\u0301h \u00fch mi uh", ", uh-huh uhu u\u0301h \u00fch mi"),
        ({"=": "drop"}, "mi=to = ko", "mito ko"),
        ({"_": "break"}, "mi_to", "mi to"),
        ({"***": "exclude", "*...*": "keep"}, "***** *so mi* 2*3*4", "so mi 2*3*4"),
        ({"|": "break"}, "mi || to|ko", "mi to ko"),
        ({"xxx": "drop"}, "xxx mi XXX\u02e5 axxx xxx.", "mi XXX\u02e5 axxx ."),
    ],
)  # fmt: skip
def test_marks_that_touch_words(rules: dict[str, str], text: str, left: str) -> None:
    assert Conventions(rules)(text) == left  # type: ignore[arg-type]


def test_without_conventions_a_text_stays_as_it_is() -> None:
    assert Conventions()("a  [b]") == "a  [b]" and not Conventions()


@pytest.mark.parametrize(
    ("rules", "message"),
    [({"[...]": "remove"}, "expected one of keep, drop, event, break, exclude; got 'remove'"),
     ({"": "keep"}, "name a mark"), ({"word": "keep"}, "name a mark"), ({"...": "keep"}, "name a mark")],
)  # fmt: skip
def test_conventions_that_mean_nothing_are_refused(rules: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Conventions(rules)  # type: ignore[arg-type]
