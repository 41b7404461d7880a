"""By what the states of a voice are standardised: oracles are numpy and the states of other voices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from echo_asr.features import FeatureConfig, FeatureExtractor, Features
from echo_asr.features.voice import Moments, Standard, Voice

pytest.importorskip("transformers")


def states(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(2.0, 3.0, (5, frames)))


def test_little_speech_counts_beside_what_all_voices_have_in_common() -> None:
    """As numpy has it of the states and of as many more as the weight says."""
    found, prior = states(30), Standard(torch.arange(5.0), torch.full((5,), 2.0))
    moments = Moments()
    moments.add(found[:, :10])
    moments.add(found[:, 10:])
    alone = moments.standard()
    np.testing.assert_allclose(alone.mean, found.numpy().mean(1), rtol=1e-5)
    np.testing.assert_allclose(alone.deviation, found.numpy().std(1), rtol=1e-5)
    more = np.stack([prior.mean.numpy() - 2.0, prior.mean.numpy() + 2.0], 1).repeat(30, 1)  # 60 of that mean and spread
    joined = np.concatenate([found.numpy(), more], axis=1)
    both = moments.standard(prior, 60.0)
    np.testing.assert_allclose(both.mean, joined.mean(1), rtol=1e-5)
    np.testing.assert_allclose(both.deviation, joined.std(1), rtol=1e-5)
    nothing = Moments().standard(prior, 60.0)
    np.testing.assert_allclose(nothing.mean, prior.mean, atol=1e-6)
    np.testing.assert_allclose(nothing.deviation, prior.deviation, atol=1e-6)


@pytest.fixture
def extractor(encoder: Path) -> FeatureExtractor:
    settings = {"mels": 8, "tracker": "autocorrelation", "states": str(encoder), "states_reference": "speaker"}
    made = FeatureExtractor(FeatureConfig(**settings))  # type: ignore[arg-type]
    assert made.states is not None
    made.states.standard = Standard(torch.zeros(5), torch.ones(5))
    return made


def spoken(found: torch.Tensor, silent: int = 0) -> Features:
    """Features of a recording with these states, two frames each, of which the last ones are silent."""
    frames = 2 * found.shape[1]
    null = torch.arange(frames) >= frames - 2 * silent
    zeros = torch.zeros(frames)
    return Features(torch.zeros(8, frames), torch.zeros(3, frames), zeros + 220.0, zeros, null, states=found)


def test_another_level_and_scale_of_every_dimension_is_another_voice_and_makes_no_difference(
    extractor: FeatureExtractor,
) -> None:
    assert extractor.states is not None
    said, found = states(12, seed=1), []
    for scale, shift in ((1.0, 0.0), (3.0, -7.0)):
        moments = Moments()
        moments.add(scale * states(100_000) + shift)
        voice = Voice(states=extractor.states.of_voice(moments))
        found.append(extractor.transformed(spoken(scale * said + shift), voice).states)
    assert found[0] is not None and found[1] is not None
    torch.testing.assert_close(found[0], found[1], atol=0.02, rtol=0.02)


def test_a_voice_of_which_nothing_is_known_is_that_of_the_recording(extractor: FeatureExtractor) -> None:
    """Of its speech: what lies in silence does not count."""
    assert extractor.states is not None
    said = states(50)
    moments = Moments()
    moments.add(said)
    expected = extractor.transformed(spoken(said), Voice(states=extractor.states.of_voice(moments))).states
    assert expected is not None
    loud = torch.cat([said, torch.full((5, 20), 900.0)], dim=1)
    found = extractor.transformed(spoken(loud, silent=20)).states
    assert found is not None and torch.equal(found[:, :98], expected[:, :98])
    silence = extractor.transformed(spoken(said, silent=50)).states
    extractor.config = replace(extractor.config, states_reference="corpus")
    assert silence is not None and torch.equal(silence, extractor.transformed(spoken(said)).states)  # type: ignore[arg-type]


def test_pitch_is_relative_to_the_voice_too(extractor: FeatureExtractor) -> None:
    assert extractor.transformed(spoken(states(3)), Voice(f0=180.0)).speaker_f0 == 180.0
    assert extractor.transformed(spoken(states(3))).speaker_f0 == 0.0


def test_other_references_are_refused() -> None:
    with pytest.raises(ValueError, match="states_reference: expected one of auto, corpus, speaker; got 'room'"):
        FeatureConfig(states_reference="room")  # type: ignore[arg-type]
