"""Moonshine's encoder is that of transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from echo_asr.pretrained import build
from tests.helpers.encoders import assert_states_are_of_transformers, extracted, moonshine
from tests.helpers.voices import syllables, voice

pytest.importorskip("transformers")

SPEECH = torch.from_numpy(voice(*syllables(140.0), noise_db=30.0))


@pytest.mark.parametrize("normalised", [False, True])
def test_input_is_that_of_the_feature_extractor(tmp_path: Path, normalised: bool) -> None:
    folder = moonshine(tmp_path, do_normalize=normalised)
    encoder = build(folder)
    lengths = torch.tensor([48_000, 31_313])
    samples = SPEECH[None].repeat(2, 1) + 0.01
    samples[1, 31_313:] = 0.0
    found = encoder.waveform(samples, lengths)
    for row, length in enumerate(lengths.tolist()):
        expected = extracted(folder, samples[row, :length])[0]
        np.testing.assert_allclose(found[row, :length], expected, atol=1e-4)
        assert not found[row, length:].any()


def test_states_are_those_of_transformers_to_the_bit(tmp_path: Path) -> None:
    assert_states_are_of_transformers(build(moonshine(tmp_path)), SPEECH, SPEECH[None])


def test_group_norm_of_a_padded_batch_is_that_of_each_recording(tmp_path: Path) -> None:
    """Padding is far louder than the recording here, and has no part in its statistics."""
    encoder = build(moonshine(tmp_path))
    short = SPEECH[:9_000]
    (alone,) = encoder.states(short[None], torch.tensor([9_000]), [0])
    loud = torch.cat((short, torch.zeros(7), torch.ones(30_000)))[None]
    (padded,) = encoder.states(loud, torch.tensor([9_000]), [0])
    torch.testing.assert_close(padded[:, : alone.shape[1]], alone, rtol=1e-5, atol=1e-5)
