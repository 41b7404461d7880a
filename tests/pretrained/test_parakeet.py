"""Parakeet's encoder is that of transformers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from echo_asr.pretrained import build
from tests.helpers.encoders import (
    assert_batch_is_of_transformers,
    assert_states_are_of_transformers,
    extracted,
    parakeet,
)
from tests.helpers.voices import syllables, voice

pytest.importorskip("transformers")

SPEECH = torch.from_numpy(voice(*syllables(140.0), noise_db=30.0))


@pytest.mark.parametrize("length", [320, 479, 1_600, 16_000, 16_161, 47_999])
def test_input_is_that_of_the_feature_extractor(tmp_path: Path, length: int) -> None:
    folder = parakeet(tmp_path, mels=128 if length == 16_000 else 80)
    encoder = build(folder)
    samples, lengths = SPEECH[None].repeat(2, 1), torch.tensor([48_000, length])
    samples[1, length:] = 0.0
    found = encoder.log_mel(samples, lengths)
    for row in range(2):
        frames = int(lengths[row]) // 160
        expected = extracted(folder, samples[row, : lengths[row]])[0]
        np.testing.assert_allclose(found[row, :frames], expected[:frames], atol=1e-4)
        assert not found[row, frames:].any()
        assert not expected[frames:].any()


def test_states_are_those_of_transformers_to_the_bit(tmp_path: Path) -> None:
    encoder = build(parakeet(tmp_path))
    features = encoder.log_mel(SPEECH[None], torch.tensor([len(SPEECH)]))
    assert_states_are_of_transformers(encoder, SPEECH, features)


def test_batches_are_those_of_transformers(tmp_path: Path) -> None:
    encoder = build(folder := parakeet(tmp_path))
    assert_batch_is_of_transformers(encoder, folder, [SPEECH, SPEECH[7_000:20_123]])


def test_batch_norms_keep_their_statistics_in_training(tmp_path: Path) -> None:
    encoder = build(parakeet(tmp_path)).train().requires_grad_(True)
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    encoder.states(SPEECH[None], torch.tensor([len(SPEECH)]), [3])
    assert encoder.network.training
    for name, buffer in encoder.named_buffers():
        assert torch.equal(buffer, before[name]), name


@pytest.mark.parametrize("kind", ["parakeet_tdt", "parakeet_rnnt", "parakeet_encoder"])
def test_encoders_of_other_recognisers_are_read_as_well(tmp_path: Path, kind: str) -> None:
    """Folders of transducers hold the encoder as those of CTC do."""
    folder = parakeet(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    lengths = torch.tensor([len(SPEECH)])
    (expected,) = build(folder).states(SPEECH[None], lengths, [3])
    inner = config["encoder_config"]
    other = inner if kind == "parakeet_encoder" else {"encoder_config": inner, "vocab_size": 20, "pad_token_id": 2}
    (folder / "config.json").write_text(json.dumps({**other, "model_type": kind}))
    (found,) = build(folder).states(SPEECH[None], lengths, [3])
    assert torch.equal(found, expected)
