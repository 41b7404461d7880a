"""Grammars as people write them: files, definitions, limits, and a line for every mistake."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.errors import EchoError
from echo_asr.text.grammar import Grammar
from echo_asr.text.grammar.accepted import AcceptedSentences
from echo_asr.text.grammar.report import make_report
from echo_asr.text.grammar.respelling import respell
from echo_asr.text.normalize import make_normalizer, normalize_basic


def accepted(*lines: str, **options: object) -> AcceptedSentences:
    return AcceptedSentences(Grammar.of(lines), normalize_basic, **options)  # type: ignore[arg-type]


def texts(sentences: AcceptedSentences) -> set[str]:
    return {"".join(sentence) for sentence in sentences.automata.sentences(sentences.start)}


GRAMMAR = """\
# rooms
language = en
{room} = kitchen | living room | (bath room):bathroom

<please> = [could you] please
[<please>] open the {room}  # a template
Order No. {digit:order}*2-3
C\\# is a (note|key)
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_files_of_all_encodings_are_one_grammar(encoding: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "commands.txt"
    path.write_bytes(GRAMMAR.replace("\n", end).encode(encoding))
    found = AcceptedSentences(Grammar.load(path), normalize_basic)
    assert [(a.template.line, a.sentences) for a in found.accounts] == [(6, 9), (7, 11**2 + 11**3), (8, 2)]
    assert "could you please open the bath room" in texts(found)
    assert "c is a key" in texts(found)  # the sign is no comment, and no letter either


def test_lists_from_files(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "cities.txt").write_bytes("São Paulo\r\n\r\nNew York (NY)\r\n# 1\r\n".encode("utf-16"))
    (tmp_path / "names.csv").write_text("spoken,written\nsmith,Smith\n\"o'neil, jr\",O'Neil\nplain\n", encoding="utf-8")
    (tmp_path / "g.txt").write_text("{c} = @lists/cities.txt\n{n} = @names.csv\nfly to {c}\ncall {n:who}\n", "utf-8")
    found = AcceptedSentences(Grammar.load(tmp_path / "g.txt"), normalize_basic)
    assert texts(found) == {
        "fly to são paulo", "fly to new york ny", "fly to 1", "call smith", "call o'neil jr", "call plain"
    }  # fmt: skip
    (meaning,) = found.interpret("call o'neil jr")
    assert (meaning.line, meaning.written, meaning.slots) == (4, "call O'Neil", {"who": "O'Neil"})
    assert [tuple(span) for span in meaning.spans] == [(0, 1, "call"), (1, 3, "O'Neil")]
    assert found.interpret("fly to são paulo")[0].slots == {"c": "São Paulo"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["turn (on|off"], r"line 1, column 13: expected '\)' for the '\(' in column 6, got the end of the line"),
        (["ok", "  a [b c) d"], r"line 2, column 9: expected '\]' for the '\[' in column 5, got '\)'"),
        (["a ) b"], r"line 1, column 3: expected nothing that closes"),
        (["a (b|c;d) e"], r"line 1, column 7: expected '\|' or the end of the group, got ';'"),
        (["in {rom}", "{room} = x"], r"line 1, column 4: there is no list \{rom\}; did you mean \{room\}\?"),
        (["<pleas> x", "<please> = y"], r"line 1, column 1: there is no rule <pleas>; did you mean <please>\?"),
        (["in {room"], r"line 1, column 4: expected '\}' after the name"),
        (["in {}"], r"line 1, column 4: expected the name of a list"),
        (["a () b"], r"line 1, column 3: expected words in \(\)"),
        (["a {9..1}"], r"line 1, column 3: expected a range from the smaller to the larger number"),
        (["language = en", "a {0..99999999}"], r"line 2, column 3: .*expected|line 2, column 3: a range has at most"),
        (["language = en", "{0..5000000,1000000}"], r"line 2, column 1: numbers are spoken up to 999,999"),
        (["a {1..5}"], r"line 1, column 3: numbers are spoken in a language; expected a line language = NAME"),
        (["language = xx", "a"], r"line 1, column 12: language: expected one of de, en"),
        (["(very)*0-500 good"], r"line 1, column 7: expected a repetition such as \*4"),
        (["(very)*3-2 good"], r"line 1, column 7: expected a repetition"),
        (["{a} = x", "{a} = y", "{a}"], r"line 2, column 2: \{a\} is defined twice"),
        (["<a> = x <b>", "<b> = y <a>", "<a>"], r"line 2, column 9: <a> in <b> in <a>: a rule cannot contain itself"),
        (["{a} = x | {a}", "{a}"], r"line 1, column 11: \{a\} in \{a\}: a list cannot contain itself"),
        (["(" * 60 + "a" + ")" * 60], r"line 1, column 42: brackets stand more than 40 deep"),
        (["(" + ";".join("abcdefghi") + ")"], r"column 1?: a permutation has at most 8 parts, this one 9|.*"),
        (["a\0b"], r"line 1, column 2: a NUL character"),
        (["a \\"], r"line 1, column 3: expected a character after"),
        (["{c} = @missing.txt", "{c}"], r"line 1, column 7: .*missing.txt cannot be read"),
        (["# nothing"], r"there is no sentence in it"),
        (["a:(b c"], r"line 1, column 3: expected '\)' after the written form"),
        (["ma(\u0301|\u0300)"], r"line 1, column 4: a mark \(U\+0301\) stands apart from its letter"),
    ],
)
def test_mistakes_are_told_in_a_line_with_their_place(lines: list[str], message: str) -> None:
    with pytest.raises(EchoError, match=f"^grammar(, |: ){message}") as caught:
        Grammar.of(lines)
    assert "\n" not in str(caught.value)


