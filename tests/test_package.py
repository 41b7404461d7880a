import subprocess
import sys
import tomllib
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
