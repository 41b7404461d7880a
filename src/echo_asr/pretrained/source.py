"""Where the weights of a pretrained encoder are: a folder, or a model of the Hugging Face hub."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from echo_asr.errors import EchoError
from echo_asr.pretrained.hub import NAME, SHOWN, find_in_hub, has_weights
from echo_asr.pretrained.licence import UNKNOWN, find_licence, is_non_commercial
from echo_asr.pretrained.networks import find_family
from echo_asr.pretrained.pickles import convert, pickle_files
from echo_asr.pretrained.weights import WEIGHTS, DType, check_weights, digest, weight_files


@dataclass(frozen=True)
class Source:
    """A pretrained encoder on this machine.

    Attributes:
        folder: with its configuration, preprocessor and safetensors, in the layout of transformers.
        name: `OWNER/REPO` on the hub, or the absolute path of the folder that was given.
        revision: commit on the hub; empty for a folder.
        digest: SHA-256 of what it computes with, as it was published: `weights.digest`.
        licence: its name, or "unknown".
        dtype: to which its values are rounded before use, as in the model folder that keeps it; empty for not at all.
    """

    folder: Path
    name: str
    revision: str
    digest: str
    licence: str
    dtype: str = ""

    @property
    def shown(self) -> str:
        """Name and revision, as a person reads them."""
        return f"{self.name}@{self.revision[:SHOWN]}" if self.revision else self.name

    def describe(self) -> str:
        """One line on which encoder this is, and what its licence allows."""
        remark = ""
        if self.licence == UNKNOWN:
            remark = "; look at its card before you pass the model on"
        elif is_non_commercial(self.licence):
            remark = ", which forbids commercial use"
        return f"{self.shown}, licence {self.licence}{remark}"


def find(name: str | os.PathLike[str], revision: str = "", dtype: DType | Literal[""] = "") -> Source:
    """The encoder of a name. A folder is taken as it is; a model of the hub from its cache, else it is fetched.

    Weights that exist only as pickles are converted, once, into Echo's cache.

    Args:
        name: a folder of transformers, or `OWNER/REPO` or `OWNER/REPO@REVISION` of the hub.
        revision: branch, tag or commit on the hub; a name with one is not looked for among folders.
        dtype: to which its values are to be rounded, as in `Source`.

    Raises:
        EchoError: the folder or the model is not there, not complete, damaged, or of another family; the extra is
            missing; or the network, a permission, or room on the disk.
    """
    given = str(name)
    local = None if revision else _local_folder(given)

    def check(place: Path) -> None:
        find_family(place, given)

    if local is not None:
        known, commit, folder = str(local), "", local
        check(folder)
    else:
        known, wanted = _parse(given, revision)
        folder = find_in_hub(known, wanted, check)
        commit = folder.name
        check(folder)
    if not weight_files(folder):
        if not pickle_files(folder):
            what = f"{folder}: no {WEIGHTS} there"
            raise EchoError(f"{what}; give a folder of transformers with its weights as safetensors, or a hub name")
        if not has_weights(folder):
            raise EchoError(f"{folder}: a part of its weights is missing, which their index names; fetch it again")
        folder = convert(folder, known)
    check_weights(folder)
    return Source(folder, known, commit, digest(folder), find_licence(folder), dtype)


def _local_folder(name: str) -> Path | None:
    """The folder of a name, if there is one."""
    with suppress(OSError, RuntimeError):  # a name that is too long, a user who has no home
        folder = Path(name).expanduser()
        return folder.resolve() if name and folder.is_dir() else None
    return None


def _parse(name: str, revision: str) -> tuple[str, str]:
    """`OWNER/REPO` and the revision of a name of the hub."""
    match = NAME.fullmatch(name)
    if match is None or name.endswith((".git", "/")) or "--" in name or ".." in name:
        raise EchoError(f"{name}: no such folder; give one that transformers wrote, or OWNER/REPO of the hub")
    if revision and match[2] and match[2] != revision:
        raise EchoError(f"{name} names a revision, and {revision} is another; give one of them")
    return match[1], revision or match[2] or ""