def test_rules_that_stand_deep_in_one_another_are_refused() -> None:
    lines = [f"<r{n}> = a <r{n + 1}>" for n in range(3000)] + ["<r3000> = b", "<r0>"]
    with pytest.raises(EchoError, match="deep in one another"):
        Grammar.of(lines)


@given(st.text(st.sampled_from("ab ()[]{}<>|;:*\\#@=01.,-\u0301"), max_size=30))
def test_any_line_is_a_grammar_or_one_error(line: str) -> None:
    try:
        found = accepted(line)
    except EchoError as error:
        assert "\n" not in str(error)
    else:
        assert found.count >= 0


def test_very_many_sentences_are_counted_at_once() -> None:
    found = accepted("language = en", "[a] " * 40 + "{0..9999} {digit}*20", "(a|b|c)*60 d")
    assert found.count > 10**28
    assert found.accounts[1].sentences == 3**60
    assert found.automata.count(found.start) == found.count
    assert len(found.automata.reachable(found.start)) < 10_000


def test_a_language_that_needs_very_many_states_is_refused() -> None:
    grammar = replace(Grammar.of(["(a|b)*0-30 a (a|b)*14"]), most_states=2000)
    with pytest.raises(EchoError, match="needs more than 2,000 states; shorten"):
        AcceptedSentences(grammar, normalize_basic)


def test_the_language_may_stand_on_any_line() -> None:
    assert texts(accepted("{n} = 1..2", "room {n}", "language = fr")) == {"room un", "room une", "room deux"}


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("nǐ", "write 'ni'"),
        ("café", "write 'cafe'"),
        ("KITCHEN", "write 'kitchen'"),
        ("30", "write numbers in words, or as a range such as {0..100}"),
        ("打", ""),
    ],
)
def test_how_else_a_word_may_be_written(word: str, advice: str) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert respell(word, set(letters).issuperset) == advice


def test_a_tone_may_be_written_as_a_digit() -> None:
    assert respell("n\u01d0", set("abcdefghijklmnopqrstuvwxyz1234").issuperset) == "write 'ni3' or 'ni'"


def test_words_are_normalised_with_what_is_beside_them() -> None:
    assert texts(accepted("l'[eau] froide")) == {"l froide", "l'eau froide"}
    assert texts(accepted("John('s|s') House!")) == {"john's house", "johns house"}
    assert texts(accepted("Cafe\u0301 [n\u00famero] 1,[2]")) == {
        "café 1",
        "café 1 2",
        "café número 1",
        "café número 1 2",
    }
    whisper = AcceptedSentences(Grammar.of(["I won't (stop|go)", "it['s] here"]), make_normalizer("whisper"))
    assert texts(whisper) == {"i will not stop", "i will not go", "it here", "it is here"}


def test_scripts_without_spaces() -> None:
    found = accepted("打开 {房间} 的 (灯|窗户)", "{房间} = 客厅 | 厨房", spaces=False)
    assert texts(found) == {"打开客厅的灯", "打开厨房的灯", "打开客厅的窗户", "打开厨房的窗户"}
    (meaning,) = found.interpret("打开厨房的灯")
    assert meaning.slots == {"房间": "厨房"}
    assert [(span.first, span.end) for span in meaning.spans] == [(0, 1)]
    thai = accepted("เปิด(ไฟ|พัดลม)[ใน{ห้อง}]", "{ห้อง} = ครัว | ห้องนอน")
    assert len(texts(thai)) == 6 and "เปิดไฟในครัว" in texts(thai)


