"""What vRoPE learnt, of models whose weights are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from echo_asr.data.batch import Batch
from echo_asr.research.diagnose.learnt import bias_group, gamma_group, radius_group, silence_group, theta_group
from echo_asr.research.diagnose.zero import ZeroShare
from echo_asr.vrope import mel_frequencies

Make = Callable[..., Any]
FIRST = "encoders.spectrogram.blocks.0.attention"


@pytest.fixture
def batch(make_batch: Make, texts: tuple[torch.Tensor, torch.Tensor]) -> Batch:
    return Batch(make_batch(), *texts)


def test_exponents_and_frequencies(make_model: Make) -> None:
    model = make_model(vrope={"theta": "integrated", "learn_frequencies": True})
    rotation = model.get_submodule(FIRST).rotation
    with torch.no_grad():
        rotation.raw_exponent.fill_(math.log(2.0))
        rotation.learned_frequencies.copy_(mel_frequencies(8) + 0.25)
    row = theta_group(model).rows[FIRST]
    assert row["theta"] == "integrated" and row["exponent"] == pytest.approx(1.0)
    assert row["slowest"] == pytest.approx(0.25) and row["fastest"] == pytest.approx(8.25)
    assert row["frequencies_moved"] == pytest.approx(0.25, rel=1e-5)
    over = (4 * (mel_frequencies(8) + 0.25) > math.pi).double().mean()  # an encoder frame lasts four ticks
    assert row["aliased"] == pytest.approx(float(over))


def test_a_theta_without_f0_is_said_to_be_one(make_model: Make) -> None:
    group = theta_group(make_model())
    assert "does not use F0" in group.remark and "are fixed" in group.remark
    assert theta_group(make_model(vrope={"theta": "none"})).rows[FIRST] == {"theta": "none"}
    assert theta_group(make_model(vrope={"theta": "axis"})).rows[FIRST]["pitch_pairs"] == 2
    assert "use F0" not in theta_group(make_model(vrope={"theta": "mapped"})).remark


def test_radii_are_those_of_the_formula_over_frames_that_are_no_padding(make_model: Make, batch: Batch) -> None:
    model = make_model(vrope={"radius": "acoustic"})
    rotation = model.get_submodule(FIRST).rotation
    track = model.encode(batch.features).track
    weighted = torch.einsum("bfc,pc->bfp", track.channels(), rotation.radius.weight) + rotation.radius.bias
    radii = (1.0 + 0.5 * torch.tanh(weighted))[~track.padding].detach()
    row = radius_group(model, [batch]).rows[FIRST]
    for name, value in (("min", radii.min()), ("mean", radii.mean()), ("max", radii.max())):
        assert row[f"radius_{name}"] == pytest.approx(float(value), rel=1e-5)
    assert row["saturated"] == pytest.approx(float((torch.tanh(weighted)[~track.padding].abs() > 0.95).float().mean()))
    with torch.no_grad():
        rotation.radius.weight.zero_()
        rotation.radius.bias.fill_(10.0)
    row = radius_group(model, [batch]).rows[FIRST]
    assert row["saturated"] == 1.0 and row["over_time"] == pytest.approx(0.0, abs=1e-6)
    assert row["radius_max"] == pytest.approx(1.5)


def test_learnt_radii_and_unit_ones(make_model: Make, batch: Batch) -> None:
    rows = radius_group(make_model(vrope={"radius": "learned"}), [batch]).rows
    assert FIRST in rows and not any(name.startswith("decoder.") for name in rows)
    group = radius_group(make_model(), [batch])
    assert not group.rows and "every radius is 1" in group.remark


def test_strengths_spreads_and_gammas(make_model: Make) -> None:
    model = make_model(vrope={"bias": "quadratic", "nulls": "weight"}, cross_nulls="score")
    attention = model.get_submodule(FIRST)
    with torch.no_grad():
        attention.bias.raw_strength.copy_(torch.tensor([0.0, 1.0]))
        attention.bias.raw_spread.copy_(torch.tensor([2.0, 3.0]))
        attention.nulls.raw_gamma.copy_(torch.tensor([0.0, 100.0]))
    rows = bias_group(model).rows
    assert rows[f"{FIRST} head 1"]["strength"] == pytest.approx(math.log(2.0))
    assert rows[f"{FIRST} head 2"]["spread"] == pytest.approx(math.log1p(math.exp(3.0)))
    rows = gamma_group(model).rows
    assert rows[f"{FIRST} head 1"] == {"mode": "weight", "gamma": pytest.approx(10**-4.5, rel=1e-5)}
    assert rows[f"{FIRST} head 2"]["gamma"] == pytest.approx(1e-3, rel=1e-5)
    assert rows["decoder.stacks.pitch.0.cross head 1"]["mode"] == "score"
    assert "spread" not in bias_group(make_model(vrope={"bias": "harmonic"})).rows[f"{FIRST} head 1"]


def test_what_is_absent_is_said(make_model: Make) -> None:
    model = make_model(cross_nulls="hard")
    assert "no pitch bias" in bias_group(model).remark and "no null weight" in gamma_group(model).remark


def test_silence(make_model: Make) -> None:
    shares = [ZeroShare(FIRST, (), 0.25, 0.4, None, (0.3, 0.5))]
    group = silence_group(shares)
    assert group.rows == {FIRST: {"null_keys": 0.25, "null_share": 0.4, "highest_head": 0.5}}
    assert "wrote no text" in group.remark
    group = silence_group([*shares, ZeroShare("decoder.blocks.0.attention", (), 0.2, 0.1, 0.1, (0.1,))])
    assert group.rows["decoder.blocks.0.attention"]["start_share"] == 0.1 and not group.remark
