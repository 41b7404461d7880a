import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import echo_asr
from echo_asr.config import read_yaml
from echo_asr.data.corpus import Corpus, Utterance, load_corpus
from echo_asr.data.noise import Kind, noise_clip
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.evaluate.evaluate import evaluate
from echo_asr.model.checkpoint import Bundle, load_bundle
from echo_asr.model.config import PRESETS
from echo_asr.train.loop import SECTIONS, Interrupted
from echo_asr.train.report import Reporter
from echo_asr.train.run import hold_out, read_config, train

from .conftest import CONFIG, checkpoint, metrics, same, tone, write_config, write_corpus

PACKAGE_ROOT = Path(echo_asr.__file__).parents[1]
MODEL_FILES = ("config.yaml", "model.safetensors", "tokenizer.json")


class Crash(BaseException):
    """The end of a process, as far as training is concerned."""


def crash_after(update: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End training right after an update, before it is validated or kept; another 0 or less ends it never."""
    advance = Reporter.advance

    def advance_or_crash(self: Reporter, step: int, measured: Any) -> None:
        advance(self, step, measured)
        if step == update:
            raise Crash

    monkeypatch.setattr(Reporter, "advance", advance_or_crash)


def assert_same_run(run: Path, expected: Path) -> None:
    """Weights, averages, optimizer, random numbers, place, metrics and the best model, all equal to the bit."""
    assert same(checkpoint(run), checkpoint(expected))
    assert metrics(run) == metrics(expected)
    for name in MODEL_FILES:
        assert (run / name).read_bytes() == (expected / name).read_bytes(), name


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- configuration ---


def test_defaults_stand_where_nothing_is_said() -> None:
    assert read_config(None) == {name: kind() for name, kind in SECTIONS.items()}


def test_numbers_are_numbers_and_overrides_prevail(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("train: {learning_rate: 3e-4, speeds: [1, 1.1], max_steps: 7}\nmodel: {preset: tiny, width: 72}\n")
    words = ["--train.max_steps", "9", "--train.augment.time_masks=1", "--model.vrope.theta", "axis"]
    built = read_config(path, words)
    assert built["train"].learning_rate == 3e-4 and built["train"].speeds == (1.0, 1.1)
    assert built["train"].max_steps == 9 and built["train"].augment.time_masks == 1
    assert built["model"].width == 72 and built["model"].heads == PRESETS["tiny"]["heads"]
    assert built["model"].vrope.theta == "axis"


@pytest.mark.parametrize("words", [["--model.preset", "small"], ["--model.preset=small"]])
def test_a_preset_can_be_given_on_the_command_line(words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model: {preset: tiny, dropout: 0.25}\n")
    built = read_config(path, [*words, "--model.heads", "2"])["model"]
    assert built.width == PRESETS["small"]["width"] and built.heads == 2 and built.dropout == 0.25


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("train: {max_step: 3}", [], "c.yaml: unknown key train.max_step; did you mean max_steps?"),
        ("trian: {}", [], "c.yaml: unknown section 'trian'; did you mean train?"),
        ("model: {vrope: {thta: axis}}", [], "unknown key model.vrope.thta; did you mean theta?"),
        ("model: {vrope: 3}", [], "model.vrope must be a mapping of keys, got 3"),
        ("model: {preset: huge}", [], "model.preset must be one of tiny, small, base, got 'huge'"),
        ("model: {preset: [a]}", [], "model.preset must be one of"),
        ("model: [1]", [], "section 'model' must be a mapping of keys, got [1]"),
        ("1: {}", [], "unknown section 1"),
        ("train: {1: 2}", [], "unknown key train.1"),
        ("hello", [], "a configuration is a mapping of sections, got str"),
        ("a: b: c", [], "c.yaml: not valid YAML"),
        ("a: 2024-13-45", [], "c.yaml: not valid YAML"),
        ("[" * 3000, [], "c.yaml: not valid YAML"),
        ("train: {learning_rate: fast}", [], "train.learning_rate"),
        ("train: {learning_rate: .nan}", [], "train.learning_rate must be positive, got nan"),
        ("train: {max_steps: 1.5}", [], "train.max_steps"),
        ("train: {speeds: 3}", [], "train.speeds"),
        ("train: {augment: {time_share: 7}}", [], "train.augment.time_share must lie in [0, 1], got 7"),
        ("model: {vrope: {theta: axs}}", [], "model.vrope.theta"),
        ("model: {width: 34}", [], "width 34 must be a multiple of heads"),
        ("train: {curriculum: {pitch: -1}}", [], "train.curriculum: updates must not be negative"),
        (
            "train: {curriculum: {ptich: 9}}",
            [],
            "train.curriculum names 'ptich'; model.features are spectrogram, pitch",
        ),
        ("train: {max_steps: 5, curriculum: {pitch: 5}}", [], "brings pitch in at update 5, and train.max_steps is 5"),
        ("train: {curriculum: {spectrogram: 9}}", [], "train.curriculum must leave spectrogram, model.ctc_feature"),
        ("", ["--train.max_step", "3"], "unknown option --train.max_step; did you mean --train.max_steps?"),
        ("", ["--train.max_steps", "many"], "train.max_steps"),
        ("", ["--train.max_steps"], "--train.max_steps: expected one argument"),
        ("", ["--model.preset"], "--model.preset: expected the name of a preset after it"),
        ("", ["--model.preset", "huge"], "model.preset must be one of"),
    ],
)
def test_a_wrong_configuration_is_told_in_one_line(text: str, words: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(EchoError) as caught:
        read_config(path, words)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_section_has_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model:\ntrain:\n")
    assert read_config(path) == read_config(None)
    assert read_config(path, ["--model.preset", "small"])["model"].width == PRESETS["small"]["width"]


@pytest.mark.parametrize("value", ["[1]", "3", "tiny"])
def test_a_preset_for_a_model_section_that_is_none_is_told(value: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"model: {value}\n")
    with pytest.raises(EchoError, match="section 'model' must be a mapping"):
        read_config(path, ["--model.preset", "tiny"])


# --- splits ---


def rows(**counts: int) -> Corpus:
    names = [(split, f"{split}{number}") for split, count in counts.items() for number in range(count)]
    return Corpus("rows", tuple(Utterance(name, Path("x.wav"), "a", "", split, 1.0) for split, name in names))


@pytest.mark.parametrize(("count", "held"), [(2, 1), (3, 1), (19, 1), (20, 1), (21, 2), (400, 20)])
def test_a_twentieth_is_held_out_where_there_is_no_validation_split(count: int, held: int) -> None:
    before = rows(train=count, test=3)
    after = hold_out(before)
    assert len(after.split("validation")) == held and len(after.split("train")) == count - held
    assert [u.id for u in after.utterances] == [u.id for u in before.utterances]
    assert after.split("test") == before.split("test")
    assert hold_out(before) == after


def test_a_validation_split_is_left_as_it_is() -> None:
    corpus = rows(train=50, validation=1)
    assert hold_out(corpus) is corpus


@pytest.mark.parametrize("count", [0, 1])
def test_too_little_to_hold_out_is_told(count: int) -> None:
    with pytest.raises(EchoError, match=rf"rows: too few training utterances \({count}\)"):
        hold_out(rows(train=count, test=2))


# --- a run ---


def test_a_run_is_a_model(undisturbed: Path, corpus: Path) -> None:
    left = {path.relative_to(undisturbed).parts[0] for path in undisturbed.rglob("*") if path.is_file()}
    assert left == {*MODEL_FILES, "metrics.jsonl", "tensorboard", "checkpoints"}
    assert [path.name for path in (undisturbed / "checkpoints").iterdir()] == ["last.pt"]
    written = read_yaml(undisturbed / "config.yaml")
    for section, keys in CONFIG.items():
        for key, value in keys.items():
            found = written[section][key]
            assert {name: found[name] for name in value} == value if isinstance(value, dict) else found == value
    assert read_config(undisturbed / "config.yaml")["train"].max_steps == 6, "it can be trained with again"
    recognizer = echo_asr.load(undisturbed)
    assert isinstance(recognizer.transcribe(tone("a")).text, str)


def test_the_same_seed_makes_the_same_run_and_another_another(
    undisturbed: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    torch.rand(3)  # what was drawn before does not matter
    train(config, str(corpus), tmp_path / "again")
    assert_same_run(tmp_path / "again", undisturbed)
    train(config, str(corpus), tmp_path / "other", ["--train.seed", "1"])
    assert not same(checkpoint(tmp_path / "other")["model"], checkpoint(undisturbed)["model"])


def test_a_run_learns_to_write_what_was_said(learnt: Path, corpus: Path) -> None:
    corpora, recognizer = load_corpus(corpus), echo_asr.load(learnt)
    for split in ("train", "validation", "test"):
        found = evaluate(recognizer, "tones", split, corpora.split(split))
        assert found.hypotheses == found.references, f"{split}, free-running"
    losses = [line["loss"] for line in metrics(learnt) if line["split"] == "validation"]
    assert len(losses) == 2 and losses[1] < losses[0]


def test_silence_and_noise_are_learnt_as_no_speech(learnt: Path) -> None:
    recognizer = echo_asr.load(learnt)
    kinds: tuple[Kind, ...] = ("silence", "white", "pink")
    heard = {kind: recognizer.transcribe(noise_clip(kind, 0.4, seed=99, level_db=-30.0)).text for kind in kinds}
    assert heard == dict.fromkeys(kinds, "")


# --- resuming ---


@pytest.mark.parametrize("update", [1, 2, 3, 4, 5, 6])
def test_a_run_that_crashed_anywhere_ends_as_if_it_had_not(
    update: int, undisturbed: Path, config: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    crash_after(update, monkeypatch)
    with pytest.raises(Crash):
        train(config, str(corpus), run)
    torch.manual_seed(12345)  # another process has other random numbers
    monkeypatch.undo()
    assert train(config, str(corpus), run, resume=True).step == 6
    assert_same_run(run, undisturbed)


def test_a_run_may_crash_again_and_again(
    undisturbed: Path, config: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    for update in (1, 3, 4, 5, 6):
        crash_after(update, monkeypatch)
        with pytest.raises(Crash):
            train(config, str(corpus), run, resume=run.exists())
        monkeypatch.undo()
        torch.manual_seed(update)
    train(config, str(corpus), run, resume=True)
    assert_same_run(run, undisturbed)


def test_batches_that_make_one_update_stay_together(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updates of several batches reach over the ends of epochs. Pitch comes in later, in the middle of it all."""
    options = {"accumulate": 2, "checkpoint_every": 1, "batch_seconds": 2.0, "curriculum": {"pitch": 4}}
    config = write_config(tmp_path / "c.yaml", train=options)
    train(config, str(corpus), tmp_path / "whole")
    for update in (2, 3, 5):
        crash_after(update, monkeypatch)
        with pytest.raises(Crash):
            train(config, str(corpus), tmp_path / "run", resume=update > 2)
        monkeypatch.undo()
    train(config, str(corpus), tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    epochs = [line["epoch"] for line in metrics(tmp_path / "run") if line["split"] == "train"]
    assert epochs[-1] >= 2


@pytest.mark.parametrize("moment", ["checkpoint", "config", "weights"])
def test_a_run_that_crashed_as_it_began_can_be_taken_up(
    moment: str, undisturbed: Path, config: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every moment either a new start or --resume works."""
    run = tmp_path / "run"

    def crash(*_: object) -> None:
        raise Crash

    if moment == "checkpoint":
        monkeypatch.setattr(torch, "save", crash)
    elif moment == "config":
        monkeypatch.setattr(Bundle, "save", crash)
    else:
        monkeypatch.setattr(Bundle, "save_weights", crash)
    with pytest.raises(Crash):
        train(config, str(corpus), run)
    monkeypatch.undo()
    torch.manual_seed(1)
    wrong, right = (True, False) if moment == "checkpoint" else (False, True)
    with pytest.raises(EchoError, match="leave out --resume" if wrong else "go on with --resume"):
        train(config, str(corpus), run, resume=wrong)
    train(config, str(corpus), run, resume=right)
    assert_same_run(run, undisturbed)


def test_half_a_file_that_a_crash_left_does_not_stand_in_the_way(
    undisturbed: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    left = tmp_path / "run" / "checkpoints" / ".last.pt.0123abcd.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    train(config, str(corpus), tmp_path / "run")
    left.unlink()
    assert_same_run(tmp_path / "run", undisturbed)


@pytest.mark.parametrize(
    "words",
    [["--train.seed", "1"], ["--train.max_steps", "7"], ["--model.dropout", "0.2"], ["--features.peak_floor_db", "-41"],
     ["--train.augment.time_masks", "1"]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_another_configuration_is_not_resumed_with(
    words: list[str], undisturbed: Path, config: Path, corpus: Path
) -> None:
    before = snapshot(undisturbed)
    with pytest.raises(EchoError, match="belongs to another configuration or corpus"):
        train(config, str(corpus), undisturbed, words, resume=True)
    assert snapshot(undisturbed) == before


@pytest.mark.parametrize("words", [["--train.log_every", "5"], ["--train.checkpoint_every", "1"]])
def test_what_changes_no_weight_may_change(
    words: list[str], undisturbed: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(undisturbed, tmp_path / "run")
    assert train(config, str(corpus), tmp_path / "run", words, resume=True).step == 6


def test_another_corpus_is_not_resumed_with(undisturbed: Path, config: Path, tmp_path: Path) -> None:
    other = write_corpus(tmp_path / "other", [("train", text, 1.0) for text in ("a", "b", "c", "a b")])
    before = snapshot(undisturbed)
    with pytest.raises(EchoError, match="belongs to another configuration or corpus"):
        train(config, str(other), undisturbed, resume=True)
    strange = write_corpus(tmp_path / "strange", [("train", text, 1.0) for text in ("a", "b", "z")])
    with pytest.raises(EchoError, match="'z'"):
        train(config, str(strange), undisturbed, resume=True)
    assert snapshot(undisturbed) == before


@pytest.mark.parametrize("what", ["run", "file in it", "file", "hidden file"])
def test_nothing_that_exists_is_trained_over(
    what: str, undisturbed: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if what == "run":
        shutil.copytree(undisturbed, out)
    elif what == "file":
        out.write_text("precious")
    else:
        out.mkdir()
        (out / (".precious" if what.startswith("hidden") else "precious.txt")).write_text("precious")
    before = snapshot(tmp_path)
    remedy = "go on with --resume, or choose another --out" if what == "run" else "choose another --out"
    with pytest.raises(EchoError, match=f"out: exists and is not empty; {remedy}"):
        train(config, str(corpus), out)
    assert snapshot(tmp_path) == before


def test_an_empty_folder_is_trained_into(config: Path, corpus: Path, tmp_path: Path) -> None:
    assert train(config, str(corpus), tmp_path, ["--train.max_steps", "1"]).step == 1
    assert load_bundle(tmp_path).tokenizer.vocabulary_size == 5


@pytest.mark.parametrize("place", ["missing", "empty", "model without checkpoints"])
def test_there_must_be_something_to_resume(
    place: str, undisturbed: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if place == "empty":
        out.mkdir()
    elif place != "missing":
        shutil.copytree(undisturbed, out, ignore=shutil.ignore_patterns("checkpoints"))
    before = snapshot(tmp_path)
    with pytest.raises(EchoError, match="out: no run to resume there"):
        train(config, str(corpus), out, resume=True)
    assert snapshot(tmp_path) == before


def test_a_disk_that_is_full_as_a_run_begins_leaves_no_part_of_a_file(
    config: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def full(source: Any, target: Any) -> None:
        if "tokenizer" in str(target):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(EchoError, match="tokenizer.json: could not be written .No space left on device"):
        train(config, str(corpus), tmp_path / "run")
    left = {path.name for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert left == {"last.pt", "config.yaml"}


def test_a_damaged_checkpoint_is_told_and_the_model_stays(
    undisturbed: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    (run / "checkpoints/last.pt").write_bytes((run / "checkpoints/last.pt").read_bytes()[:1000])
    before = snapshot(run)
    with pytest.raises(EchoError, match="damaged checkpoint"):
        train(config, str(corpus), run, resume=True)
    assert snapshot(run) == before


# --- whole processes ---


def start(config: Path, corpus: Path, run: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "echo_asr", "train", str(config), "--corpus", str(corpus), "--out", str(run)]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *words], env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_until(ready: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)


def updates(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_text().count('"train"') if path.exists() else 0


def undisturbed_run(folder: Path, corpus: Path, updates: int) -> tuple[Path, Path]:
    """A configuration of so many updates, and its undisturbed run."""
    config = write_config(folder / "c.yaml", train={"max_steps": updates, "validate_every": 20, "checkpoint_every": 7})
    train(config, str(corpus), folder / "undisturbed")
    return config, folder / "undisturbed"


def test_a_process_that_was_killed_is_resumed_to_the_bit(corpus: Path, tmp_path: Path) -> None:
    config, expected = undisturbed_run(tmp_path, corpus, 50)
    run = tmp_path / "run"
    process = start(config, corpus, run)
    wait_until(lambda: updates(run) >= 11, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and 11 <= updates(run) < 50
    assert train(config, str(corpus), run, resume=True).step == 50
    assert_same_run(run, expected)


@pytest.mark.slow
def test_a_process_that_is_killed_at_random_moments_is_resumed_to_the_bit(corpus: Path, tmp_path: Path) -> None:
    config, expected = undisturbed_run(tmp_path, corpus, 200)
    run = tmp_path / "run"
    draw = random.Random(0)
    for _ in range(6):
        process = start(config, corpus, run, *(["--resume"] if (run / "checkpoints/last.pt").exists() else []))
        before = updates(run)
        wait_until(lambda before=before: updates(run) != before, process)
        time.sleep(draw.uniform(0.0, 1.0))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert "Traceback" not in errors, errors
    train(config, str(corpus), run, resume=True)
    assert_same_run(run, expected)


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_and_status_130(corpus: Path, tmp_path: Path) -> None:
    config, expected = undisturbed_run(tmp_path, corpus, 150)
    run = tmp_path / "run"
    process = start(config, corpus, run)
    wait_until(lambda: updates(run) >= 5, process)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and output == ""
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == (
        f"echo-asr train: stopped; a checkpoint is saved, go on with --resume --out {run}"
    )
    assert checkpoint(run)["progress"]["step"] == updates(run)
    train(config, str(corpus), run, resume=True)
    assert_same_run(run, expected)


# --- starting from another model ---


@pytest.fixture
def extended(corpus: Path, tmp_path: Path) -> Path:
    """A corpus whose texts have two symbols that the first one's have not."""
    return write_corpus(
        tmp_path / "extended",
        [("train", text, 1.0) for text in ("a", "b", "c", "é", "a é", "x")] + [("validation", "a", 1.02)],
    )


def test_a_model_is_started_from_and_gets_new_symbols(
    learnt: Path, config: Path, extended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    crash_after(1, monkeypatch)
    with pytest.raises(Crash):
        train(config, str(extended), run, init=learnt)
    old, new = load_bundle(learnt), load_bundle(run)  # as it was before the first update
    assert new.tokenizer.symbols == [*old.tokenizer.symbols, "x", "é"]
    size = old.tokenizer.vocabulary_size
    before, after = old.model.state_dict(), new.model.state_dict()
    for name, value in after.items():
        if name == "decoder.embedding":
            assert torch.equal(value[: size - 1], before[name]) and value.shape[0] == size + 1
        elif name.startswith("ctc_head"):
            assert torch.equal(value[:size], before[name]) and value.shape[0] == size + 2
        else:
            assert torch.equal(value, before[name]), name
    texts = ("a", "c b", "b a")
    assert [Recognizer(new).transcribe(tone(text)).text for text in texts] == list(texts), "it still knows the old ones"


def test_starting_from_a_model_that_knows_everything_changes_nothing(
    learnt: Path, config: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_after(1, monkeypatch)
    with pytest.raises(Crash):
        train(config, str(corpus), tmp_path / "run", init=learnt)
    assert same(dict(load_bundle(tmp_path / "run").model.state_dict()), dict(load_bundle(learnt).model.state_dict()))


def test_new_words_are_learnt_from_an_old_model(learnt: Path, extended: Path, tmp_path: Path) -> None:
    options = {"max_steps": 25, "batch_seconds": 12, "speeds": [1.0], "validate_every": 25, "noise_share": 0.0}
    train(write_config(tmp_path / "c.yaml", train=options), str(extended), tmp_path / "run", init=learnt)
    assert load_bundle(tmp_path / "run").tokenizer.vocabulary_size == 7
    assert echo_asr.load(tmp_path / "run").transcribe(tone("b")).text == "b"


def test_a_run_that_was_started_from_a_model_resumes_without_it(
    learnt: Path, config: Path, extended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config, str(extended), tmp_path / "whole", init=learnt)
    crash_after(3, monkeypatch)
    with pytest.raises(Crash):
        train(config, str(extended), tmp_path / "run", init=learnt)
    monkeypatch.undo()
    train(config, str(extended), tmp_path / "run", resume=True, init=tmp_path / "gone")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.width", "48", "--model.cross_layers", "2"], "differs from the configuration in width, cross_layers"),
        (["--features.mels", "16"], "differs from the configuration in features.mels"),
    ],
)
def test_a_model_of_another_form_cannot_be_started_from(
    words: list[str], message: str, learnt: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(EchoError, match=f"--init .*learnt: its model {message}"):
        train(config, str(corpus), tmp_path / "run", words, init=learnt)
    assert not (tmp_path / "run").exists()


def test_a_corpus_without_validation_split_is_trained_on(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_corpus(tmp_path / "train", [("train", text, 1.0) for text in ("a", "b", "c", "a b")])
    train(config, str(folder), tmp_path / "run", ["--train.max_steps", "1"])
    assert "3 training utterances" in (said := " ".join(capsys.readouterr().err.split()))
    assert "1 for validation (held out, the corpus has no validation split)" in said


def test_stopping_is_told_to_who_called(
    config: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reporter, "advance", lambda self, step, _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        train(config, str(corpus), tmp_path / "run")
    assert checkpoint(tmp_path / "run")["progress"]["step"] == 1


def test_the_config_of_a_run_is_yaml_for_people(undisturbed: Path) -> None:
    text = (undisturbed / "config.yaml").read_text()
    assert "!!" not in text and yaml.safe_load(text)["train"]["speeds"] == [0.9, 1.0, 1.1]
