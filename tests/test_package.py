import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import echo_asr
from echo_asr.errors import EchoError
from tests.helpers.tone_corpus import tone

ROOT = Path(__file__).parents[1]


def test_all_that_is_offered_is_there() -> None:
    for name in echo_asr.__all__:
        assert getattr(echo_asr, name) is not None
    assert echo_asr.EchoError is EchoError
    assert issubclass(EchoError, Exception)


def test_what_is_not_there_is_told_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'echo_asr' has no attribute 'laod'"):
        _ = echo_asr.laod  # type: ignore[attr-defined]


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert echo_asr.__version__ == project["version"]


def test_types_are_offered() -> None:
    assert (Path(echo_asr.__file__).parent / "py.typed").is_file()


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "echo_asr", "--version"]
    ran = subprocess.run(
        command, cwd=Path(echo_asr.__file__).parents[1], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == f"echo-asr {echo_asr.__version__}\n" and ran.stderr == ""


def test_a_model_is_loaded_and_used_in_two_lines(learnt: Path, corpus: Path) -> None:
    recognizer = echo_asr.load(learnt)
    samples = tone("b a")
    found = recognizer.transcribe(samples)
    assert isinstance(found, echo_asr.Transcription)
    assert found.text == "b a" and found.duration == pytest.approx(samples.size / 16_000)
    assert recognizer.transcribe(corpus / "03.wav").text == recognizer.transcribe(str(corpus / "03.wav")).text == "a b"


@pytest.mark.parametrize("form", ["float64", "int16", "tensor", "stereo", "48 kHz"])
def test_any_form_of_sound_is_heard_alike(form: str, learnt: Path) -> None:
    samples, rate = tone("c a"), None
    sound: np.ndarray | torch.Tensor = samples.astype(np.float64)
    if form == "int16":
        sound = (samples * 32767).astype(np.int16)
    elif form == "tensor":
        sound = torch.from_numpy(samples)
    elif form == "stereo":
        sound = np.stack([samples, samples])
    elif form == "48 kHz":
        sound, rate = np.repeat(samples, 3), 48_000
    found = echo_asr.load(learnt).transcribe(sound, rate)
    assert found.text == "c a" and found.duration == pytest.approx(samples.size / 16_000, abs=1e-3)


def test_decoding_options_are_given_at_loading(learnt: Path) -> None:
    recognizer = echo_asr.load(learnt, device="cpu", beam=3, ctc_weight=0.5)
    assert recognizer.decode.beam == 3 and recognizer.decode.ctc_weight == 0.5
    assert recognizer.transcribe(tone("a")).text == "a"
    with pytest.raises(EchoError, match=r"unknown option --decode.baem; did you mean --decode.beam\?"):
        echo_asr.load(learnt, baem=3)
    with pytest.raises(EchoError, match="decode.beam must be at least 1, got 0"):
        echo_asr.load(learnt, beam=0)


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match="no such model folder"):
        echo_asr.load(tmp_path / "nowhere")
    with pytest.raises(EchoError, match="config.yaml, model.safetensors, tokenizer.json missing"):
        echo_asr.load(tmp_path)


# --- installed

TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def ran(*command: str | Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """A command outside of the repository, in which no other copy of Echo is found."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(word) for word in command], cwd=folder, env={**given, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The programs of an environment that has nothing but the wheel and what it needs. Where no index of packages
    answers, it has what this environment has."""
    folder = tmp_path_factory.mktemp("installed")
    made = ran(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT, folder=folder)
    if made.returncode:
        pytest.skip(f"no wheel can be built without hatchling, which pip does not find: {made.stderr.strip()[-200:]}")
    (wheel,) = folder.glob("echo_asr-*.whl")
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    assert ran(sys.executable, "-m", "venv", folder / "env", folder=folder).returncode == 0
    pip = (programs / "python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints-cpu.txt")
    (torch_pin,) = re.findall("^torch==.*", (ROOT / "constraints-cpu.txt").read_text(encoding="utf-8"), re.MULTILINE)
    small = ("--no-deps", "--retries", "1", "--timeout", "15", "--extra-index-url", TORCH_INDEX, torch_pin)
    if any(ran(*pip, *words, folder=folder).returncode for words in (small, [wheel])):
        alone = ran(*pip, "--no-deps", "--force-reinstall", wheel, folder=folder)
        assert alone.returncode == 0, alone.stderr
        where = ran(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder)
        Path(where.stdout.strip(), "here.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    yield programs
    shutil.rmtree(folder / "env")  # more than a gigabyte


@pytest.mark.slow
def test_a_wheel_trains_evaluates_and_transcribes_by_itself(installed: Path, corpus: Path, tmp_path: Path) -> None:
    def echo(*words: str | Path) -> str:
        found = ran(installed / "echo-asr", *words, folder=tmp_path)
        assert found.returncode == 0, found.stderr
        return found.stdout

    place = ran(installed / "python", "-c", "import echo_asr; print(echo_asr.__file__)", folder=tmp_path).stdout
    assert Path(place.strip()).is_relative_to(installed.parent)
    assert "demo" in echo("recipes")
    short = ("--train.max_steps", "4", "--train.validate_every", "2", "--train.batch_seconds", "3")
    assert "trained for 4 updates" in echo("train", "demo", "--corpus", corpus, "--out", "run", *short)
    assert "word error" in echo("evaluate", "run", corpus)
    echo("transcribe", corpus / "00.wav", "--model", "run", "--output-dir", "texts")
    assert (tmp_path / "texts" / "00.txt").is_file()
