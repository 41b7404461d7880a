"""The encoder of w2v-BERT 2.0 is that of transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from echo_asr.pretrained import build
from tests.helpers.encoders import (
    assert_batch_is_of_transformers,
    assert_states_are_of_transformers,
    extracted,
    w2v_bert,
)
from tests.helpers.voices import syllables, voice

pytest.importorskip("transformers")

SPEECH = torch.from_numpy(voice(*syllables(140.0), noise_db=30.0))


@pytest.mark.parametrize("length", [1_100, 1_200, 16_000, 16_161, 47_999])
def test_input_is_that_of_the_feature_extractor(tmp_path: Path, length: int) -> None:
    folder = w2v_bert(tmp_path)
    encoder = build(folder)
    samples, lengths = SPEECH[None].repeat(2, 1), torch.tensor([48_000, length])
    samples[1, length:] = 0.0
    found, counts = encoder.log_mel(samples, lengths), encoder.count(lengths)
    for row in range(2):
        frames = 2 * int(counts[row])
        expected = extracted(folder, samples[row, : lengths[row]])[0].unflatten(1, (2, 80)).flatten(0, 1)
        assert frames <= len(expected) <= frames + 2  # where the number is odd, theirs has a frame of padding
        np.testing.assert_allclose(found[row, :frames], expected[:frames], atol=1e-3)  # of about 1 in the mean
        assert not found[row, frames:].any()


@pytest.mark.parametrize("positions", ["relative_key", "relative", "rotary", None])
def test_states_are_those_of_transformers_to_the_bit(tmp_path: Path, positions: str | None) -> None:
    encoder = build(w2v_bert(tmp_path, position_embeddings_type=positions))
    features = encoder.log_mel(SPEECH[None], torch.tensor([len(SPEECH)])).unflatten(1, (-1, 2)).flatten(2)
    assert_states_are_of_transformers(encoder, SPEECH, features)


def test_an_adapter_that_shortens_what_comes_out_is_no_layer(tmp_path: Path) -> None:
    """Networks that were fine-tuned for recognition often have one above the layers."""
    encoder = build(w2v_bert(tmp_path, add_adapter=True))
    lengths = torch.tensor([len(SPEECH)])
    (top,) = encoder.states(SPEECH[None], lengths, [3])
    assert encoder.layers == 3
    assert top.shape == (1, int(encoder.count(lengths)), 32)


def test_batches_are_those_of_transformers(tmp_path: Path) -> None:
    encoder = build(folder := w2v_bert(tmp_path))
    assert_batch_is_of_transformers(encoder, folder, [SPEECH, SPEECH[7_000:20_123]])
