"""How much of a gate's variance is explained, against gates of which it is known what moves them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from echo_asr.data.batch import Batch
from echo_asr.research.diagnose.filters import explained, explained_variance, gate_group

Make = Callable[..., Any]
FIRST = "encoders.spectrogram.blocks.0"
SHARES = ("by_energy", "by_voicing", "by_f0", "by_f0_of_others")


@pytest.fixture
def batch(make_batch: Make, texts: tuple[torch.Tensor, torch.Tensor]) -> Batch:
    return Batch(make_batch(), *texts)


@pytest.fixture
def channels() -> np.ndarray:
    """Pitch, voicing and energy of 4000 frames that have nothing to do with each other."""
    rng = np.random.default_rng(0)
    voicing = (rng.random(4000) < 0.6) * rng.uniform(0.3, 1.0, 4000)
    return np.stack((rng.normal(size=4000), voicing, rng.random(4000)), axis=1)


def shares(factors: np.ndarray, channels: np.ndarray) -> list[float]:
    row = explained_variance(factors, channels)
    return [float(row[name]) for name in SHARES]


def test_each_share_goes_to_what_moves_the_gate(channels: np.ndarray) -> None:
    z, voicing, energy = channels.T
    for known, wanted in ((energy, [1, 0, 0, 0]), (voicing, [0, 1, 0, 0]), (z * voicing, [0, 0, 1, 0])):
        found = shares(np.stack((1.0 + 0.1 * known, 1.0 - 0.3 * known), axis=1), channels)
        assert found == pytest.approx(wanted, abs=0.01)
    noise = np.random.default_rng(1).normal(size=(4000, 1))
    assert shares(noise, channels) == pytest.approx([0, 0, 0, 0], abs=0.01)
    both = (z * voicing)[:, None] + noise * np.std(z * voicing)
    assert shares(both, channels)[2] == pytest.approx(0.5, abs=0.05)


def test_r_squared_is_the_squared_correlation_where_one_thing_is_known() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=300)
    value = 0.5 * known + rng.normal(size=300) + 7.0
    assert explained(value[:, None], known[:, None]) == pytest.approx(np.corrcoef(known, value)[0, 1] ** 2)


def test_means_are_over_voiced_frames_and_over_the_others(channels: np.ndarray) -> None:
    voiced = channels[:, 1] > 0
    row = explained_variance(np.where(voiced, 1.5, 0.5)[:, None], channels)
    assert row["voiced"] == 1.5 and row["unvoiced"] == 0.5 and row["frames"] == 4000
    assert row["mean"] == pytest.approx(0.5 + voiced.mean())
    still = explained_variance(np.full((4000, 1), 1.0), channels)
    assert still["mean"] == 1.0 and not set(SHARES) & set(still), "what stands still has no variance to tell of"
    whispered = channels * [1.0, 0.0, 1.0]
    assert "voiced" not in (row := explained_variance(channels[:, 2:], whispered)) and row["by_f0"] == pytest.approx(
        0.0, abs=1e-9
    )


def test_gates_of_a_model_are_seen_at_their_frames_without_padding(make_model: Make, batch: Batch) -> None:
    model = make_model(gate="pitch", features=("spectrogram", "pitch"))
    gate = model.get_submodule(f"{FIRST}.feedforward.pass_gate")
    with torch.no_grad():
        gate.weight.zero_()
        gate.weight[:, 0] = 0.05  # F0 alone, gently: nearly in a straight line
        gate.bias.zero_()
    group = gate_group(model, [batch, batch])
    track = model.encode(batch.features).track
    factors = (2.0 * torch.sigmoid(0.05 * track.z()))[~track.padding]
    row = group.rows[FIRST]
    assert row["mean"] == pytest.approx(float(factors.detach().mean()), rel=1e-5)
    assert row["frames"] == 2 * len(factors)
    assert {name.split(".")[1] for name in group.rows} == {"spectrogram", "pitch"}
    assert not any(name.startswith("decoder.") for name in group.rows)
    assert list(gate_group(model, [batch], ["pitch"]).rows) == ["encoders.pitch.blocks.0"]
    assert not any(module._forward_hooks for module in model.modules()), "nothing is left behind"


def test_where_there_is_nothing_to_see_it_is_said(make_model: Make, batch: Batch) -> None:
    assert "model.gate none" in gate_group(make_model(), [batch]).remark
    scalar = gate_group(make_model(gate="scalar"), [batch])
    assert not scalar.rows and "model.gate scalar" in scalar.remark