def test_written_forms_and_slots() -> None:
    found = accepted(
        "language = en",
        "{n} = (twenty three):23 | four",
        "Dr. Smith:SMITH, say [the] {n:count} (times|x):(times over) please:",
        "pin {digit:pin}*4 room {1..20:room}",
        "({0..9};go:GO)",
    )
    (one,) = found.interpret("dr smith say twenty three times please")
    assert one.written == "Dr. SMITH say 23 times over" or one.written == "Dr. SMITH, say 23 times over"
    assert one.slots == {"count": "23"}
    assert [span.text for span in one.spans][-3:] == ["23", "times over", ""]
    assert [(span.first, span.end) for span in one.spans] == [(0, 1), (1, 2), (2, 3), (3, 5), (5, 6), (6, 7)]
    (pin,) = found.interpret("pin one oh zero seven room twelve")
    assert (pin.written, pin.slots) == ("pin 1007 room 12", {"pin": "1007", "room": "12"})
    assert found.interpret("go seven")[0].written == "GO 7"
    assert found.interpret("go") == []


def test_colons_that_are_text() -> None:
    found = accepted("it is 10:30 : (now|then)", r"a\:b", "er4:2 shi2:(1 0)")
    assert texts(found) == {"it is 10 30 now", "it is 10 30 then", "a b", "er4 shi2"}
    assert found.interpret("er4 shi2")[0].written == "2 1 0"
    assert found.interpret("it is 10 30 now")[0].written == "it is 10:30 : now"


def test_a_sentence_may_have_several_meanings() -> None:
    found = accepted("{a} = red | red hot", "{b} = hot chili | chili", "{a} {b}", "red hot chili")
    assert [(one.line, one.slots) for one in found.interpret("red hot chili")] == [
        (3, {"a": "red", "b": "hot chili"}), (3, {"a": "red hot", "b": "chili"}), (4, {})
    ]  # fmt: skip
    ambiguous = accepted("[a] " * 30 + "b")  # 30 choose 15 ways to read one sentence
    assert len(ambiguous.interpret("a " * 15 + "b")) == 1


def test_the_account_names_what_is_wrong() -> None:
    known = set("abcdefghijklmnopqrstuvwxyz ")
    found = accepted(
        "open the (cafe|café) door",
        "naïve",
        "{n} =",
        "to {n}",
        "open the [big] cafe door",
        "open the cafe door",
        "{unused} = a",
        known=lambda word: known.issuperset(word),
    )
    accounts = {a.template.line: (a.sentences, a.unwritable) for a in found.accounts}
    assert accounts == {1: (1, ("café",)), 2: (0, ("naïve",)), 4: (0, ()), 5: (2, ()), 6: (1, ())}
    assert [(o.first.line, o.second.line, o.sentence) for o in found.overlaps] == [
        (1, 5, "open the cafe door"), (1, 6, "open the cafe door"), (5, 6, "open the cafe door")
    ]  # fmt: skip
    assert found.empty_lists == ["{n}"]
    assert found.grammar.unused == ["{unused}"]
    assert found.count == 2


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map(" ".join), min_size=1, max_size=8)
)
def test_two_templates_with_one_sentence_are_named(lines: list[str]) -> None:
    """Against all pairs; as templates, and as plain lines."""
    for written in (lines, [f"[x] {line}" for line in lines]):
        found = accepted(*written)
        pairs = {(o.first.line, o.second.line) for o in found.overlaps}
        first = [lines.index(line) + 1 for line in lines]
        assert pairs == {(first[n], n + 1) for n in range(len(lines)) if first[n] != n + 1}
        for overlap in found.overlaps:
            assert {one.line for one in found.interpret(overlap.sentence)} >= {overlap.first.line, overlap.second.line}


