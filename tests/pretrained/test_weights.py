"""Tensors and settings in folders of transformers: their hash, and files that are damaged or missing."""

import json
from pathlib import Path

import pytest
import torch

from echo_asr.errors import EchoError
from echo_asr.pretrained.source import find
from echo_asr.pretrained.weights import digest, read_preprocessor
from echo_asr.storage import pack
from tests.helpers.hub import CONFIG, TENSORS, fill, fill_parts


def test_the_hash_is_of_what_the_encoder_computes_with(tmp_path: Path) -> None:
    one = digest(fill(tmp_path / "one"))
    assert one == digest(fill_parts(tmp_path / "parts")) == find(tmp_path / "parts").digest
    (tmp_path / "one" / "README.md").write_text("another card")
    (tmp_path / "one" / "config.json").write_text(json.dumps(CONFIG, indent=4))
    assert digest(tmp_path / "one") == one
    others = [digest(fill(tmp_path / "two", d_model=16))]
    for name, value in (
        ("model.encoder.layer_norm.bias", torch.tensor(0.2)),
        ("model.encoder.steps", torch.tensor([3, 70_000], dtype=torch.int32)),
        ("model.encoder.conv1.weight", TENSORS["model.encoder.conv1.weight"].reshape(4, 3)),
        ("model.encoder.conv2.weight", torch.ones(1)),
    ):
        (tmp_path / "one" / "model.safetensors").write_bytes(pack({**TENSORS, name: value}))
        others.append(digest(tmp_path / "one"))
    assert len({one, *others}) == 6


def test_the_preprocessor_stands_where_transformers_4_or_5_writes_it(tmp_path: Path) -> None:
    folder = fill(tmp_path / "encoder")
    before = digest(folder)
    assert read_preprocessor(folder) == {"feature_size": 80}
    nested = {"feature_extractor": {"feature_size": 80}, "processor_class": "Any"}
    (folder / "processor_config.json").write_text(json.dumps(nested))
    (folder / "preprocessor_config.json").unlink()
    assert read_preprocessor(folder) == {"feature_size": 80} and digest(folder) == before
    (folder / "processor_config.json").unlink()
    assert read_preprocessor(folder) == {} and digest(folder) != before


@pytest.mark.parametrize("size", [0, 5, 100, 300])
def test_weights_that_are_cut_off_are_refused(size: int, tmp_path: Path) -> None:
    path = fill(tmp_path / "encoder") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(EchoError, match="model.safetensors: damaged or cut off .*fetch it again"):
        find(tmp_path / "encoder")


def test_what_git_leaves_of_weights_is_refused(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (fill(tmp_path / "encoder") / "model.safetensors").write_text(pointer)
    with pytest.raises(EchoError, match="only a pointer to the weights; run in its folder: git lfs pull"):
        find(tmp_path / "encoder")


def test_a_part_that_is_missing_or_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = fill_parts(tmp_path / "encoder")
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(EchoError, match="model-00002-of-00002.safetensors is missing, which its index names"):
        find(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../model.safetensors"}}')
    with pytest.raises(EchoError, match="names no files beside it"):
        find(folder)
