"""`echo-asr grammar` as a newcomer gives it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.commands import Place, run

LINES = """\
{word} = ba | ba ba | café
say {word}
[please] open it
open it
"""


@pytest.fixture
def grammar(tmp_path: Path) -> str:
    path = tmp_path / "commands.txt"
    path.write_text(LINES, encoding="utf-8")
    return str(path)


def test_without_a_model_every_line_is_counted(grammar: str, capsys: Any) -> None:
    status, out, err = run(["grammar", grammar], capsys)
    assert status == 0
    assert out.splitlines() == [
        f"# {grammar}: 5 different sentences of 3 lines",
        *("line\tsentences\t", "2\t3\tsay {word}", "3\t2\t[please] open it", "4\t1\topen it"),
    ]
    assert err == f"echo-asr grammar: {grammar}, lines 3 and 4 both give 'open it'; the first counts\n"


def test_what_the_model_cannot_write_is_named(grammar: str, place: Place, capsys: Any) -> None:
    """The model knows the letters of few words."""
    status, out, err = run(["grammar", grammar, "--model", str(place.named["model"]), "--json"], capsys)
    report = json.loads(out)
    lost = {one["line"]: one["sentences"] for one in report["templates"] if one["unwritable"]}
    assert status == (1 if 0 in lost.values() else 0)
    for line, count in lost.items():
        assert f"line {line}: the model cannot write" in err
        assert ("nothing is left of it" in err.split(f"line {line}: ")[1].splitlines()[0]) == (count == 0)
    assert any("café" in one["unwritable"] for one in report["templates"])


def test_sentences_with_their_written_forms(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("language = en\nwait {5..5:minutes} minutes\nhi\n", encoding="utf-8")
    status, out, err = run(["grammar", str(path), "--sentences", "3"], capsys)
    assert (status, err) == (0, "")
    assert out.splitlines() == ["wait five minutes\twait 5 minutes\tminutes=5", "hi"]
    _, out, _ = run(["grammar", str(path), "--sentences", "1", "--json"], capsys)
    assert json.loads(out.splitlines()[0]) == {
        "line": 2, "spoken": "wait five minutes", "written": "wait 5 minutes", "slots": {"minutes": "5"}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        ("{file}", "turn (on", "line 1, column 9: expected ')'"),
        ("{file}", "", "there is no sentence in it"),
        ("{file} --sentences 0", "a", "--sentences: expected 1 or more, got 0"),
        ("{file}.missing", "a", "cannot be read: No such file or directory"),
        ("{file} --model {file}", "a", ""),
    ],
)
def test_mistakes_are_one_line(words: str, text: str, message: str, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "g.txt"
    path.write_text(text, encoding="utf-8")
    status, out, err = run(["grammar", *(word.format(file=path) for word in words.split())], capsys)
    assert status == 1 and out == ""
    assert message in err and len(err.splitlines()) == 1


def test_a_line_that_gives_nothing_is_an_error(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "g.txt"
    path.write_text("{city} =\nweather in {city}\nhello\n", encoding="utf-8")
    status, out, err = run(["grammar", str(path)], capsys)
    assert status == 1 and "2\t0\tweather in {city}" in out
    assert "{city} gives nothing" in err and "line 2: nothing can be said by it" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["grammar", ""], "argument FILE: the name is empty; give a file or a folder"),
        (["grammar", "-"], "argument FILE: standard input is not read here; give the name of a file"),
        (["transcribe", "a.wav", "--model", "m", "--grammar", ""], "argument --grammar: the name is empty"),
        (["transcribe", "a.wav", "--model", "m", "--output-dir", ""], "argument --output-dir: the name is empty"),
        (["listen", "--model", "", "--grammar", "g"], "argument --model: the name is empty"),
        (["evaluate", "m", "c", "--texts", "-"], "argument --texts: standard output is not written to here"),
        (
            ["transcribe", "a.wav", "--model", "m", "--grammar", "a.txt", "--decode.grammar", "b.txt"],
            "--grammar and --decode.grammar both name a grammar; give one of them",
        ),
        (
            ["transcribe", "a.wav", "--model", "m", "--hotwords", "a.txt", "--decode.hotwords", "[b]"],
            "--hotwords and --decode.hotwords both name words; give one of them",
        ),
    ],
)
def test_names_that_are_none_and_options_that_say_one_thing_twice(words: list[str], message: str, capsys: Any) -> None:
    status, out, err = run(words, capsys)
    assert status == 2 and out == "" and message in err and err.count("\n") == 1


@pytest.mark.parametrize("command", ["transcribe {corpus}/00.wav --model {model}", "evaluate {model} {corpus}"])
def test_sentences_that_are_never_heard_are_said_in_one_line(
    command: str, place: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echo_asr.evaluate.grammar.NOISE_CLIPS", 11)
    grammar = place.folder / "g.txt"
    grammar.write_text("a b\nc [zebra]\nyes\n", encoding="utf-8")
    status, _, err = run([*place.fill(command), "--grammar", str(grammar)], capsys)
    name, model = command.split()[0], place.named["model"]
    (line,) = [line for line in err.splitlines() if line.startswith("echo-asr")]
    assert status == 0 and line == (
        f"echo-asr {name}: {grammar}: 2 of 3 lines have sentences that the model cannot write and never hears, "
        f"first line 2: c [zebra], for want of 'zebra'; see echo-asr grammar {grammar} --model {model}"
    )
