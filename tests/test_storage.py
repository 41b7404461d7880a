import os
import stat
from pathlib import Path

import pytest
import torch

from echo_asr import storage
from echo_asr.errors import EchoError
from echo_asr.storage import (
    iterate_tensors,
    pack,
    refuse_read_only,
    replace_file,
    replace_text,
    tensor_names,
    unpack,
)


class Stop(BaseException):
    """What ends a program from outside, as KeyboardInterrupt does."""


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("existing", [True, False])
def test_a_file_is_replaced_whole(existing: bool, durable: bool, tmp_path: Path) -> None:
    path = tmp_path / "name.txt"
    if existing:
        path.write_text("old and rather longer")
    seen: list[str] = []

    def write(part: Path) -> None:
        part.write_text("new", encoding="utf-8")
        seen.append(path.read_text() if path.exists() else "nothing")
        assert part.parent == path.parent, "a rename within one file system"

    replace_file(path, write, durable)
    assert seen == ["old and rather longer" if existing else "nothing"]
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["name.txt"]


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (OSError(28, "No space left on device"), EchoError, "could not be written .No space left on device."),
        (
            RuntimeError("PytorchStreamWriter failed\nat some line"),
            EchoError,
            "PytorchStreamWriter failed.; an existing file",
        ),
        (TypeError("a defect, not a mistake"), TypeError, "a defect"),
        (Stop("interrupted"), Stop, "interrupted"),
    ],
    ids=["full", "torch", "defect", "interrupt"],
)
def test_a_failure_while_writing_leaves_what_was_there(
    error: BaseException, expected: type[BaseException], message: str, durable: bool, tmp_path: Path
) -> None:
    path = tmp_path / "name.txt"
    path.write_text("old")

    def write(part: Path) -> None:
        part.write_text("half of the n", encoding="utf-8")
        raise error

    with pytest.raises(expected, match=message) as caught:
        replace_file(path, write, durable)
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["name.txt"]


@pytest.mark.parametrize("stage", ["fsync", "replace"])
def test_a_failure_after_writing_leaves_what_was_there(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "name.txt").write_text("old")
    monkeypatch.setattr(os, stage, full)
    with pytest.raises(EchoError, match="name.txt: could not be written .No space left.*existing file is unchanged"):
        replace_text(tmp_path / "name.txt", "new")
    assert (tmp_path / "name.txt").read_text() == "old" and os.listdir(tmp_path) == ["name.txt"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match="nowhere/name.txt: could not be written .No such file or directory"):
        replace_text(tmp_path / "nowhere" / "name.txt", "new")


def test_a_folder_in_the_place_of_the_file_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / "name.txt" / "inside").mkdir(parents=True)
    with pytest.raises(EchoError, match="name.txt: could not be written"):
        replace_text(tmp_path / "name.txt", "new")
    assert os.listdir(tmp_path) == ["name.txt"] and (tmp_path / "name.txt" / "inside").is_dir()


def test_a_replaced_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("x")
    replace_text(tmp_path / "ours", "x")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="Windows has a read-only flag alone")
def test_an_existing_file_keeps_its_permissions(tmp_path: Path) -> None:
    """A group that shares a folder can still write what one of them has changed."""
    path = tmp_path / "a.eaf"
    path.write_text("old")
    path.chmod(0o664)
    replace_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o664 and path.read_text() == "new"


def test_what_could_not_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / "a.eaf"
    refuse_read_only(path, "take another")
    path.write_text("old")
    refuse_read_only(path, "take another")
    assert os.listdir(tmp_path) == ["a.eaf"]
    path.chmod(0o444)
    with pytest.raises(EchoError, match=r"a\.eaf: is read-only; take another"):
        refuse_read_only(path, "take another")
    path.chmod(0o644)
    with pytest.raises(EchoError, match=r"gone: cannot be written \(No such file or directory\); take another"):
        refuse_read_only(tmp_path / "gone" / "a.eaf", "take another")


def test_text_is_written_as_utf8(tmp_path: Path) -> None:
    replace_text(tmp_path / "name.txt", "mā má\n你好\n")
    assert (tmp_path / "name.txt").read_bytes() == "mā má\n你好\n".encode()


def test_tensors_come_back_to_the_bit() -> None:
    tensors = {
        "floats": torch.randn(3, 4).T,  # not contiguous
        "infinite": torch.tensor([float("inf"), float("-inf"), 0.0, -0.0]),
        "half": torch.randn(5).bfloat16(),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    found = unpack(pack(tensors))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor.detach())


@pytest.mark.parametrize("data", [b"", b"\x00" * 64, b"\xff" * 64, b"not tensors at all"])
def test_damaged_tensors_are_told_in_one_line(data: bytes) -> None:
    with pytest.raises(ValueError, match=".") as caught:
        unpack(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_file_that_is_open_elsewhere_is_replaced_a_moment_later(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses for as long as somebody reads the file; what is not over soon is told."""
    replace, tried = os.replace, 0

    def busy(source: Path, target: Path) -> None:
        nonlocal tried
        tried += 1
        if tried <= times:
            raise PermissionError(13, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(storage, "WAITS", (0.0, 0.0))
    monkeypatch.setattr(os, "replace", busy)
    if times < 3:
        replace_text(tmp_path / "a.txt", "new")
        assert (tmp_path / "a.txt").read_bytes() == b"new"
    else:
        with pytest.raises(EchoError, match="could not be written .Access is denied."):
            replace_text(tmp_path / "a.txt", "new")
        assert os.listdir(tmp_path) == []


def test_tensors_of_a_file_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    tensors = {"b.two": torch.arange(3), "b.one": torch.tensor(0.5), "a": torch.ones(2, dtype=torch.bfloat16)}
    path.write_bytes(pack(tensors))
    assert tensor_names(path) == ["a", "b.one", "b.two"]
    found = dict(iterate_tensors(path, "b."))
    assert list(found) == ["b.one", "b.two"] and all(torch.equal(found[name], tensors[name]) for name in found)
    path.write_bytes(path.read_bytes()[:-1])
    for read in (tensor_names, lambda path: list(iterate_tensors(path))):
        with pytest.raises(ValueError, match="not fully covered"):
            read(path)
