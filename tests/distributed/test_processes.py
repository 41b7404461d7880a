"""Several processes train the model that one trains. Each start of torchrun takes seconds, so that runs are shared."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from echo_asr.distributed.launch import ProcessRank
from echo_asr.errors import EchoError
from tests.helpers.launched import Launched, updates
from tests.helpers.tone_corpus import assert_same_run, checkpoint, metrics, write_config
from tests.helpers.training import train

pytest.importorskip("accelerate")
PLAIN: dict[str, Any] = {  # nothing that is drawn at random while training
    "max_steps": 40,
    "batch_seconds": 1.0,
    "speeds": [1.0],
    "noise_share": 0.0,
    "augment": {"frequency_masks": 0, "time_masks": 0},
    "curriculum": {"pitch": 8},
    "validate_every": 20,
    "checkpoint_every": 5,
    "log_every": 5,
}


def differences(left: Path, right: Path) -> torch.Tensor:
    """By how much each number of the parameters of two runs, and of their averages, differs: `(any,)`."""
    states = [checkpoint(run) for run in (left, right)]
    names = [(part, name) for part in ("model", "averaged") for name in states[0][part]]
    return torch.cat([(states[0][p][n] - states[1][p][n]).abs().flatten() for p, n in names])


def train_both(folder: Path, corpus: Path, *words: str, **options: Any) -> tuple[Path, Path]:
    """A run in two processes, with some more words, and one in a single process whose updates take twice as many
    batches. Its configuration is `plain.yaml` beside both."""
    config = write_config(folder / "plain.yaml", model={"dropout": 0.0}, train={**PLAIN, **options})
    with Launched(["train", config, "--corpus", corpus, "--out", folder / "two", *words]) as launched:
        status, output, errors = launched.finish()
    assert status == 0, errors
    last, best = options.get("max_steps", PLAIN["max_steps"]), checkpoint(folder / "two")["progress"]["best_step"]
    assert output.splitlines() == [f"{folder / 'two'}: trained for {last} updates, best at {best}"]
    assert sum("2 processes, 1 batch of each in an update" in line for line in errors) == 1
    assert sum("trained on" in line for line in errors) == 1
    train(config, str(corpus), folder / "one", ["--train.accumulate", "2"])
    return folder / "one", folder / "two"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> tuple[Path, Path]:
    """A run in one process, and one in two, without dropout. Read them only."""
    return train_both(tmp_path_factory.mktemp("launched"), corpus)


def test_two_processes_train_the_model_of_one(plain: tuple[Path, Path]) -> None:
    """The same batches, the same losses and validations, the same model; pitch, which comes in at update 8, has no
    gradient before, and is not so much as decayed."""
    one, two = plain
    assert differences(one, two).max() <= 1e-5
    for left, right in zip(metrics(one), metrics(two), strict=True):
        assert left.keys() == right.keys() and left.get("samples") == right.get("samples")
        numbers = [name for name in left if name not in ("split", "samples")]
        assert [right[name] for name in numbers] == pytest.approx([left[name] for name in numbers], rel=1e-3)
    progress = [checkpoint(run)["progress"] for run in (one, two)]
    assert [(p["epoch"], p["batch"]) for p in progress] == [(progress[0]["epoch"], progress[0]["batch"])] * 2
    assert [(p["processes"], p["accumulate"]) for p in progress] == [(1, 2), (2, 1)]


@pytest.mark.slow
def test_two_processes_train_the_model_of_one_for_long(corpus: Path, tmp_path: Path) -> None:
    assert differences(*train_both(tmp_path, corpus, max_steps=200, validate_every=100)).max() <= 1e-3


@pytest.mark.slow
def test_a_model_in_shards_is_the_model_of_one(corpus: Path, tmp_path: Path) -> None:
    """Its checkpoint is whole, and a single process goes on from it."""
    one, two = train_both(tmp_path, corpus, "--train.shard", "full", max_steps=10, validate_every=5)
    # The norm is summed in another order. Where a gradient is next to nothing Adam makes much of its rounding: of some
    # 50,000 numbers three differ by more than 1e-5, of updates of 1e-2, and their averages.
    found = differences(one, two)
    assert found.max() <= 1e-4 and (found > 1e-5).sum() <= 10
    longer = ["--train.accumulate", "2"]
    state = torch.load(two / "checkpoints/last.pt", weights_only=True)
    state["progress"]["step"] = 9
    torch.save(state, two / "checkpoints/last.pt")
    assert train(tmp_path / "plain.yaml", str(corpus), two, longer, resume=True).step == 10


@pytest.fixture(scope="module")
def random_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With dropout, masks and speeds drawn at random."""
    options = {"max_steps": 24, "validate_every": 12, "checkpoint_every": 5}
    return write_config(tmp_path_factory.mktemp("launched") / "c.yaml", train=options)


@pytest.fixture(scope="module")
def in_two(tmp_path_factory: pytest.TempPathFactory, random_config: Path, corpus: Path) -> Path:
    """A run in two processes that nothing disturbed. Read it only."""
    run = tmp_path_factory.mktemp("launched") / "undisturbed"
    with Launched(["train", random_config, "--corpus", corpus, "--out", run]) as launched:
        assert launched.finish()[0] == 0
    return run


