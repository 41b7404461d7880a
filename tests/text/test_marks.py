"""Marks of transcribers are found, and what is proposed for them leaves clean words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.config import read_yaml
from echo_asr.text.config import TextConfig
from echo_asr.text.conventions import EVENT, Conventions
from echo_asr.text.marks import as_setting, find_marks, marks_that_matter, proposed_conventions
from echo_asr.text.normalize import normalize_basic, normalize_none
from echo_asr.train.recipe import read_config
from tests.helpers.transcribed import RULES, TEXTS

# A text, the marks and what is proposed for each, and what is left; None where the utterance is left out. Conventions:
# CHAT (MacWhinney 2000), GAT 2 (Selting et al. 2009), DT (Du Bois et al. 1993), Jefferson 2004, Buckeye (Pitt et al.
# 2007), Switchboard, LDC, and field notes.
KINDS: tuple[tuple[str, dict[str, str], str | None], ...] = (
    ("ta <mi> ko", {"<...>": "keep"}, "ta mi ko"),
    ("[cough] ta mi[Cough]", {"[...]": "event"}, f"{EVENT} ta mi {EVENT}"),
    ("[cough] [ta] mi", {"[cough]": "event", "[...]": "keep"}, f"{EVENT} ta mi"),
    ("[noise] mi <LAUGH>", {"[...]": "event", "<...>": "event"}, f"{EVENT} mi {EVENT}"),
    ("((laughs)) mi ((to))", {"((laughs))": "event", "((...))": "keep"}, f"{EVENT} mi to"),
    ("（笑） 你 好", {"（...）": "event"}, f"{EVENT} 你 好"),
    ("(mi)to ko", {"(...)": "keep"}, "mito ko"),
    ("ta {le marché} mi", {"{...}": "keep"}, "ta le marché mi"),
    ("/mi to/ ko", {"/.../": "keep"}, "mi to ko"),
    ("*name* mi", {"*...*": "keep"}, "name mi"),
    ("<X mi X> to", {"<X...X>": "keep"}, "mi to"),
    ("<laugh>mi to</laugh>", {"<...>": "event", "</...>": "drop"}, f"{EVENT} mi to"),
    ("mi [= a note] to [: other]", {"[=...]": "drop", "[:...]": "drop"}, "mi to"),
    ("(xxx) mi", {"(xxx)": "exclude"}, None),
    ("mi xxx, XXX", {"xxx": "exclude"}, None),
    ("yyy www", {"yyy": "exclude", "www": "exclude"}, None),
    ("***", {"***": "exclude"}, None),
    ("mi ___ to", {"___": "exclude"}, None),
    ("ta ??? mi", {"???": "exclude"}, None),
    ("[...] mi", {"[]": "exclude"}, None),
    ("mi (   ) to", {"()": "exclude"}, None),
    ("<unk> mi", {"<unk>": "exclude"}, None),
    ("[unintelligible] mi (inaudible)", {"[unintelligible]": "exclude", "(inaudible)": "exclude"}, None),
    ("[?]", {"[?]": "exclude"}, None),
    ("mi [?] to(?) ko", {"[?]": "break", "(?)": "break"}, "mi to ko"),
    ("(.) mi (..) to (...) ko", {"(.)": "break", "(..)": "break", "()": "break"}, "mi to ko"),
    ("(0.5) mi (1.25) to (.3) ko", {"(0.0)": "break"}, "mi to ko"),
    ("mi <SIL> to [pause]", {"<sil>": "break", "[pause]": "break"}, "mi to"),
    ("mi # to ## ko", {"#": "break"}, "mi to ko"),
    ("mi / to // ko/", {"/": "break"}, "mi to ko"),
    ("mi | to || ko ‖", {"|": "break", "‖": "break"}, "mi to ko"),
    ("mi [/] mi [//] to", {"[/]": "break", "[//]": "break"}, "mi mi to"),
    ("mi +/. to", {"+/.": "break"}, "mi to"),
    ("mi → to ↑ko", {"→": "break", "↑": "break"}, "mi to ko"),
    ("mi_to ko", {"_": "break"}, "mi to ko"),
    ("mi=to ko", {"=": "drop"}, "mito ko"),
    ("mi~mi", {"~": "drop"}, "mimi"),
    ("ko- ko, to– mi", {"word-": "drop", "word–": "drop"}, "ko, mi"),
    ("(ko- mi) ta", {"(...)": "keep", "word-": "drop"}, "mi ta"),
    ("th[is]- mi", {"[...]": "keep", "word-": "drop"}, "mi"),
    ("uh mi Uh, hmm euh to", {"uh": "drop", "hmm": "drop", "euh": "drop"}, "mi , to"),
    ("əəə… mi əəəə e::", {"əəə…": "drop", "əəəə": "drop", "e::": "drop"}, "mi"),
    ("&=laughs mi", {"&=word": "event"}, f"{EVENT} mi"),
    ("&-uh mi &+fr &um", {"&-word": "drop", "&+word": "drop", "&word": "drop"}, "mi"),
    ("%hes mi", {"%word": "drop"}, "mi"),
    ("@@@ mi @ to", {"@": "event"}, f"{EVENT} mi {EVENT} to"),
    ("casa@s mi ta@s:fra", {"word@s": "keep", "word@s:fra": "keep"}, "casa mi ta"),
    ("mi... to…", {"word...": "keep", "word…": "keep"}, "mi to"),
    ("mi (ta", {"(": "drop"}, "mi ta"),
    ("ta) mi", {")": "drop"}, "ta mi"),
    ("-mi ta", {"-word": "keep"}, "mi ta"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "proposed", "left"), KINDS, ids=[text for text, _, _ in KINDS])
def test_kinds_of_marks(text: str, proposed: dict[str, str], left: str | None) -> None:
    found = find_marks([text])
    assert {one.mark: one.proposed for one in found} == proposed
    rules = proposed_conventions(found)
    applied = rules.apply(text)
    assert (None if applied.excluded else applied.text) == left
    assert applied.counts == {one.mark: one.count for one in found}
    assert find_marks([text], rules) == []


PROSE = (
    "It's a well-known fact — he said: \"so what?\" No. 5; 10% of $5, and/or 24/7, U.S. dogs' rock-'n'-roll, C++",
    "« Bonjour ! » dit-il ; quoi ? c'est-à-dire l'eau – y a-t-il ? — Oui. - Non !",
    "Ina kwana? 'Yan makaranta sun zo, ƙasa da ɓera; ts'aka. Lafiya lau!",
    "Tôi là người Việt Nam, xe-máy; đi học ở đâu?",
    "wǒ shì zhōngguó rén, nǐ hǎo ma? Xī'ān; nǚ'ér.",
    "ni3 hao3, wo3 shi4 zhong1guo2ren2. ma35-21",
    "今天，天气。好！「你好」",
    "यह ठीक है। क्या?",
    "Ein- und Ausgang, pre- and post-war; er hat es ihm gegeben, um zu gehen",
    "Ela comprou um livro; o que ???",
    "kʰv\u0329˧ʂɯ˥ bi¹ka¹ !ama ka:ti 'kpa ǂama AT&T & co.",
    "what? yes, no. 'so'", "5 * 3", "",
)  # fmt: skip


@pytest.mark.parametrize("text", PROSE)
def test_ordinary_writing_holds_no_marks(text: str) -> None:
    assert [one.mark for one in find_marks([text]) if one.mark != "*"] == []


def test_texts_of_a_field_worker_become_clean_with_the_pasted_proposal(tmp_path: Path) -> None:
    found = find_marks(TEXTS)
    expected = {mark: action for mark, action in RULES.items() if mark != "word…"}
    assert {one.mark: one.proposed for one in found} == {
        **expected,
        "əəə…": "drop",
        "{...}": "keep",
    }
    assert all(one.count == (2 if one.mark == "|" else 1) and one.examples and one.why for one in found)
    (tmp_path / "my.yaml").write_text(as_setting(found), encoding="utf-8")
    text = read_config(tmp_path / "my.yaml")["text"]
    assert find_marks(TEXTS, Conventions(text.conventions)) == []
    assert [find_marks(TEXTS * 50)[0].count] == [100]  # a frequent mark is a mark, too


def test_a_setting_holds_the_conventions_there_are(tmp_path: Path) -> None:
    own = Conventions({"it's": "keep", "[...]": "drop"})
    (tmp_path / "my.yaml").write_text(as_setting(find_marks(["mi # to"], own), own), encoding="utf-8")
    assert read_yaml(tmp_path / "my.yaml") == {"text": {"conventions": {"it's": "keep", "[...]": "drop", "#": "break"}}}


def test_what_is_named_is_no_longer_reported_even_if_it_stays() -> None:
    assert find_marks(["uh mi"], Conventions({"uh": "keep"})) == []
    assert [one.mark for one in find_marks(["uh mi [b]"], Conventions({"[...]": "keep"}))] == ["uh"]


def test_letters_are_no_marks_and_a_common_sign_at_words_may_be_one() -> None:
    assert find_marks(["-kpa |xam"], letters="-|") == []
    texts = ["-kpa ta gbe -la mi"] * 8
    (found,) = find_marks(texts)
    assert (
        found.mark == "-word"
        and found.letter
        and "if - is a letter, name it in text.letters, if a tone, in text.tone_marks; else" in str(found)
    )
    assert proposed_conventions([found]).actions == {} and as_setting([found]).startswith("    # '-word': keep")


def test_a_sign_before_words_may_be_a_click() -> None:
    (found,) = find_marks(["//ama ta"])
    assert (found.mark, found.proposed) == ("/", "break") and "if it is a click, name / in text.letters" in found.why


def test_a_mark_in_most_texts_excludes_none() -> None:
    assert [one.proposed for one in find_marks(["mi xxx", "mi"] * 10)] == ["exclude"]
    assert [one.proposed for one in find_marks(["mi xxx"] * 20)] == ["break"]


def test_marks_matter_where_normalising_alone_leaves_something_else() -> None:
    found = find_marks(["so... (yes) mi [cough] xxx uh"])
    assert [one.mark for one in marks_that_matter(found, normalize_basic)] == ["[...]", "xxx", "uh"]
    assert len(marks_that_matter(found, normalize_none)) == 5


def test_long_texts_are_shown_around_the_mark() -> None:
    (found,) = find_marks(["ta " * 50 + "[cough]" + " mi" * 50])
    assert "[cough]" in str(found) and len(str(found)) < 160 and str(found).startswith("[...] 1 time ('... ta ta")


@settings(max_examples=40)
@given(st.lists(st.sampled_from([*(text for text, _, _ in KINDS), *PROSE]), max_size=4))
def test_what_the_proposed_rules_leave_is_left_by_them_again(texts: list[str]) -> None:
    text = " ".join(texts)
    proposed = proposed_conventions(find_marks([text]))
    assert find_marks([text], proposed) == []
    assert proposed(proposed(text)) == proposed(text)
    assert TextConfig(conventions=dict(proposed.actions)).normalize(text) == normalize_basic(proposed(text))


@given(st.text(st.sampled_from("ab x-….()[]{}<>*/=_#|&@%~+?!'0,"), max_size=30))
def test_any_text_is_cleaned_and_its_marks_are_counted(text: str) -> None:
    rules = proposed_conventions(find_marks([text]))
    applied = rules.apply(text)
    assert applied.text == " ".join(applied.text.split()) or not rules
    assert Conventions(dict(rules.actions)).apply(text) == applied
