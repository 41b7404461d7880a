"""Files that will be written: refused before any work where they cannot be, or where something would be lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from echo_asr.errors import EchoError
from echo_asr.storage import refuse_read_only

PICTURES = (".png", ".svg", ".pdf")  # endings


def refuse_inputs(targets: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write over a file that is read, under whatever name.

    Raises:
        EchoError: a target is one of the inputs.
    """
    there = {key: target for target in targets for key in _identities(target)}
    for source in inputs if there else ():
        for target in (there[key] for key in _identities(source) if key in there):
            raise EchoError(f"{target}: is read here, and would be lost; choose another place for what is written")


def _identities(path: Path) -> list[object]:
    """By which a file that is there is known under all its names: its path without links, and device and number on it,
    where the file system has numbers."""
    try:
        status = path.stat()
        return [path.resolve(), *([(status.st_dev, status.st_ino)] if status.st_ino else [])]
    except (OSError, ValueError):
        return []


def refuse_existing(targets: Iterable[Path], overwrite: bool, mend: str = "or give --overwrite") -> None:
    """Refuse to write over files that are there.

    Args:
        overwrite: they may be replaced, as far as they are ordinary files.
        mend: what else to do, beside choosing another place.

    Raises:
        EchoError: a target is there already, or is a folder or a device.
    """
    for target in targets:
        if target.is_dir():
            raise EchoError(f"{target}: is a folder; name a file")
        if target.exists() and not target.is_file():
            raise EchoError(f"{target}: is no ordinary file, and cannot be replaced; name another")
        if target.exists() and not overwrite:
            raise EchoError(f"{target}: is there already; choose another place, {mend}")


def check_output(path: Path, option: str, overwrite: bool, endings: Sequence[str] = ()) -> None:
    """Refuse a file that could not be written in the end.

    Args:
        option: by which it is named.
        endings: of which it must have one; none: any.

    Raises:
        EchoError: it has another ending, its folder is not there or cannot be written, or as `refuse_existing`.
    """
    if endings and path.suffix.lower() not in endings:
        raise EchoError(f"{option} {path}: expected a name that ends in {', '.join(endings)}")
    if not path.absolute().parent.is_dir():
        raise EchoError(f"{option} {path}: there is no folder {path.parent}; make it, or choose another")
    refuse_existing([path], overwrite)
    refuse_read_only(path, f"choose another {option}")