def kill_and_resume(run: Path, config: Path, corpus: Path, last: int) -> None:
    """Kill a process of a run in two after update 7 of `last`, see how the run ends, and go on."""
    words = ["train", config, "--corpus", corpus, "--out", run]
    with Launched(words) as launched:
        launched.wait_until(lambda: updates(run) >= 7)
        killed = launched.kill(1)
        began = time.monotonic()
        status, output, errors = launched.finish()
    assert status != 0 and output == ""
    assert time.monotonic() - began < 120.0  # seconds; a few on a machine that has nothing else to do
    told = [line for line in errors if line.startswith("echo-asr")]
    assert len(told) == 1, errors
    assert told[0].startswith(f"echo-asr train: process 1 of 2 (id {killed} on ")
    assert "go on from the last checkpoint: the same command with --resume" in told[0]
    assert 7 <= updates(run) < last
    with Launched([*words, "--resume"]) as launched:
        status, _, errors = launched.finish()
    assert status == 0, errors


processes_are_found = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")


@processes_are_found
def test_a_process_that_was_killed_ends_the_run_which_then_resumes_to_the_bit(
    plain: tuple[Path, Path], corpus: Path, tmp_path: Path
) -> None:
    _, two = plain
    kill_and_resume(tmp_path / "run", two.with_name("plain.yaml"), corpus, PLAIN["max_steps"])
    assert_same_run(tmp_path / "run", two)


@pytest.mark.slow
@processes_are_found
def test_so_does_a_run_that_draws_dropout_and_masks_at_random(
    in_two: Path, random_config: Path, corpus: Path, tmp_path: Path
) -> None:
    kill_and_resume(tmp_path / "run", random_config, corpus, 24)
    assert_same_run(tmp_path / "run", in_two)


def test_processes_drop_out_otherwise_each(plain: tuple[Path, Path]) -> None:
    state = checkpoint(plain[1])
    assert len(state["random_of_others"]) == 1
    assert not torch.equal(state["random"], state["random_of_others"][0]["random"])


def test_another_number_of_processes_goes_on_at_the_same_place(
    plain: tuple[Path, Path], corpus: Path, tmp_path: Path, capsys: Any
) -> None:
    run, config = tmp_path / "run", plain[1].with_name("plain.yaml")
    shutil.copytree(plain[1], run)
    state = torch.load(run / "checkpoints/last.pt", weights_only=True)
    state["progress"]["step"] -= 4
    torch.save(state, run / "checkpoints/last.pt")
    before = state["progress"]
    train(config, str(corpus), run, ["--train.accumulate", "2"], resume=True)
    after = checkpoint(run)["progress"]
    batches = 8  # 4 updates of 2
    plan = after["epoch"] - before["epoch"], after["batch"]
    assert after["step"] == before["step"] + 4 and plan > (0, before["batch"]), (before, after, batches)
    told = capsys.readouterr().err
    assert "the checkpoint is of 2 processes, this run has 1" in told
    with pytest.raises(EchoError, match="train.accumulate is 1, and the run was started with 2"):
        train(config, str(corpus), run, resume=True)


@pytest.mark.slow
def test_sigterm_to_torchrun_leaves_a_checkpoint(
    in_two: Path, random_config: Path, corpus: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["train", random_config, "--corpus", corpus, "--out", run]
    with Launched(words) as launched:
        launched.wait_until(lambda: updates(run) >= 3)
        launched.process.terminate()
        status, _, errors = launched.finish()
    told = [line for line in errors if line.startswith("echo-asr")]
    assert status != 0
    assert told == [f"echo-asr train: stopped; a checkpoint is saved, go on with --resume --out {run}"]
    assert checkpoint(run)["progress"]["step"] == updates(run)
    with Launched([*words, "--resume"]) as launched:
        assert launched.finish()[0] == 0
    assert_same_run(run, in_two)


@pytest.mark.slow
def test_two_processes_transcribe_a_list_and_leave_out_what_is_there(
    undisturbed: Path, corpus: Path, tmp_path: Path
) -> None:
    """One of the files is bad: the process that has it waits for the other before it ends with status 1."""
    files = [*sorted(corpus.glob("0*.wav")), tmp_path / "absent.wav"]
    (tmp_path / "list").write_text("".join(f"{path}\n" for path in files))
    words = ["transcribe", "--model", undisturbed, "--files", tmp_path / "list", "--output-dir", tmp_path / "out"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "03.txt").write_text("there before")
    with Launched([*words, "--skip-existing"]) as launched:
        status, output, errors = launched.finish()
    told = [line for line in errors if line.startswith("echo-asr")]
    assert status != 0 and output == "" and "absent.wav" in told[0], errors
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {path.stem for path in files[:-1]}
    assert (tmp_path / "out" / "03.txt").read_text() == "there before"


@pytest.mark.slow
def test_a_mistake_is_told_once(corpus: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.yaml")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "other").write_text("something else")
    with Launched(["train", config, "--corpus", corpus, "--out", tmp_path / "run"]) as launched:
        status, _, errors = launched.finish()
    told = [line for line in errors if line.startswith("echo-asr")]
    assert status != 0 and len(told) == 1 and "run: exists and is not empty" in told[0]


def test_batches_are_dealt_out_in_turn() -> None:
    items = list(range(11))
    shares = [ProcessRank(rank, 3).share(items) for rank in range(3)]
    assert sorted(sum(shares, [])) == items and {len(s) for s in shares} == {3, 4}