def test_sentences_are_drawn_from_all() -> None:
    found = accepted("[a] [b] [c] [d] e")
    drawn = ["".join(sentence) for sentence in found.automata.sample(found.start, 10, seed=3)]
    assert len(set(drawn)) == 10 and set(drawn) < texts(found)
    assert len(found.automata.sample(found.start, 100)) == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("intents: [", "not valid YAML"),
        ("- a", "expected a mapping with intents"),
        ("intents: {A: {data: [{sentences: [yes]}]}}", "expected a text, got true; put it in quotes"),
        ("intents: {A: {data: [{sentences: ['a {b}']}]}, }", r"line 1, column 38: there is no list \{b\}"),
        ("lists: {x: {wildcard: true}}", "wildcard"),
        ("lists: {x: {range: {from: 5, to: 1}}}", "from <= to"),
        ("intents: {A: {data: [{sentences: a}]}}", "expected a list, got a text"),
        ("intents: {A: {data: }}", "expected a list, got nothing"),
        (
            "intents: {A: {data: []}, A: {data: []}}",
            "line 1, column 26: A stands twice",
        ),
        ("intent: {A: {data: [{sentences: [a]}]}}", "the file: intent is not read; did you mean intents"),
        ("intents: {A: {data: [{sentence: [a]}]}}", "sentence is not read; did you mean sentences"),
        ("intents: {}", "write intents: NAME"),
    ],
)
def test_mistakes_in_files_of_hassil(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "intents.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(EchoError, match=re.escape(str(path))) as caught:
        Grammar.load(path)
    assert re.search(message, str(caught.value)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("langauge = en", "line 1, column 1: langauge = means nothing; did you mean language ="),
        ("Language = en", "did you mean language ="),
        ("  room = kitchen | bath", r"line 1, column 3: room = means nothing; did you mean \{room\} ="),
        ("language = en\nlanguage = de\na", "line 2, column 1: language is en in a line before"),
        ("{a} = z | @values.txt\n{a}", "line 1, column 11: a file stands alone"),
        ("{a} = @", "line 1, column 7: expected the name of a file"),
        ("{a} = 1..3 | 7\n{a}", "line 1, column 7: a range stands alone"),
        ("{a} = 7 | 1..3\n{a}", "line 1, column 11: a range stands alone"),
        ("{a} = z |\n{a}", r"line 1, column 7: a value of \{a\} is empty"),
        ("say b*3", r"line 1, column 6: what is repeated stands in brackets, as in \(very\)\*2"),
        ("(b)*2*3", "line 1, column 6: what is repeated"),
        ("{-5..5}", "a range goes from a whole number"),
        ("{1 .. 3}", "without spaces"),
        ("{1\u20263}", "a range goes from"),
    ],
)
def test_what_is_nearly_something_else_is_no_sentence(lines: str, message: str) -> None:
    with pytest.raises(EchoError, match=message):
        accepted(*lines.split("\n"))


def test_signs_that_are_said_are_escaped() -> None:
    assert texts(accepted(r"two \= two", r"two \* 3", r"say b\*3", "{a}", r"{a} = x | \@home")) == {
        "two = two", "two 3", "say b 3", "x", "home",
    }  # fmt: skip


def test_an_optional_part_is_repeated_and_read() -> None:
    found = accepted("turn it [very]*2 up", "[a]*3 b [c:C]*0-2")
    for text in texts(found):
        assert found.interpret(text)[0].written.lower() == text
    assert found.interpret("turn it very very up")[0].written == "turn it very very up"


@pytest.mark.parametrize("lines", [["language = en", "{pin} = {digit}*4", "turn on"], ["numbers = digits", "{digit}"]])
def test_digits_are_a_list_that_nobody_has_to_write(lines: list[str]) -> None:
    found = accepted(*lines)
    assert not found.empty_lists and found.grammar.unused == (["{pin}"] if len(lines) > 2 else [])


@given(
    st.lists(st.sampled_from(["[ma]1-2", "(b)2-1", "a(1)-2", "[a]1'b", "(a)-1", "1[a]", "a[-]b", "x:X[1]2", "(1;a)"]),
             min_size=1, max_size=3)
)  # fmt: skip
def test_whatever_is_accepted_can_be_read(lines: list[str]) -> None:
    found = accepted(*lines)
    for text in texts(found):
        assert found.interpret(text), (lines, text)


def test_a_sentence_for_which_nothing_is_written_is_written_as_it_is_spoken() -> None:
    (one,) = accepted("go: away:").interpret("go away")
    assert one.written == "go away" and [span.text for span in one.spans] == ["go", "away"]
    assert accepted("please: go").interpret("please go")[0].written == "go"


def test_what_a_result_would_not_have_is_told() -> None:
    lines = ["from {room} to {room}", "{room} = kitchen | bath", "{c} = red:1 | red:3", "{c} {room}", "({c}|{c:d}) now"]
    found = list(make_report(accepted(*lines)).remarks())
    assert [line for line in found if "slot room, and the last counts" in line and "line 1:" in line]
    assert [line for line in found if "in {c} 'red' is written '1' and '3'" in line]
    assert len(found) == 2
    shared = make_report(accepted("<r> now", "<r>", "<r> = from {room} to {room}", "{room} = kitchen | bath"))
    assert [line[:15] for line in shared.remarks()] == ["grammar, line 1", "grammar, line 2"]


def test_a_table_of_values_whose_first_row_has_one_cell(tmp_path: Path) -> None:
    (tmp_path / "rooms.csv").write_text("kitchen\nliving room;LR\n", encoding="utf-8")
    found = AcceptedSentences(Grammar.of(["{room}", "{room} = @rooms.csv"], tmp_path), normalize_basic)
    assert found.interpret("living room")[0].written == "LR"
    assert texts(found) == {"kitchen", "living room"}


def test_the_line_of_a_grammar_that_is_too_large_is_named() -> None:
    grammar = replace(Grammar.of(["a", " b [c] ((d|e)*20)*4"]), most_states=50)
    with pytest.raises(EchoError, match="line 2, column 2: the grammar needs more than 50 states"):
        AcceptedSentences(grammar, normalize_basic)
