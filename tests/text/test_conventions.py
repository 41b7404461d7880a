"""Marks of transcribers."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.text.conventions import EVENT, Conventions, as_setting, find_marks

# Texts as field workers write them, with what is meant by each mark.
TEXTS = (
    "ta˧ mi˥ ko˩", "ta˧ <mi˥> ko˩", "[cough] ta˧ mi˥", "əəə… mi˥ ko˩", "ko- ko˩ ta˧", "(xxx) mi˥", "*** ",
    "ta˧ {le marché} mi˥", "mi˥ | ta˧ | ko˩", "ta˧ mi˥ (?)", "⟨laugh⟩",
)  # fmt: skip
RULES = {
    "<...>": "keep", "[...]": "event", "word…": "drop", "word-": "drop", "(xxx)": "exclude", "***": "exclude",
    "{...}": "drop", "|": "break", "(?)": "break", "⟨...⟩": "event",
}  # fmt: skip


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


def test_marks_are_found_and_the_proposed_rules_leave_none() -> None:
    found = find_marks(TEXTS)
    assert {one.mark: one.proposed for one in found} == {**RULES, "word…": "keep", "{...}": "keep"}
    assert all(one.examples and one.why for one in found)
    pasted = yaml.safe_load(as_setting(found))["text"]["conventions"]
    assert find_marks(TEXTS, Conventions(pasted)) == []
    assert [find_marks([text for text in TEXTS * 50])[0].count] == [100]  # a frequent mark is a mark, too


@pytest.mark.parametrize(
    "text", ["ni3 hao3", "it's a well-known 3/4 time", "ka:ti !ama", "what? yes, no. 'so'", "5 * 3", ""]
)
def test_ordinary_writing_holds_no_marks(text: str) -> None:
    assert [one for one in find_marks([text]) if one.mark != "*"] == []


WORDS = ["ta", "[cough]", "ko-", "(xxx)", "|", "<mi>", "((so))", "…", "***", "{a b}"]


@given(st.lists(st.sampled_from(WORDS), max_size=8))
def test_what_the_proposed_rules_leave_is_left_by_them_again(words: list[str]) -> None:
    text = " ".join(words)
    proposed = Conventions({one.mark: one.proposed for one in find_marks([text])})
    assert find_marks([text], proposed) == []
    assert proposed(proposed(text)) == proposed(text)


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
