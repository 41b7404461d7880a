"""What a command does where it cannot do what was asked: one line, a status, and nothing lost."""

import errno
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from echo_asr.cli import INTERRUPTED, main
from echo_asr.evaluate import evaluate as evaluation
from echo_asr.train.report import Reporter
from tests.helpers.commands import Place, echo, run
from tests.helpers.tone_corpus import write_corpus

# --- wrong input: one line, a status, nothing left behind ---

WRONG = [
    ("", 2, "the following arguments are required: COMMAND"),
    ("trian", 2, "invalid choice: 'trian' (choose from 'demo', 'recipes', 'probe', 'prepare',"),
    ("train", 2, "the following arguments are required: CONFIG, --corpus, --out"),
    ("train {config} --corpus {corpus} --out {here}/run --reusme", 2, "'--reusme'; did you mean --resume?"),
    ("train {config} --corpus {corpus} --out {here}/run more", 2, "unknown argument 'more'"),
    ("train {config} --corpus {corpus} --out {here}/run --train.max_step 3", 1, "did you mean --train.max_steps?"),
    ("train {config} --corpus {corpus} --out {here}/run --train.max_steps 0", 1, "train.max_steps must be positive"),
    ("train {config} --corpus {corpus} --out {here}/run --train.max_steps many", 1, "train.max_steps"),
    ("train {config} --corpus {corpus} --out {here}/run --train.max_steps", 1, "expected one argument"),
    ("train {config} --corpus {corpus} --out {here}/run --train.max_steps --resume", 1, "expected one argument"),
    ("train {config} --corpus {corpus} --out {here}/run --model.heads 3", 1, "width 32 must be a multiple of heads 3"),
    ("train {here}/no.yaml --corpus {corpus} --out {here}/run", 1, "no.yaml: no such configuration file"),
    ("train {here} --corpus {corpus} --out {here}/run", 1, "cannot be read as a configuration"),
    ("train {here}/text.txt --corpus {corpus} --out {here}/run", 1, "a configuration is a mapping of sections"),
    ("train {here}/bad.yaml --corpus {corpus} --out {here}/run", 1, "bad.yaml: not valid YAML"),
    ("train {here}/bytes --corpus {corpus} --out {here}/run", 1, "cannot be read as a configuration"),
    ("train {here}/typo.yaml --corpus {corpus} --out {here}/run", 1, "train.max_step; did you mean max_steps?"),
    ("train {here}/value.yaml --corpus {corpus} --out {here}/run", 1, "train.ema_decay must lie in [0, 1), got 1.5"),
    ("train {config} --corpus {here}/no --out {here}/run", 1, "no does not exist; give a folder with metadata.csv"),
    ("train {config} --corpus {model} --out {here}/run", 1, "has no metadata.csv"),
    ("train {config} --corpus synth:no --out {here}/run", 1, "no synthetic corpus is called 'no'"),
    ("train {config} --corpus {here}/gone --out {here}/run", 1, "names 1 audio file"),
    ("train {config} --corpus {here}/empty --out {here}/run", 1, "the training texts have no character"),
    ("train {config} --corpus {corpus} --out {here}/text.txt", 1, "text.txt: exists and is not empty"),
    ("train {config} --corpus {corpus} --out {here}/text.txt/run", 1, "is no folder that you may write to"),
    ("train {config} --corpus {corpus} --out {model}", 1, "exists and is not empty; go on with --resume"),
    ("train {config} --corpus {corpus} --out {here}/run --resume", 1, "no run to resume there"),
    ("train {config} --corpus {corpus} --out {model} --resume", 1, "belongs to another configuration or corpus"),
    ("train {config} --corpus {corpus} --out {here}/run --init {here}/no", 1, "no: no such model folder"),
    ("train {config} --corpus {corpus} --out {here}/run --init {here}/half", 1, "damaged weights"),
    ("train {config} --corpus {corpus} --out {here}/run --device gpu", 1, "device 'gpu' is not available here"),
    ("train {config} --corpus {corpus} --out {here}/run --device meta", 1, "device 'meta' is not available here"),
    ("evaluate {here}/no {corpus}", 1, "no: no such model folder"),
    ("evaluate {here} {corpus}", 1, "config.yaml, model.safetensors, tokenizer.json missing; copy the whole folder"),
    ("evaluate {here}/part {corpus}", 1, "not a complete model, model.safetensors missing"),
    ("evaluate {here}/half {corpus}", 1, "model.safetensors: damaged weights"),
    ("evaluate {here}/mixed {corpus}", 1, "the weights do not fit config.yaml and tokenizer.json"),
    ("evaluate {model} {here}/no", 1, "no does not exist; give a folder with metadata.csv"),
    ("evaluate {model} {corpus} --split tset", 1, "no split 'tset'"),
    ("evaluate {model} {corpus} --spilt test", 2, "unknown argument '--spilt'; did you mean --split?"),
    ("evaluate {model} {corpus} --decode.baem 2", 1, "--decode.baem; did you mean --decode.beam?"),
    ("evaluate {model} {corpus} --decode.beam 0", 1, "decode.beam must be at least 1, got 0"),
    ("evaluate {model} {corpus} --train.seed 1", 1, "unknown option --train.seed"),
    ("evaluate {model} {corpus} --device gpu", 1, "device 'gpu' is not available here"),
    ("transcribe --model {model}", 2, "no files; name some, or a list of them with --files"),
    ("transcribe {corpus}/00.wav", 2, "the following arguments are required: --model"),
    ("transcribe {corpus}/00.wav --model {model} --format doc", 2, "invalid choice: 'doc'"),
    ("transcribe {corpus}/00.wav --model {model} --hotwords {here}/no.txt", 1, "no.txt cannot be read"),
    ("transcribe {corpus}/00.wav --model {model} --decode.beam 1 --decode.lm x", 1, "--decode.lm needs --decode.beam"),
    ("transcribe {corpus}/00.wav --model {model} --decode.segments.pause 0.1", 1, "decode.segments.pause must lie in"),
    ("lm {here}/no.txt --model {model} --out {here}/my.arpa", 1, "no.txt: cannot be read"),
    ("lm {corpus}/metadata.csv --model {model} --out {here}/my.arpa --order 9", 1, "order of a language model is 9"),
    ("transcribe {corpus}/00.wav --model {model} --outptu-dir {here}", 2, "did you mean --output-dir?"),
    ("transcribe {corpus}/00.wav --model {here}/no", 1, "no: no such model folder"),
    ("transcribe {corpus}/00.wav --model {here}/half", 1, "damaged weights"),
    ("transcribe {here}/no.wav --model {model}", 1, "no.wav: no such file"),
    ("transcribe {model} --model {model}", 1, "has no recordings (.wav, .flac, .mp3, ...) in it or below"),
    ("transcribe {here}/text.txt --model {model}", 1, "is not an audio file"),
    ("transcribe {corpus}/00.wav --model {model} --output-dir {here}/text.txt", 1, "cannot be made (File exists)"),
    ("transcribe {corpus}/00.wav --model {model} --output-dir {here}/text.txt/x", 1, "cannot be made (Not a direct"),
    ("transcribe {corpus}/00.wav {corpus}/00.mp3 --model {model} --output-dir {here}/x", 1, "several recordings"),
    ("prepare {here}/no", 1, "no does not exist; give a folder with metadata.csv"),
    ("prepare {corpus} --confg {config}", 2, "unknown argument '--confg'; did you mean --config?"),
    ("prepare {corpus} --train.seed 1", 2, "unknown argument '--train.seed'"),
    ("prepare {corpus} --config {here}/no.yaml", 1, "no.yaml: no such configuration file"),
    ("prepare {here}/unreadable --config {config}", 1, "00.wav: is not an audio file"),
    ("doctor now", 2, "unknown argument 'now'"),
    ("demo --outt {here}/run", 2, "unknown argument '--outt'; did you mean --out?"),
]  # fmt: skip


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: Any, corpus: Path, config: Path, learnt: Path) -> Place:
    """A place with all sorts of wrong files. Read it only."""
    place = Place(tmp_path_factory.mktemp("wrong"), corpus=corpus, config=config, model=learnt)
    here, model = place.folder, learnt
    (here / "text.txt").write_text("hello")
    (here / "bytes").write_bytes(b"\xff\xfe\x00")
    (here / "bad.yaml").write_text("a: b: c")
    (here / "typo.yaml").write_text("train: {max_step: 3}")
    (here / "value.yaml").write_text("train: {ema_decay: 1.5}")
    write_corpus(here / "gone", [("train", "a", 1.0), ("train", "b", 1.0)])
    (here / "gone/01.wav").unlink()
    write_corpus(here / "empty", [("train", "", 1.0), ("train", "", 1.1), ("validation", "", 1.0)])
    unreadable = write_corpus(here / "unreadable", [("train", "a", 1.0)])
    (unreadable / "00.wav").write_text("no sound")
    with (unreadable / "metadata.csv").open("w") as file:
        file.write("file_name,transcription,duration\n00.wav,a,1.0\n")
    for name in ("part", "half", "mixed"):
        shutil.copytree(model, here / name, ignore=shutil.ignore_patterns("tensorboard", "checkpoints"))
    (here / "part/model.safetensors").unlink()
    whole = (here / "half/model.safetensors").read_bytes()
    (here / "half/model.safetensors").write_bytes(whole[: len(whole) // 2])
    text = (here / "mixed/config.yaml").read_text()
    (here / "mixed/config.yaml").write_text(text.replace("width: 32", "width: 48"))
    return place


@pytest.mark.parametrize(("words", "expected", "message"), WRONG, ids=[words for words, *_ in WRONG])
def test_wrong_input_ends_in_one_line_and_leaves_nothing(
    words: str, expected: int, message: str, wrong: Place, capsys: Any
) -> None:
    before = wrong.contents()
    status, output, errors = run(wrong.fill(words), capsys)
    assert status == expected
    assert output == "" and errors.count("\n") == 1 and errors.startswith("echo-asr")
    assert message in errors
    assert wrong.contents() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("words", ["train {config} --corpus {corpus} --out {here}/run", "evaluate {model} {corpus}"])
def test_a_gpu_that_is_not_there_is_told(words: str, place: Place, capsys: Any) -> None:
    status, _, errors = run([*place.fill(words), "--device", "cuda"], capsys)
    assert status == 1 and "device 'cuda' is not available here" in errors and errors.count("\n") == 1
    assert place.contents() == {}


def test_a_process_says_it_in_one_line_too(place: Place) -> None:
    """Warnings of libraries and the end of the interpreter add nothing."""
    ran = echo(*place.fill("evaluate {here}/no {corpus}"), stdout=subprocess.PIPE)
    assert ran.returncode == 1 and ran.stdout == "" and ran.stderr.count("\n") == 1


# --- a full disk, Ctrl-C, and what else comes from outside ---


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train {config} --corpus {corpus} --out {here}/run", "last.pt: could not be written (No space left on"),
        ("transcribe {corpus}/00.wav --model {model} --output-dir {here}/d", "00.txt: could not be written (No space"),
        ("evaluate {model} {corpus} --texts {here}/texts", "texts: could not be written (No space left on device)"),
    ],
)
@pytest.mark.parametrize("stage", ["replace", "fsync"])
def test_a_full_disk_leaves_nothing_half_written(
    stage: str, words: str, message: str, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(os, stage, full)
    status, _, errors = run(place.fill(words), capsys)
    assert status == 1 and message in errors.splitlines()[-1] and "Traceback" not in errors
    assert place.contents() == {}


@pytest.mark.parametrize("update", [1, 2, 3])
def test_a_disk_that_fills_up_leaves_what_can_be_resumed(
    update: int,
    place: Place,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    """Room for so many updates; then it is made, and the run ends as if there had always been some."""
    words = place.fill("train {config} --corpus {corpus} --out {here}/run")
    advance, replace = Reporter.advance, os.replace

    def fill_disk(self: Reporter, step: int, measured: Any) -> None:
        advance(self, step, measured)
        if step == update:
            monkeypatch.setattr(os, "replace", full)

    monkeypatch.setattr(Reporter, "advance", fill_disk)
    status, _, errors = run(words, capsys)
    assert status == 1
    assert re.search(r"(last.pt|model.safetensors): could not be written \(No space", errors.splitlines()[-1])
    monkeypatch.setattr(Reporter, "advance", advance)
    monkeypatch.setattr(os, "replace", replace)
    assert run([*words, "--resume"], capsys)[0] == 0
    assert (place.folder / "run/model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()
    assert not [path for path in place.contents() if path.suffix == ".part"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit on file sizes here")
@pytest.mark.parametrize("limit", [100, 5_000, 150_000, 400_000])
def test_files_that_can_grow_no_further_are_told(limit: int, place: Place, undisturbed: Path) -> None:
    """A real failure of write(2), in the middle of whatever file is the first to be larger than `limit` bytes."""
    import resource

    ran = echo(
        *place.fill("train {config} --corpus {corpus} --out {here}/run"),
        stdout=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    sizes = {path.relative_to(undisturbed): path.stat().st_size for path in undisturbed.rglob("*") if path.is_file()}
    assert limit < max(sizes.values())
    assert ran.returncode == 1 and "Traceback" not in ran.stderr
    assert "could not be written" in ran.stderr.splitlines()[-1]
    assert not [path for path in place.contents() if path.name.startswith(".")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", ["evaluate {model} {corpus} --json", "transcribe {corpus}/00.wav --model {model}"])
def test_an_output_that_takes_nothing_is_told_in_one_line(words: str, place: Place) -> None:
    with open("/dev/full", "w", encoding="utf-8") as device:
        ran = echo(*place.fill(words), stdout=device)
    assert ran.returncode == 1
    assert ran.stderr == f"echo-asr {words.split()[0]}: No space left on device\n"


def test_an_output_that_nobody_reads_is_no_error_to_tell() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ran = echo("doctor", stdout=writer)
    os.close(writer)
    assert ran.returncode == 1 and ran.stderr == ""


def test_ctrl_c_in_training_keeps_a_checkpoint(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(Reporter, "advance", lambda self, step, _: os.kill(os.getpid(), signal.SIGINT))
    status, output, errors = run(place.fill("train {config} --corpus {corpus} --out {here}/run"), capsys)
    assert status == INTERRUPTED == 130 and output == ""
    assert errors.splitlines()[-1] == (
        f"echo-asr train: stopped; a checkpoint is saved, go on with --resume --out {place.folder}/run"
    )
    assert torch.load(place.folder / "run/checkpoints/last.pt", weights_only=True)["progress"]["step"] == 1


def test_ctrl_c_elsewhere_ends_in_one_line(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(evaluation, "evaluate", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        status, output, errors = run(place.fill("evaluate {model} {corpus}"), capsys)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (status, output, errors) == (130, "", "echo-asr evaluate: interrupted\n")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EIO, "Input/output error", "some/file"), "some/file: Input/output error"),
        (MemoryError(), "out of memory; take a smaller train.batch_seconds or a smaller model"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "out of memory"),
    ],
)
def test_what_the_machine_refuses_is_told_in_one_line(
    error: Exception, message: str, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("echo_asr.commands.doctor.run", raiser(error))
    status, output, errors = run(["doctor"], capsys)
    assert status == 1 and output == "" and errors.startswith(f"echo-asr doctor: {message}") and errors.count("\n") == 1


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("a defect"), KeyError("x")])
def test_a_defect_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echo_asr.commands.doctor.run", raiser(error))
    with pytest.raises(type(error)):
        main(["doctor"])


def raiser(error: Exception) -> Callable[[object], int]:
    def command(_: object) -> int:
        raise error

    return command
