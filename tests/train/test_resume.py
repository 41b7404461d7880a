import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from echo_asr.errors import EchoError
from echo_asr.model.checkpoint import Bundle
from echo_asr.train.report import Reporter
from echo_asr.train.state import CHECKPOINT
from echo_asr.train.stop import Interrupted
from tests.helpers.killed import start, updates, wait_until
from tests.helpers.slow import slow
from tests.helpers.tone_corpus import (
    assert_same_run,
    checkpoint,
    metrics,
    snapshot,
    write_config,
    write_corpus,
)
from tests.helpers.training import Crash, train, train_until_crash

# --- crashes ---


@pytest.mark.parametrize("update", [1, slow(2), 3, 4, slow(5), 6])
def test_a_run_that_crashed_anywhere_ends_as_if_it_had_not(
    update: int, undisturbed: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train_until_crash(update, config, str(corpus), run)
    torch.manual_seed(12345)  # another process has other random numbers
    assert train(config, str(corpus), run, resume=True).step == 6
    assert_same_run(run, undisturbed)


def test_a_run_may_crash_again_and_again(undisturbed: Path, config: Path, corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for update in (1, 3, 4, 5, 6):
        train_until_crash(update, config, str(corpus), run, resume=run.exists())
        torch.manual_seed(update)
    train(config, str(corpus), run, resume=True)
    assert_same_run(run, undisturbed)


def test_batches_that_make_one_update_stay_together(corpus: Path, tmp_path: Path) -> None:
    """Updates of several batches reach over the ends of epochs. Pitch comes in later, in the middle of it all."""
    options = {"accumulate": 2, "checkpoint_every": 1, "batch_seconds": 2.0, "curriculum": {"pitch": 4}}
    config = write_config(tmp_path / "c.yaml", train=options)
    train(config, str(corpus), tmp_path / "whole")
    for update in (2, 3, 5):
        train_until_crash(update, config, str(corpus), tmp_path / "run", resume=update > 2)
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
    assert_same_run(tmp_path / "run", undisturbed)


@pytest.mark.parametrize("resume", [False, True], ids=["new", "resumed"])
def test_half_files_that_kills_left_do_not_pile_up(
    resume: bool, undisturbed: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    """A killed process cannot clean up after itself; who takes up its run does, or the disk fills with checkpoints."""
    run = tmp_path / "run"
    if resume:
        shutil.copytree(undisturbed, run)
    left = [run / name for name in ("checkpoints/.last.pt.0123abcd.part", ".model.safetensors.4567cdef.part")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    train(config, str(corpus), run, ["--train.max_steps", "6"], resume=resume)
    assert [path for path in left if path.exists()] == []


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


def test_stopping_is_told_to_who_called(
    config: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reporter, "advance", lambda self, step, _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        train(config, str(corpus), tmp_path / "run")
    assert checkpoint(tmp_path / "run")["progress"]["step"] == 1


# --- what a run may be resumed with ---


@pytest.mark.parametrize(
    "words",
    [["--train.seed", "1"], ["--train.max_steps", "7"], ["--model.dropout", "0.2"], ["--features.mels", "41"],
     ["--train.augment.time_masks", "1"]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_another_configuration_is_not_resumed_with(
    words: list[str], undisturbed: Path, config: Path, corpus: Path
) -> None:
    before = snapshot(undisturbed)
    expected = rf"belongs to another configuration or corpus \({words[0][2:]} was .* and is {words[1]}(\.0)?\); resume"
    with pytest.raises(EchoError, match=expected):
        train(config, str(corpus), undisturbed, words, resume=True)
    assert snapshot(undisturbed) == before


def test_a_run_of_an_earlier_echo_is_not_resumed(undisturbed: Path, config: Path, corpus: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("cross_nulls", "heard_nulls"))
    with pytest.raises(EchoError, match=r"\(an earlier version of Echo started it, .*\); resume with what"):
        train(config, str(corpus), run, ["--train.seed", "1"], resume=True)


@pytest.mark.parametrize("words", [["--train.log_every", "5"], ["--train.checkpoint_every", "1"]])
def test_what_changes_no_weight_may_change(
    words: list[str], undisturbed: Path, config: Path, corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(undisturbed, tmp_path / "run")
    assert train(config, str(corpus), tmp_path / "run", words, resume=True).step == 6


def test_another_corpus_is_not_resumed_with(undisturbed: Path, config: Path, tmp_path: Path) -> None:
    other = write_corpus(tmp_path / "other", [("train", text, 1.0) for text in ("a", "b", "c", "a b")])
    before = snapshot(undisturbed)
    with pytest.raises(EchoError, match=r"or corpus \(the configuration is the same, the corpus is not\)"):
        train(config, str(other), undisturbed, resume=True)
    strange = write_corpus(tmp_path / "strange", [("train", text, 1.0) for text in ("a", "b", "z")])
    with pytest.raises(EchoError, match="'z'"):
        train(config, str(strange), undisturbed, resume=True)
    assert snapshot(undisturbed) == before


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


# --- whole processes ---


def half_written(run: Path) -> set[Path]:
    """Checkpoints that are being written, or were when their process was killed."""
    return set(run.glob("checkpoints/.*.part"))


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
def test_a_process_that_is_killed_at_ten_random_moments_is_resumed_to_the_bit(corpus: Path, tmp_path: Path) -> None:
    """Moments drawn over the life of a run, its start included; for every other one a checkpoint is being written."""
    count, kills = 200, 10
    options = {"max_steps": count, "validate_every": 20, "checkpoint_every": 2}
    config, expected, run = write_config(tmp_path / "c.yaml", train=options), tmp_path / "undisturbed", tmp_path / "run"
    began = time.monotonic()
    process = start(config, corpus, expected)
    wait_until(lambda: updates(expected) > 0, process)
    first = time.monotonic() - began  # seconds until the first update was done
    _, errors = process.communicate(timeout=120)
    whole = time.monotonic() - began  # seconds
    assert process.returncode == 0, errors

    seed = random.SystemRandom().randrange(2**32)
    draw = random.Random(seed)
    moments = sorted(draw.uniform(0.0, whole) for _ in range(kills))
    print(f"seed {seed}: {kills} kills in a life of {whole:.1f} s, of which {first:.1f} s before the first update")
    for number, moment in enumerate(moments):
        process = start(config, corpus, run, *(["--resume"] if (run / CHECKPOINT).exists() else []))
        if moment < first:
            time.sleep(moment)
        else:
            due = min((moment - first) / (whole - first), 0.95) * count  # the last updates would be over too soon
            wait_until(lambda due=due: updates(run) >= due, process)
            time.sleep(draw.uniform(0.0, (whole - first) / count))
            if number % 2:
                before = half_written(run)
                wait_until(lambda before=before: half_written(run) != before, process, pause=0.0)
                time.sleep(draw.uniform(0.0, 0.03))  # it takes about 20 ms to write
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        left = [path.stat().st_size for path in half_written(run)]  # bytes
        print(f"killed at {moment:.2f} s, {updates(run)} updates in metrics, half-written files of {left} bytes")
        assert process.returncode == -signal.SIGKILL, errors
        assert "Traceback" not in errors, errors
    assert train(config, str(corpus), run, resume=(run / CHECKPOINT).exists()).step == count
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
