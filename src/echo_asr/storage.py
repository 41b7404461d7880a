"""Writes files atomically, and stores tensors as bytes. The only module that imports safetensors and filelock."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save

from echo_asr.errors import EchoError

WRITABLE = 0o222  # bits of a file's mode: by anybody
WAITS = (0.01, 0.05, 0.1, 0.3, 0.5, 1.0) if os.name == "nt" else ()  # seconds between attempts to move a file


class StorageError(EchoError):
    """A file cannot be written: its folder is closed or gone, the disk is full, or another process holds a lock."""


def replace_file(path: Path, write: Callable[[Path], object], durable: bool = True) -> None:
    """Call `write(temporary path)`, then move the result into place, so that `path` is never half-written.

    Args:
        durable: flush the file to the disk before it is moved; slower, and safe against power failure.

    Raises:
        StorageError: the folder cannot be written, or the disk is full; an existing file is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        write(temporary)
        if durable:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(path, temporary)  # those who could read and write the file before still can
        _move(temporary, path)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as a RuntimeError
        cause = error if isinstance(error, OSError) else error.__context__  # of the file, behind that of torch.save
        reason = getattr(cause, "strerror", None) or str(error).splitlines()[0]
        what = f"could not be written ({reason}); an existing file is unchanged"
        raise StorageError(f"{path}: {what}; make room, or choose another folder") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    """Move a file over another. Windows refuses while that is open elsewhere, as in a virus scanner, which is brief."""
    for wait in WAITS:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            time.sleep(wait)
    os.replace(source, target)


def make_folder(folder: Path, remedy: str = "choose another --out") -> None:
    """Make a folder for what will be written.

    Raises:
        EchoError: it cannot be made, or no file can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EchoError(f"{folder}: cannot be made ({error.strerror}); {remedy}") from None
    _refuse_closed(folder, remedy)


def refuse_read_only(path: Path, remedy: str) -> None:
    """Refuse a file that could not be written in the end, before any work is done for it.

    Raises:
        EchoError: it is there and read-only, or no file can be written into its folder.
    """
    with suppress(OSError):
        if not path.stat().st_mode & WRITABLE:
            raise EchoError(f"{path}: is read-only; {remedy}")
    _refuse_closed(path.parent, remedy)


def _refuse_closed(folder: Path, remedy: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise EchoError(f"{folder}: cannot be written ({error.strerror}); {remedy}") from None


def create_folder(
    folder: Path,
    fill: Callable[[Path], object],
    marker: Path,
    remedy: str = "set ECHO_ASR_CACHE to another folder",
) -> None:
    """Call `fill(temporary folder)`, then rename that to `folder`, which so appears complete or not at all.

    Args:
        marker: the path that exists once `folder` is complete, perhaps written by another process in the meantime.
        remedy: of a folder that cannot be written; by default that of the cache.

    Raises:
        StorageError: the folder cannot be written.
        EchoError: what `fill` raises.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent, ignore_cleanup_errors=True) as name:
            temporary = Path(name)
            fill(temporary)
            temporary.chmod(0o755)  # a temporary folder is the user's alone
            try:
                temporary.rename(folder)
            except OSError:
                if not marker.exists():
                    raise
    except OSError as error:
        what = f"cannot write {folder}: {error.strerror or error}"
        raise StorageError(f"{what}; make room there, or {remedy}") from None


@contextmanager
def hold_lock(path: Path, seconds: float, busy: str) -> Iterator[None]:
    """Hold a lock file, which the system takes back from a process that ends.

    Args:
        seconds: to wait for another process or thread that holds it; below 0 for as long as it takes.
        busy: what to say then, after the folder's name.

    Raises:
        StorageError: it is held for longer, or the file cannot be made.
    """
    try:
        lock = FileLock(path).acquire(timeout=seconds)
    except Timeout:
        raise StorageError(f"{path.parent}: {busy}") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be made ({error.strerror}); make room, or choose another folder") from None
    with lock:
        yield


def sweep(folder: Path) -> None:
    """Remove the partial files that killed processes left in a folder."""
    for path in folder.rglob(".*.part"):
        with suppress(OSError):
            path.unlink()


def replace_text(path: Path, text: str) -> None:
    """Write UTF-8 text to a file, atomically.

    Raises:
        EchoError: as `replace_file`.
    """
    replace_file(path, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))


def pack(tensors: dict[str, torch.Tensor], **notes: str) -> bytes:
    """Tensors and metadata `notes` as the bytes of a safetensors file; equal ones give equal bytes."""
    own = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    data = save(own, {"format": "pt", **notes})
    return _in_order(data) if notes else data


def _in_order(data: bytes) -> bytes:
    """A safetensors file with its metadata sorted; the library writes them in an order that varies between runs."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    return b"".join((data[:8], text.ljust(end - 8), memoryview(data)[end:])) if len(text) <= end - 8 else data


def read_notes(path: Path) -> dict[str, str]:
    """The notes that `pack` wrote with the tensors of a file.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(str(error).splitlines()[0]) from None


def tensor_names(path: Path) -> list[str]:
    """The names of the tensors in a safetensors file, of which nothing else is read.

    Raises:
        ValueError: the file is damaged or cut off.
    """
    try:
        with safe_open(path, "pt") as file:
            return sorted(file.keys())
    except SafetensorError as error:
        raise ValueError(str(error).splitlines()[0]) from None


def iterate_tensors(path: Path, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of a safetensors file, one in memory at a time, in the order of names.

    Args:
        prefix: tensors whose names begin otherwise are left out.

    Raises:
        ValueError: the file is damaged or cut off.
    """
    try:
        with safe_open(path, "pt") as file:
            for name in sorted(file.keys()):
                if name.startswith(prefix):
                    yield name, file.get_tensor(name)
    except SafetensorError as error:
        raise ValueError(str(error).splitlines()[0]) from None


def unpack(data: bytes) -> dict[str, torch.Tensor]:
    """Tensors from a safetensors file's bytes.

    Raises:
        ValueError: the bytes are damaged.
    """
    try:
        return load(data)
    except SafetensorError as error:
        raise ValueError(str(error).splitlines()[0]) from None
