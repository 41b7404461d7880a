import json
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from echo_asr.console import hours
from echo_asr.data.corpus import load_corpus
from tests.helpers.commands import PACKAGE_ROOT, Place, echo, run
from tests.helpers.tone_corpus import TEXTS, write_corpus

COMMANDS = (
    "demo", "recipes", "prepare", "train", "evaluate", "study", "transcribe", "find", "listen", "serve", "align",
    "retone", "pitch", "elan", "lm", "corpus", "diagnose", "plot", "doctor",
)  # fmt: skip


# --- help ---


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_there(command: str, capsys: Any) -> None:
    status, output, errors = run([*command.split(), "--help"], capsys)
    assert status == 0 and errors == ""
    assert output.startswith("usage: echo-asr")
    if not command:
        assert all(re.search(rf"^ +{name}\s+\S", output, re.MULTILINE) for name in COMMANDS)


def test_help_is_there_at_once() -> None:
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        assert echo("--help", stdout=subprocess.PIPE).returncode == 0
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.5


def test_help_needs_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; sys.modules.update(torch=None, numpy=None, rich=None, yaml=None)\n"
        "from echo_asr.cli import main; main(['train', '--help'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE_ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0 and "--init MODEL" in ran.stdout, ran.stderr


# --- the way through ---


def test_a_run_is_trained_resumed_measured_and_used(place: Place, capsys: Any) -> None:
    words = place.fill("train {config} --corpus {corpus} --out {here}/run --train.max_steps 2 --device cpu")
    status, output, errors = run(words, capsys)
    assert status == 0, errors
    assert output == f"{place.folder}/run: trained for 2 updates, best at 2\n"
    assert "12 training utterances" in errors and "update 2: word error" in errors
    status, output, errors = run([*words, "--resume"], capsys)
    assert status == 0 and "resumed after update 2 of 2" in errors
    status, output, _ = run(place.fill("evaluate {here}/run {corpus} --json"), capsys)
    assert status == 0 and json.loads(output)["utterances"] == 6
    status, output, _ = run(place.fill("transcribe {corpus}/00.wav --model {here}/run"), capsys)
    assert status == 0 and output.count("\n") == 1


def test_options_stand_anywhere(place: Place, capsys: Any) -> None:
    for words in (
        "train --train.max_steps 1 {config} --train.seed=3 --corpus {corpus} --out {here}/1 --model.dropout 0.2",
        "evaluate --decode.beam 2 {model} --decode.length_bonus -0.5 {corpus}",
        "transcribe --model {model} --decode.beam 2 {corpus}/00.wav {corpus}/01.wav",
    ):
        status, _, errors = run(place.fill(words), capsys)
        assert status == 0, errors
    text = (place.folder / "1/config.yaml").read_text()
    assert "max_steps: 1" in text and "seed: 3" in text and "dropout: 0.2" in text


def test_evaluate_prints_one_object(place: Place, capsys: Any) -> None:
    status, output, errors = run(place.fill("evaluate {model} {corpus} --split train --json"), capsys)
    assert status == 0 and errors == "" and output.count("\n") == 1
    found = json.loads(output)
    assert found["corpus"] == str(place.named["corpus"]) and found["split"] == "train"
    assert found["wer"]["percent"] == 0.0 and found["wer"]["reference"] == sum(len(t.split()) for t in TEXTS["train"])


def test_evaluate_prints_lines_for_people_and_texts(place: Place, capsys: Any) -> None:
    status, output, _ = run(place.fill("evaluate {model} {corpus} --texts {here}/texts.jsonl"), capsys)
    assert status == 0
    assert output.splitlines()[1].startswith("word error       0.00 % (0.00 to 27.44; 0 ins, 0 del, 0 sub of ")
    rows = [json.loads(line) for line in (place.folder / "texts.jsonl").read_text().splitlines()]
    assert [row["hypothesis"] for row in rows] == list(TEXTS["test"])


def test_texts_that_cannot_be_written_cost_no_result(
    place: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    status, output, errors = run(place.fill("evaluate {model} {corpus} --json --texts {here}/texts"), capsys)
    assert status == 1 and json.loads(output)["utterances"] == 6
    assert "texts: could not be written" in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("files", "form", "expected"),
    [
        (["00"], "txt", ["a"]),
        (["00", "03"], "txt", ["{0}: a", "{1}: a b"]),
        (["03"], "tsv", ["start\tend\ttext", "0\t440\ta b"]),
    ],
)
def test_transcribe_prints_a_line_a_file(
    files: list[str], form: str, expected: list[str], place: Place, capsys: Any
) -> None:
    paths = [str(place.named["corpus"] / f"{name}.wav") for name in files]
    status, output, errors = run(["transcribe", *paths, *place.fill("--model {model} --format"), form], capsys)
    assert (status, errors) == (0, "")
    assert output.splitlines() == [line.format(*paths) for line in expected]


