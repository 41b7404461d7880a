import pytest

from echo_asr.data.corpus import Utterance
from echo_asr.data.excluded import apply_conventions
from echo_asr.errors import EchoError
from echo_asr.text.conventions import Conventions

RULES = Conventions({"[...]": "event", "xxx": "exclude", "(...)": "keep"})


def rows(*texts: str) -> list[Utterance]:
    return [Utterance(str(n), f"{n}.wav", text, "", "train", 1.0) for n, text in enumerate(texts)]  # type: ignore[arg-type]


def test_what_is_excluded_is_left_out_and_every_mark_counted() -> None:
    found = apply_conventions("c", rows("a [cough] b", "xxx", "(a) [laugh] (b)", "a"), RULES)
    assert [u.id for u in found.utterances] == ["0", "2", "3"] and found.excluded == 1
    assert found.counts == {"[...]": 2, "xxx": 1, "(...)": 2}
    assert found.utterances[0].text == "a [cough] b", "texts are changed by the normaliser alone"
    assert str(found) == (
        "conventions: [...] 2 (an event), xxx 1 (left out), (...) 2 (kept); 1 of 4 utterances are left out"
    )


def test_no_conventions_leave_all() -> None:
    found = apply_conventions("c", rows("xxx", "[a]"), Conventions())
    assert len(found.utterances) == 2 and found.excluded == 0


def test_nothing_left_is_an_error_that_names_the_marks() -> None:
    with pytest.raises(EchoError, match=r"c: text.conventions leave out all 2 utterances \(xxx\); change them"):
        apply_conventions("c", rows("xxx", "a xxx"), RULES)
