"""Every command that writes, on a small disk that is really full: one line is told, and nothing is lost."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import echo_asr
from echo_asr.cli import main
from echo_asr.train.report import Reporter
from echo_asr.train.state import CHECKPOINT
from tests.helpers.commands import run
from tests.helpers.slow import slow
from tests.helpers.tone_corpus import assert_same_run, tone, write_config

PACKAGE_ROOT = Path(echo_asr.__file__).parents[1]
SIZE = 1 << 20  # bytes; room for a run of `narrow`, whose checkpoint has 380 000 and weights 65 000
PAGE = 4096  # bytes
NARROW = {"width": 16, "heads": 1, "feedforward": 16}


class Disk:
    """A mounted file system."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.filler = folder, folder / "filler"

    def fill(self, free: int = 0) -> None:
        """Leave room for so many bytes."""
        try:
            with self.filler.open("ab", buffering=0) as file:
                while file.write(bytes(PAGE)):
                    pass
        except OSError:
            os.truncate(self.filler, max(0, self.filler.stat().st_size - free))

    def clear(self) -> None:
        """Make room again."""
        self.filler.unlink()

    def files(self) -> set[str]:
        """What is on it, but for what fills it up."""
        paths = (path for path in self.folder.rglob("*") if path.is_file() and path != self.filler)
        return {str(path.relative_to(self.folder)) for path in paths}


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Disk]]:
    """`(options)`: a new, empty file system of 1 MiB; those who may not mount one skip the test."""
    mounted: list[Path] = []

    def make(*options: str) -> Disk:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        if not sys.platform.startswith("linux") or not shutil.which("mount"):
            pytest.skip("needs a file system of its own: Linux's tmpfs")
        words = ["mount", "-t", "tmpfs", "-o", ",".join((f"size={SIZE}", *options)), "tmpfs", str(folder)]
        made = subprocess.run(words, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"needs a file system of its own, and none may be mounted here: {made.stderr.strip()}")
        mounted.append(folder)
        return Disk(folder)

    yield make
    for folder in mounted:
        if subprocess.run(["umount", str(folder)], check=False).returncode:
            subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.fixture
def disk(mount: Callable[..., Disk]) -> Disk:
    return mount()


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Path:
    """A configuration whose run fits on the disk."""
    return write_config(tmp_path_factory.mktemp("narrow") / "c.yaml", model=NARROW)


@pytest.fixture(scope="module")
def expected(narrow: Path, corpus: Path) -> Path:
    """Its run with all the room in the world. Read it only."""
    out = narrow.parent / "run"
    assert main(["train", str(narrow), "--corpus", str(corpus), "--out", str(out)]) == 0
    return out


def process(*words: str | Path, code: str = "", **environment: str | Path) -> tuple[int, str, str]:
    """Status, output and errors of a command in a process of its own, in which some code runs first."""
    code += "\nimport sys; from echo_asr.cli import main; sys.exit(main())"
    own = {"PYTHONPATH": PACKAGE_ROOT, "OMP_NUM_THREADS": "1", **environment}
    ran = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, **{name: str(value) for name, value in own.items()}},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return ran.returncode, ran.stdout, ran.stderr


def command(capsys: Any, *words: str | Path) -> tuple[int, str, str]:
    """Status, output and errors of a command in this process."""
    return run([str(word) for word in words], capsys)


def assert_told(errors: str, *parts: str | Path, remedies: Sequence[str] = ("make room", "choose another")) -> None:
    """One line, the last, says what failed, where, why, and what to do; what else there is reports what went well."""
    told = [line for line in errors.splitlines() if line.startswith("echo-asr")]
    assert told == errors.splitlines()[-1:], errors
    assert all(str(part) in told[0] for part in parts), told[0]
    assert any(remedy in told[0] for remedy in remedies), told[0]
    assert not any(noise in errors for noise in ("Traceback", "Warning:", "Exception ignored", "enforce fail")), errors


# --- training ---


