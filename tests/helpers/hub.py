"""Folders of an encoder as transformers writes them, with tensors of a few values, and a hub that has such a folder."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from echo_asr.storage import pack

COMMIT, OTHER = "a" * 40, "b" * 40
REPO = "someone/whisper-nano"
CARD = "---\nlanguage: [en, zh]\nlicense: mit\n---\n# A card\n"
CONFIG = {"model_type": "whisper", "d_model": 8}
TENSORS = {
    "model.encoder.conv1.weight": torch.arange(12.0).reshape(3, 4) / 7,
    "model.encoder.layer_norm.bias": torch.tensor(0.1),
    "model.encoder.steps": torch.tensor([3, 70_000]),
    "model.decoder.embed.weight": torch.ones(5, 2),
}
Fill = Callable[..., Path]


def fill(folder: Path, weights: bool = True, **config: Any) -> Path:
    """Write a folder of transformers."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    (folder / "preprocessor_config.json").write_text('{"feature_size": 80}')
    (folder / "README.md").write_text(CARD)
    if weights:
        (folder / "model.safetensors").write_bytes(pack(TENSORS))
    return folder


def fill_parts(folder: Path) -> Path:
    """Write the same folder with its tensors in two files."""
    fill(folder, weights=False)
    names = sorted(TENSORS)
    parts = {f"model-0000{n}-of-00002.safetensors": names[2 * n - 2 : 2 * n] for n in (1, 2)}
    for part, own in parts.items():
        (folder / part).write_bytes(pack({name: TENSORS[name] for name in own}))
    index = {"weight_map": {name: part for part, own in parts.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def pickled(folder: Path, content: Any = None) -> Path:
    """Write the same folder with its tensors as a pickle."""
    fill(folder, weights=False)
    torch.save(TENSORS if content is None else content, folder / "pytorch_model.bin")
    return folder


def cached(cache: Path, repo: str = REPO, commit: str = COMMIT, write: Fill = fill, **options: Any) -> Path:
    """A model in the layout of the hub's cache, as the main branch."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    snapshot = write(folder / "snapshots" / commit, **options)
    blobs = folder / "blobs"
    blobs.mkdir(exist_ok=True)
    for path in list(snapshot.iterdir()):
        blob = blobs / hashlib.sha256(path.read_bytes()).hexdigest()
        path.replace(blob)
        path.symlink_to(blob)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    return snapshot


class Hub:
    """Stands in for the network: a repository that is fetched file by file, and what was asked for."""

    def __init__(self, cache: Path, files: Path) -> None:
        self.cache, self.files, self.asked = cache, files, []
        self.error: Exception | None = None

    def snapshot_download(self, repo: str, revision: str | None, allow_patterns: list[str]) -> str:
        folder = self.cache / f"models--{repo.replace('/', '--')}"
        snapshot = folder / "snapshots" / OTHER
        snapshot.mkdir(parents=True, exist_ok=True)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(OTHER)
        for path in self.files.iterdir():
            if any(path.match(pattern) for pattern in allow_patterns):
                self.asked.append(path.name)
                (snapshot / path.name).write_bytes(path.read_bytes())
        return str(snapshot)

    def model_info(self, repo: str, revision: str | None, files_metadata: bool) -> Any:
        if self.error is not None:
            raise self.error
        return SimpleNamespace(
            siblings=[SimpleNamespace(rfilename=path.name, size=path.stat().st_size) for path in self.files.iterdir()]
        )
