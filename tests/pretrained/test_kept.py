"""Encoders that models keep in their folders, whole or by name and hash."""

from pathlib import Path
from typing import Any

import pytest
import torch

from echo_asr.errors import EchoError
from echo_asr.pretrained.kept import has_encoder, keep, kept
from echo_asr.pretrained.licence import find_licence
from echo_asr.pretrained.source import Source, find
from echo_asr.pretrained.weights import digest, read_preprocessor, read_tensors
from echo_asr.storage import pack, unpack
from tests.helpers.hub import COMMIT, REPO, TENSORS, cached, fill

pytest.importorskip("huggingface_hub")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_model_keeps_its_encoder_alone(dtype: Any, tmp_path: Path) -> None:
    source = find(fill(tmp_path / "encoder"))
    own = keep(source, tmp_path / "model", dtype=dtype)
    assert own == kept(tmp_path / "model") and has_encoder(tmp_path / "model")
    assert (own.name, own.digest, own.licence, own.dtype) == (source.name, source.digest, "mit", dtype)
    tensors = unpack((own.folder / "model.safetensors").read_bytes())
    assert tensors.keys() == {name for name in TENSORS if "encoder" in name}
    weight = TENSORS["model.encoder.conv1.weight"]
    assert torch.equal(tensors["model.encoder.conv1.weight"], weight.to(getattr(torch, dtype)))
    assert torch.equal(tensors["model.encoder.steps"], TENSORS["model.encoder.steps"])
    assert find_licence(own.folder) == "mit" and read_preprocessor(own.folder) == {"feature_size": 80}


def test_a_slim_model_has_the_same_values_to_the_bit(cache: Path, tmp_path: Path) -> None:
    cached(cache)
    source = find(REPO)
    full, slim = keep(source, tmp_path / "full"), keep(source, tmp_path / "slim", slim=True)
    assert [path.name for path in (tmp_path / "slim" / "encoder").iterdir()] == ["source.json"]
    assert slim == kept(tmp_path / "slim") and slim.folder == source.folder
    read = [read_tensors(one.folder, ("model.encoder.",), one.dtype) for one in (full, slim)]
    assert read[0].keys() == read[1].keys() and len(read[0]) == 3
    assert all(torch.equal(read[0][name], read[1][name]) for name in read[0])


def test_a_model_keeps_what_another_one_kept_as_it_is(tmp_path: Path) -> None:
    source = find(fill(tmp_path / "encoder"))
    first = keep(source, tmp_path / "first", dtype="bfloat16")
    second = keep(first, tmp_path / "second", dtype="float32")
    assert second.dtype == "bfloat16" and second.digest == source.digest
    assert digest(first.folder) == digest(second.folder)
    slim = keep(second, tmp_path / "second", slim=True)
    assert [path.name for path in (tmp_path / "second" / "encoder").iterdir()] == ["source.json"]
    assert kept(tmp_path / "second").folder == source.folder and slim.dtype == "bfloat16"


def test_other_weights_are_refused(cache: Path, tmp_path: Path) -> None:
    snapshot = cached(cache)
    keep(find(REPO), tmp_path / "model", slim=True)
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").write_bytes(pack({**TENSORS, "model.encoder.layer_norm.bias": torch.ones(())}))
    with pytest.raises(EchoError, match=rf"was trained with {REPO}@a+ of the hash \w+, and .* has \w+: other weights"):
        kept(tmp_path / "model")


def test_a_slim_model_without_its_weights_says_which_they_are(cache: Path, tmp_path: Path) -> None:
    source = find(fill(tmp_path / "encoder"))
    keep(source, tmp_path / "model", slim=True)
    (tmp_path / "encoder").rename(tmp_path / "moved")
    with pytest.raises(EchoError, match="model is without its encoder .*no such folder.*write where as name in .*json"):
        kept(tmp_path / "model")
    path = tmp_path / "model" / "encoder" / "source.json"
    path.write_text(path.read_text().replace(str(tmp_path / "encoder"), str(tmp_path / "moved")))
    assert kept(tmp_path / "model").folder == tmp_path / "moved"
    keep(Source(tmp_path / "moved", REPO, COMMIT, source.digest, "mit"), tmp_path / "model", slim=True)
    with pytest.raises(EchoError, match=f"{REPO}@{COMMIT} is not in the hub's cache, and HF_HUB_OFFLINE is set"):
        kept(tmp_path / "model")


def test_an_encoder_that_was_damaged_in_its_model_is_refused(tmp_path: Path) -> None:
    own = keep(find(fill(tmp_path / "encoder")), tmp_path / "model")
    path = own.folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(EchoError, match="not what was written there with the model; copy the whole folder again"):
        kept(tmp_path / "model")
    path.unlink()
    with pytest.raises(EchoError, match="copy the whole folder again"):
        kept(tmp_path / "model")
    (own.folder / "source.json").write_text('{"name": 3}')
    with pytest.raises(EchoError, match="source.json: name is not what was written there"):
        kept(tmp_path / "model")
    (own.folder / "source.json").unlink()
    with pytest.raises(EchoError, match="its encoder is missing"):
        kept(tmp_path / "model")
    assert not has_encoder(tmp_path / "model")


def test_values_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "encoder")
    (folder / "model.safetensors").write_bytes(pack({"encoder.a": torch.tensor([1e5])}))
    with pytest.raises(EchoError, match="encoder.a has values too large for float16; choose bfloat16 or float32"):
        keep(find(folder), tmp_path / "model")
    assert not (tmp_path / "model").exists()
    keep(find(folder), tmp_path / "model", dtype="bfloat16")