@pytest.mark.parametrize("free", [0, slow(100_000), slow(180_000), 210_000, slow(260_000)])  # bytes
def test_training_onto_a_full_disk(
    free: int,
    disk: Disk,
    narrow: Path,
    corpus: Path,
    expected: Path,
    capsys: Any,
) -> None:
    """The first checkpoint, the configuration, the weights, or the first metrics are what there is no room for."""
    out = disk.folder / "run"
    words = ["train", narrow, "--corpus", corpus, "--out", out]
    disk.fill(free)
    status, output, errors = command(capsys, *words)
    assert status == 1 and output == ""
    assert_told(errors, out, "No space left on device")
    assert not [name for name in disk.files() if name.endswith(".part")]
    begun = (out / CHECKPOINT).exists()
    assert begun or disk.files() == set()
    disk.clear()
    assert command(capsys, *words, *(["--resume"] if begun else []))[0] == 0
    assert_same_run(out, expected)


@pytest.mark.parametrize(
    ("update", "free", "failing", "kept"),
    [
        slow(1, 0, CHECKPOINT, 0),
        (2, 200_000, CHECKPOINT, 0),
        (3, 0, "model.safetensors", 2),
        slow(3, 100_000, CHECKPOINT, 2),  # room for the weights, which are validated before
        slow(5, 0, CHECKPOINT, 4),
        (6, 0, "", 4),  # the weights if they are the best so far, else the checkpoint
    ],
)
def test_a_disk_that_fills_up_in_training(
    update: int,
    free: int,
    failing: str,
    kept: int,
    disk: Disk,
    narrow: Path,
    corpus: Path,
    expected: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    """The checkpoint before stays, and the model; where there is room again, the run ends as if there always was."""
    advance, out = Reporter.advance, disk.folder / "run"

    def fill_disk(self: Reporter, step: int, measured: Any) -> None:
        advance(self, step, measured)
        if step == update:
            disk.fill(free)

    monkeypatch.setattr(Reporter, "advance", fill_disk)
    words = ["train", narrow, "--corpus", corpus, "--out", out]
    status, output, errors = command(capsys, *words)
    assert status == 1 and output == ""
    assert_told(errors, out / failing, "No space left on device")
    assert not [name for name in disk.files() if name.endswith(".part")]
    assert torch.load(out / CHECKPOINT, weights_only=True)["progress"]["step"] == kept
    assert isinstance(echo_asr.load(out).transcribe(tone("a")).text, str)
    monkeypatch.undo()
    disk.clear()
    assert command(capsys, *words, "--resume")[0] == 0
    assert_same_run(out, expected)


def test_a_process_whose_disk_fills_up_says_it_in_one_line(disk: Disk, narrow: Path, corpus: Path) -> None:
    """Nothing is added by the threads of TensorBoard, or as the interpreter ends."""
    code = f"""
from echo_asr.train.report import Reporter
def fill_disk(self, step, measured):
    if step == 3:
        with open({str(disk.filler)!r}, "wb", buffering=0) as file:
            try:
                while file.write(bytes({PAGE})):
                    pass
            except OSError:
                pass
Reporter.advance = fill_disk
"""
    out = disk.folder / "run"
    status, output, errors = process("train", narrow, "--corpus", corpus, "--out", out, code=code)
    assert status == 1 and output == ""
    assert_told(errors, out / "model.safetensors", "No space left on device")


def test_training_goes_on_where_features_cannot_be_kept(
    disk: Disk,
    narrow: Path,
    corpus: Path,
    expected: Path,
    tmp_path: Path,
) -> None:
    disk.fill()
    words = ["train", narrow, "--corpus", corpus, "--out", tmp_path / "run"]
    status, output, errors = process(*words, ECHO_ASR_CACHE=disk.folder / "cache")
    assert status == 0 and output.startswith(f"{tmp_path}/run: trained for 6 updates"), errors
    assert_same_run(tmp_path / "run", expected)
    told = [line for line in errors.splitlines() if "features cannot be kept" in line]
    assert len(told) == 1 and str(disk.folder / "cache") in told[0] and "set ECHO_ASR_CACHE" in told[0], errors
    assert "UserWarning" not in errors and ".py:" not in errors, "a line for people"


# --- using a model ---


def test_transcriptions_onto_a_full_disk(disk: Disk, learnt: Path, corpus: Path, capsys: Any) -> None:
    """What was written stays, what was there before is not lost, and nothing is there by halves."""
    folder = disk.folder / "texts"
    folder.mkdir()
    (folder / "03.txt").write_text("precious")
    disk.fill(PAGE)  # room for one text
    words = ["transcribe", *(corpus / f"0{number}.wav" for number in (0, 3, 4)), "--model", learnt]
    status, output, errors = command(capsys, *words, "--output-dir", folder, "--overwrite")
    assert status == 1 and output == "" and errors.count("\n") == 1
    assert_told(errors, folder / "03.txt", "No space left on device")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"00.txt": "a\n", "03.txt": "precious"}
    disk.clear()
    assert command(capsys, *words, "--output-dir", folder, "--overwrite") == (0, "", "")
    assert (folder / "03.txt").read_text() == "a b\n"


