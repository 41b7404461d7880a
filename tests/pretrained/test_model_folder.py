"""A model that reads a pretrained encoder is a folder that needs nothing else; a slim one needs that encoder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from echo_asr.cli import main
from echo_asr.decode.load import load_recognizer
from echo_asr.errors import EchoError
from echo_asr.model.checkpoint import load_bundle
from echo_asr.pretrained import build
from tests.helpers.shared import made_once
from tests.helpers.tone_corpus import write_config

pytest.importorskip("transformers")
STATES = {"features": ["states"], "ctc_feature": "states", "pitch_input": False, "vrope": {"theta": "static"}}
Train = Callable[..., Path]


def write_encoder(folder: Path) -> None:
    """A tiny Whisper with random weights, decoder included, and a card."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    size = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    tokens = {"vocab_size": 20, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        WhisperForConditionalGeneration(WhisperConfig(**size, **heads, **tokens)).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a tiny Whisper. Read it only."""
    return made_once(tmp_path_factory, "echo-whisper", write_encoder)


@pytest.fixture
def train(corpus: Path, tmp_path: Path) -> Train:
    """`(encoder, *words)`: a run of two updates on the states of an encoder."""

    def run(encoder: Path, *words: str) -> Path:
        config = write_config(tmp_path / "config.yaml", model=STATES, train={"max_steps": 2, "validate_every": 2})
        out = tmp_path / "run"
        named = ("--features.states", str(encoder))
        assert main(["train", str(config), "--corpus", str(corpus), "--out", str(out), *named, *words]) == 0
        return out

    return run


def test_a_model_folder_needs_nothing_else(
    encoder: Path, train: Train, tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(encoder, tmp_path / "encoder")
    run = train(copy)
    line = f"encoder: {copy}, licence cc-by-nc-4.0, which forbids commercial use"
    assert line in " ".join(capsys.readouterr().err.split())
    text = load_recognizer(run).transcribe(corpus / "21.wav")
    shutil.rmtree(copy)
    moved = shutil.move(run, tmp_path / "moved")
    bundle = load_bundle(moved)
    assert bundle.source is not None and bundle.source.licence == "cc-by-nc-4.0"
    assert load_recognizer(moved).transcribe(corpus / "21.wav") == text


def test_a_slim_folder_has_the_same_encoder_to_the_bit_or_none(encoder: Path, train: Train, tmp_path: Path) -> None:
    copy = shutil.copytree(encoder, tmp_path / "encoder")
    slim, full = train(copy, "--slim"), tmp_path / "full"
    assert [path.name for path in (slim / "encoder").iterdir()] == ["source.json"]
    bundle = load_bundle(slim)
    bundle.save(full)
    networks = [build(one.folder, one.dtype).state_dict() for one in (bundle.source, load_bundle(full).source) if one]
    assert len(networks) == 2 and networks[0].keys() == networks[1].keys()
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])
    config: Any = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "encoder_attention_heads": 1}))
    with pytest.raises(EchoError, match="was trained with .*other weights"):
        load_bundle(slim)
    shutil.rmtree(copy)
    with pytest.raises(EchoError, match="run is without its encoder .*no such folder"):
        load_bundle(slim)


def test_a_run_goes_on_with_the_encoder_that_it_keeps(encoder: Path, train: Train, tmp_path: Path) -> None:
    copy = shutil.copytree(encoder, tmp_path / "encoder")
    run = train(copy)
    shutil.rmtree(copy)
    assert train(copy, "--resume") == run
    assert load_bundle(run).source is not None


def test_a_slim_run_goes_on_with_its_encoder_elsewhere(
    encoder: Path, train: Train, tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under its old name or its new one; another encoder is refused."""
    copy = shutil.copytree(encoder, tmp_path / "encoder")
    run = train(copy, "--slim")
    moved = shutil.move(copy, tmp_path / "moved")
    note = run / "encoder" / "source.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "name": str(moved)}))
    assert train(moved, "--slim", "--resume") == run and train(copy, "--slim", "--resume") == run
    config: Any = json.loads((moved / "config.json").read_text())
    other = shutil.copytree(moved, tmp_path / "other")
    (other / "config.json").write_text(json.dumps({**config, "encoder_attention_heads": 1}))
    capsys.readouterr()
    words = ["--features.states", str(other), "--slim", "--resume"]
    assert main(["train", str(tmp_path / "config.yaml"), "--corpus", str(corpus), "--out", str(run), *words]) == 1
    assert f"features.states was '{copy}' and is '{other}'" in " ".join(capsys.readouterr().err.split())
