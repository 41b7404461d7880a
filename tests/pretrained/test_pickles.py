"""Weights that are pickles are converted to safetensors, once, and those that are more than tensors are refused."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from echo_asr.errors import EchoError
from echo_asr.pretrained import pickles
from echo_asr.pretrained.source import find
from echo_asr.pretrained.weights import digest
from echo_asr.storage import unpack
from tests.helpers.hub import COMMIT, REPO, TENSORS, Hub, cached, fill, pickled
from tests.helpers.slow import slow

pytest.importorskip("huggingface_hub")


class Touching:
    """Makes a file when it is loaded from a pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert in this process, whose memory is not to be bounded."""

    def convert(name: str, files: list[Path], target: Path) -> None:
        pickles.main(target, files)

    monkeypatch.setattr(pickles, "_limit_memory", lambda size: None)
    monkeypatch.setattr(pickles, "_convert_apart", convert)


@pytest.mark.parametrize("apart", [False, slow(True)])
def test_pickles_are_converted_once(
    apart: bool, cache: Path, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    if not apart:
        request.getfixturevalue("at_once")
    snapshot = cached(cache, write=pickled)
    found = find(REPO)
    assert found.folder.is_relative_to(tmp_path / "echo") and not (snapshot / "model.safetensors").exists()
    assert (found.name, found.revision, found.licence) == (REPO, COMMIT, "mit")
    assert found.digest == digest(fill(tmp_path / "the same as safetensors"))
    assert "has its weights as pickles: converting them to safetensors, once" in capsys.readouterr().err
    assert find(REPO) == found and capsys.readouterr().err == ""


@pytest.mark.usefixtures("at_once")
def test_pickles_are_fetched_where_there_is_nothing_else(network: Hub, tmp_path: Path) -> None:
    (network.files / "model.safetensors").unlink()
    torch.save(TENSORS, network.files / "pytorch_model.bin")
    torch.save({"more": torch.ones(1)}, network.files / "optimizer.bin")
    assert find(REPO).digest == digest(fill(tmp_path / "the same as safetensors"))
    assert "optimizer.bin" not in network.asked


@pytest.mark.slow
def test_a_pickle_that_is_refused_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    folder = pickled(tmp_path / "encoder", {"a": torch.ones(1), "b": Touching(tmp_path / "touched")})
    with pytest.raises(EchoError, match="pytorch_model.bin holds more than tensors, which might run code.*safetensors"):
        find(folder)
    assert not (tmp_path / "touched").exists()
    assert not list((tmp_path / "echo" / "encoders").iterdir())


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "holds no mapping of names"),
        ({"a": 1}, "no tensors in them"),
        (b"x" * 99, "is damaged or too large: UnpicklingError"),
        (b"PK\3\4" + b"x" * 99, "is damaged or too large"),
        ({"a": torch.ones(1), "b": Touching(Path("touched"))}, "holds more than tensors, which might run code"),
    ],
)
def test_a_pickle_of_something_else_is_refused(
    content: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = pickled(tmp_path / "encoder", content)
    if isinstance(content, bytes):
        (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        pickles.main(tmp_path / "model.safetensors", [folder / "pytorch_model.bin"])
    assert message in str(ended.value)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


@pytest.mark.usefixtures("at_once")
def test_tensors_that_share_memory_are_taken_apart(tmp_path: Path) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    torch.save({"a": tied, "b": tied, "c": tied.T, "d": tied[1]}, tmp_path / "a.bin")
    torch.save({"e": torch.ones(2)}, tmp_path / "b.bin", _use_new_zipfile_serialization=False)
    pickles.main(tmp_path / "out", [tmp_path / "a.bin", tmp_path / "b.bin"])
    found = unpack((tmp_path / "out").read_bytes())
    wanted = {"a": tied, "b": tied, "c": tied.T, "d": tied[1], "e": torch.ones(2)}
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_conversion_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pickled(tmp_path / "encoder")
    monkeypatch.setattr(pickles, "SECONDS", 0.01)
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "echo"))
    with pytest.raises(EchoError, match="its pickles took over 0 s to convert; give a model that has safetensors"):
        find(folder)