def test_texts_of_an_evaluation_onto_a_full_disk(
    disk: Disk,
    learnt: Path,
    corpus: Path,
    capsys: Any,
) -> None:
    texts = disk.folder / "texts.jsonl"
    texts.write_text("precious")
    disk.fill()
    status, output, errors = command(capsys, "evaluate", learnt, corpus, "--texts", texts, "--overwrite")
    assert status == 1 and "word error" in output, "the result is not lost"
    assert errors.count("\n") == 1
    assert_told(errors, texts, "No space left on device")
    assert disk.files() == {"texts.jsonl"} and texts.read_text() == "precious"


# --- what Echo makes by itself ---


def test_features_onto_a_full_disk(
    disk: Disk,
    narrow: Path,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    disk.fill(100_000)  # room for some of them
    words, cache = ["prepare", corpus, "--config", narrow], disk.folder / "cache"
    status, output, errors = process(*words, ECHO_ASR_CACHE=cache)
    assert status == 1 and output == ""
    assert_told(errors, cache, "set ECHO_ASR_CACHE")
    assert errors.count("\n") == 1, errors
    kept = disk.files()
    assert kept and all(name.endswith(".safetensors") for name in kept)
    disk.clear()
    monkeypatch.setenv("ECHO_ASR_CACHE", str(cache))
    status, output, errors = command(capsys, *words)
    assert status == 0 and errors == "" and f"features are in {cache}" in output
    assert kept < disk.files()


def test_a_synthetic_corpus_onto_a_full_disk(disk: Disk, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    pytest.importorskip("espeakng_loader", reason="needs the extra echo-asr[synth]")
    monkeypatch.setenv("ECHO_ASR_CACHE", str(disk.folder))
    status, output, errors = command(capsys, "prepare", "synth:tones")
    assert status == 1 and output == ""
    assert_told(errors, disk.folder / "synth", "No space left on device", "set ECHO_ASR_CACHE")
    assert disk.files() == set() and list((disk.folder / "synth").iterdir()) == []


# --- disks that are not full, and take nothing all the same ---


@pytest.mark.parametrize(
    ("option", "reason"), [("ro", "Read-only file system"), ("nr_inodes=1", "No space left on device")]
)
def test_a_disk_that_takes_no_files(
    option: str,
    reason: str,
    mount: Callable[..., Disk],
    narrow: Path,
    corpus: Path,
    learnt: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    here = mount(option).folder
    status, output, errors = command(capsys, "train", narrow, "--corpus", corpus, "--out", here / "run")
    assert status == 1 and output == "" and errors.count("\n") == 1
    assert_told(errors, here / "run", "cannot be", "choose another --out")
    words = ["transcribe", corpus / "00.wav", "--model", learnt, "--output-dir", here / "texts"]
    status, output, errors = command(capsys, *words)
    assert status == 1 and output == "" and errors.count("\n") == 1
    assert_told(errors, here / "texts", reason, "choose another --output-dir")
    status, output, errors = command(capsys, "evaluate", learnt, corpus, "--json", "--texts", here / "texts")
    assert status == 1 and output == "" and errors.count("\n") == 1
    assert_told(errors, here, reason, "choose another --texts")
    monkeypatch.setenv("ECHO_ASR_CACHE", str(here))
    status, output, errors = command(capsys, "prepare", "synth:tones")
    assert status == 1 and output == ""
    assert_told(errors, here / "synth", reason, "set ECHO_ASR_CACHE")
    assert list(here.iterdir()) == []