@pytest.mark.parametrize("files", [["03"], ["00", "03"]])
def test_transcribe_prints_an_object_a_file(files: list[str], place: Place, capsys: Any) -> None:
    paths = [str(place.named["corpus"] / f"{name}.wav") for name in files]
    status, output, errors = run(["transcribe", *paths, *place.fill("--model {model} --format json")], capsys)
    found = [json.loads(line) for line in output.splitlines()]
    assert (status, errors) == (0, "") and [one["file"] for one in found] == paths
    assert (found[-1]["duration"], found[-1]["text"]) == (0.44, "a b")
    (segment,) = found[-1]["segments"]
    assert (segment["start"], segment["end"], segment["text"]) == (0.0, 0.44, "a b")
    assert [word["word"] for word in segment["words"]] == ["a", "b"]
    assert segment["words"][0]["start"] < segment["words"][1]["start"] <= 0.44


def test_a_language_model_and_hotwords_can_be_given(place: Place, capsys: Any) -> None:
    pytest.importorskip("flashlight", reason="needs the extra echo-asr[lm]")
    (place.folder / "texts.txt").write_text("a b\nc a ñ\n", encoding="utf-8")
    (place.folder / "words.txt").write_text("b\n")
    words = place.fill("lm {here}/texts.txt --model {model} --out {here}/my.arpa --order 3")
    status, output, errors = run(words, capsys)
    assert (status, errors) == (0, "") and "2 texts" in output and "'ñ' 1 times" in output
    words = place.fill("transcribe {corpus}/03.wav --model {model} --hotwords {here}/words.txt")
    decode = place.fill("--decode.beam 4 --decode.lm {here}/my.arpa")
    assert run([*words, *decode], capsys) == (0, "a b\n", "")


@pytest.mark.parametrize("form", ["txt", "json"])
def test_transcribe_writes_a_file_a_file(form: str, place: Place, capsys: Any) -> None:
    words = "transcribe {corpus}/00.wav {corpus}/03.wav --model {model} --output-dir {here}/new/folder --format"
    status, output, errors = run([*place.fill(words), form], capsys)
    assert (status, output, errors) == (0, "", "")
    written = {path.name: text.decode() for path, text in place.contents().items()}
    if form == "txt":
        assert written == {"00.txt": "a\n", "03.txt": "a b\n"}
    else:
        assert set(written) == {"00.json", "03.json"} and json.loads(written["03.json"])["text"] == "a b"


def test_one_bad_file_does_not_stop_the_others(place: Place, capsys: Any) -> None:
    (place.folder / "bad.wav").write_text("no sound")
    words = "transcribe {corpus}/00.wav {here}/bad.wav {here}/gone.wav {corpus}/03.wav --model {model} --format json"
    status, output, errors = run(place.fill(words), capsys)
    assert status == 1
    assert [json.loads(line)["text"] for line in output.splitlines()] == ["a", "a b"]
    lines = errors.splitlines()
    assert len(lines) == 3 and "bad.wav: is not an audio file" in lines[0] and "gone.wav: no such file" in lines[1]
    assert lines[2] == "echo-asr transcribe: 2 of 4 files could not be transcribed"


def test_prepare_says_what_is_there_and_fills_the_cache(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("ECHO_ASR_CACHE", str(place.folder / "cache"))
    small = write_corpus(place.folder / "small", [("train", "a", 1.0), ("train", "b", 1.0), ("test", "c", 1.1)])
    found = load_corpus(small)
    lasts = {split: sum(u.duration for u in found.split(split)) for split in found.splits}
    status, output, errors = run(["prepare", str(small), *place.fill("--config {config}")], capsys)
    assert status == 0 and errors == ""
    assert output.splitlines() == [
        f"{small}, train: 2 utterances, {hours(lasts['train'])}, 1 speaker",
        f"{small}, test: 1 utterance, {hours(lasts['test'])}, 1 speaker",
        f"features are in {place.folder / 'cache'}",
    ]
    assert len(list((place.folder / "cache").rglob("*.safetensors"))) == 2 * 3 + 1


def test_prepare_does_not_say_done_when_nothing_was_kept(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (place.folder / "file").write_text("")
    monkeypatch.setenv("ECHO_ASR_CACHE", str(place.folder / "file"))
    small = write_corpus(place.folder / "small", [("train", "a", 1.0)])
    status, output, errors = run(["prepare", str(small), *place.fill("--config {config}")], capsys)
    assert status == 1 and output == "" and "features could not be kept there" in errors
