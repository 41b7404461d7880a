"""Where the weights of a pretrained encoder are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from echo_asr.errors import EchoError


@dataclass(frozen=True)
class Source:
    """Weights of a pretrained encoder.

    Attributes:
        folder: with config.json, preprocessor_config.json and safetensors.
        name: folder or hub name as the user gave it.
        revision: commit of the hub; empty for a folder.
        digest: hash of the content.
        licence: as the folder or its card says; "unknown" where neither does.
    """

    folder: Path
    name: str
    revision: str
    digest: str
    licence: str


def find(name: str, revision: str = "") -> Source:
    folder = Path(name)
    if not folder.is_dir():
        raise EchoError(f"{name}: no such folder")
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*")):
        if file.suffix in (".json", ".safetensors"):
            digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return Source(folder, name, revision, digest.hexdigest(), "unknown")
