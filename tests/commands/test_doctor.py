import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from echo_asr import __version__
from echo_asr.cli import main
from echo_asr.commands import doctor
from echo_asr.features import FeatureExtractor


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`(package)`: let it not be installed."""

    def take_away(package: str) -> None:
        version = importlib.metadata.version

        def absent(name: str) -> str:
            if name == package:
                raise importlib.metadata.PackageNotFoundError(name)
            return version(name)

        monkeypatch.setattr(importlib.metadata, "version", absent)
        monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)

    return take_away


def examined() -> dict[str, tuple[bool, str]]:
    return {name: (well, text) for name, well, text in doctor.examine()}


def test_a_machine_that_runs_the_tests_is_well(cache: Path) -> None:
    found = examined()
    assert all(well for well, _ in found.values()), found
    assert __version__ in found["echo-asr"][1]
    assert found["torch"][1] == importlib.metadata.version("torch")
    assert str(cache) in found["cache"][1] and cache.is_dir()
    measured = float(found["features"][1].split()[-2])
    assert measured == pytest.approx(200.0, abs=5.0)
    assert all("\n" not in text for _, text in found.values())


def test_the_command_prints_a_line_each_and_its_status(capsys: Any) -> None:
    assert main(["doctor"]) == 0
    output = capsys.readouterr().out.splitlines()
    assert len(output) == len(examined()) and all(line.startswith("ok  ") for line in output)


@pytest.mark.parametrize("package", ["torch", "tokenizers", "soxr"])
def test_a_missing_requirement_is_a_fault_without_traceback(
    package: str, without: Callable[[str], None], capsys: Any
) -> None:
    without(package)
    assert main(["doctor"]) == 1
    output, errors = capsys.readouterr()
    assert f"FAIL  {package}: not installed; pip install echo-asr brings it" in output.splitlines()
    assert output.splitlines()[-1].split()[1] == "features:", "what can still be examined is"
    assert errors == ""


@pytest.mark.parametrize(
    ("package", "extra"),
    [
        ("av", "av"),
        ("espeakng-loader", "synth"),
        ("swift-f0", "swiftf0"),
        ("peft", "pretrained"),
        ("huggingface-hub", "pretrained"),
    ],
)
def test_a_missing_extra_is_no_fault_and_named(package: str, extra: str, without: Callable[[str], None]) -> None:
    without(package)
    well, text = examined()[package]
    assert well and f"pip install 'echo-asr[{extra}]'" in text


def test_a_cache_that_cannot_be_written_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "file" / "cache"))
    well, text = examined()["cache"]
    assert not well and "cannot be written (Not a directory); set ECHO_ASR_CACHE" in text


@pytest.mark.parametrize("wrong", [RuntimeError("onnxruntime:\nno such kernel"), ImportError("libsndfile")])
def test_features_that_cannot_be_made_are_a_fault(wrong: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise wrong

    monkeypatch.setattr(FeatureExtractor, "__call__", broken)
    well, text = examined()["features"]
    assert not well and " ".join(str(wrong).split()) in text


def test_features_that_are_wrong_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    call = FeatureExtractor.__call__
    monkeypatch.setattr(FeatureExtractor, "__call__", lambda self, audio: call(self, audio[::2].copy()))
    well, text = examined()["features"]
    assert not well and float(text.split()[-2]) == pytest.approx(400.0, abs=10.0)


def write_model(hub: Path, name: str, config: str, weights: bytes, card: str) -> None:
    folder = hub / f"models--{name.replace('/', '--')}" / "snapshots" / ("a1" * 20)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config)
    (folder / "README.md").write_text(f"---\nlicense: {card}\n---\n")
    if weights:
        (folder / "model.safetensors").write_bytes(weights)


def test_encoders_in_the_cache_of_the_hub_are_named(hub: Path) -> None:
    assert examined()["encoders"][1] == f"0 in the hub's cache, {hub}"
    write_model(hub, "one/free", '{"model_type": "whisper"}', bytes(3_400_000), "mit")
    write_model(hub, "one/bound", '{"model_type": "whisper"}', b"", "cc-by-nc-4.0")
    write_model(hub, "of/text", '{"model_type": "bert"}', b"", "mit")
    write_model(hub, "of/nothing", "", b"", "mit")
    found = examined()
    lines = {name: text for name, (well, text) in found.items() if name.startswith("encoder") and well}
    assert lines == {
        "encoders": f"2 in the hub's cache, {hub}; 2 other models, of types that Echo does not use: bert, unknown",
        "encoder one/free@a1a1a1a1a1a1": "3 MB, whisper, licence mit",
        "encoder one/bound@a1a1a1a1a1a1": "0 MB, whisper, licence cc-by-nc-4.0 (no commercial use), without weights",
    }


def test_a_cache_that_cannot_be_listed_is_one_line(
    without: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.scan_cache_dir", lambda root: 1 / 0)
    assert examined()["encoders"] == (False, "ZeroDivisionError: division by zero")
    without("huggingface-hub")
    well, text = examined()["encoders"]
    assert well and "pip install 'echo-asr[pretrained]'" in text
