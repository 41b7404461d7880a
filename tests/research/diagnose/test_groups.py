"""The published groups: figures against direct computation, and against the published report where it tells enough."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from echo_asr.data.batch import Batch
from echo_asr.research.diagnose.groups import Group, attention_ratios, gate_against_mlp, mark, published_groups
from echo_asr.research.diagnose.probes import Activation, Probe, parts, probe

Make = Callable[..., Any]

# Q, K, V, O of layers of the published report (to four places), and the ratios that it states.
PUBLISHED = [
    ((0.0911, 0.0924, 0.1968), dict(q_k_sim=0.9860, qk_v_ratio=0.9326, v_k_ratio=2.1296, v_q_ratio=2.1598)),
    ((0.0409, 0.0413, 0.1255), dict(q_k_sim=0.9894, qk_v_ratio=0.6547, v_k_ratio=3.0387, v_q_ratio=3.0714)),
]


@pytest.mark.parametrize(("norms", "expected"), PUBLISHED)
def test_ratios_are_those_of_the_published_report(norms: tuple[float, ...], expected: dict[str, float]) -> None:
    q, k, v = norms
    row = attention_ratios({"any": {"q": q, "k": k, "v": v, "o": 2.0 * v}}).rows["any"]
    assert row["o_v_ratio"] == pytest.approx(2.0)
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=2e-3), name


def test_ratios_to_nothing_are_left_out_and_that_is_said() -> None:
    group = attention_ratios({"any": {"q": 0.0, "k": 0.0, "v": 1.0, "o": 0.5}})
    assert group.rows == {"any": {"o_v_ratio": 0.5, "qk_v_ratio": 0.0}}
    assert "left out" in group.remark


@pytest.mark.parametrize(("ratio", "colour"), [(1.4918, "green"), (1.9277, "green"), (2.0964, "yellow"), (5.0, "red")])
def test_marks_are_those_of_the_published_report(ratio: float, colour: str) -> None:
    assert mark(ratio) == colour


def test_gate_against_mlp_is_the_ratio_of_means_and_the_difference_of_sparsities() -> None:
    seen = {"b.gate_activation": Activation(1.0625, 0.0058), "b.mlp_activation": Activation(0.5062, 0.0129)}
    row = gate_against_mlp(seen).rows["b"]
    assert row["activation_ratio"] == pytest.approx(2.0988, rel=1e-3)  # as published, from rounded figures
    assert row["sparsity_difference"] == pytest.approx(-0.0071) and row["mark"] == "yellow"
    dead = {"b.gate_activation": Activation(1.0, 0.0), "b.mlp_activation": Activation(0.0, 1.0)}
    assert gate_against_mlp(dead).rows["b"] == {"sparsity_difference": -1.0, "mark": "red"}


@pytest.fixture
def batches(make_batch: Make, texts: tuple[torch.Tensor, torch.Tensor]) -> list[Batch]:
    return [Batch(make_batch(seed=seed), *texts) for seed in (0, 1)]


def test_component_statistics_are_over_parts_and_batches(make_model: Make, batches: list[Batch]) -> None:
    model = make_model(gate="token")
    probes = [probe(model, batch) for batch in batches]
    groups = {group.name: group for group in published_groups(model, probes)}
    row = groups["component_statistics"].rows["q"]
    norms = []
    for batch in batches:
        model.zero_grad()
        model.loss(batch.features, batch.tokens, batch.lengths).total.backward()
        norms += [float(p.grad.norm()) for n, p in model.named_parameters() if n.endswith(".query.weight")]
    assert row["samples"] == len(norms) == 2 * sum(part.component == "q" for part in parts(model).values())
    for name, value in (("mean", sum(norms) / len(norms)), ("min", min(norms)), ("max", max(norms))):
        assert row[name] == pytest.approx(value, rel=1e-4)
    attention = "encoders.spectrogram.blocks.0.attention"
    gradients = groups["encoder_attention_gradients"].rows[attention]
    assert gradients["sum"] == pytest.approx(sum(float(gradients[n]) for n in "qkv"))
    assert gradients["q"] == pytest.approx(sum(p.gradients[f"{attention}.query"] for p in probes) / 2)
    assert "decoder.stacks.pitch.0.cross" in groups["decoder_attention_gradients"].rows


def test_what_a_model_lacks_is_said(make_model: Make, batches: list[Batch]) -> None:
    model = make_model()
    groups = {g.name: g for g in published_groups(model, [probe(model, batches[0])])}
    assert groups["gate_against_mlp"].remark == "no gates in this model (model.gate none)"
    assert "no blend weights" in groups["cross_attention_blend"].remark
    assert "no gates" in groups["component_statistics"].remark and "gate" not in groups["component_statistics"].rows
    model = make_model(combine="blend", gate="scalar")
    groups = {g.name: g for g in published_groups(model, [probe(model, batches[0])])}
    raw = float(model.decoder.blends["pitch"].detach())
    row = groups["cross_attention_blend"].rows["decoder.blends.pitch"]
    assert row["blend"] == pytest.approx(1 / (1 + math.exp(-raw))) and row["raw"] == pytest.approx(raw)
    assert groups["component_statistics"].rows["blend"]["samples"] == 2 and groups["gate_against_mlp"].rows


def test_a_group_is_an_object_of_finite_numbers() -> None:
    made = Group("any", "Any", {"a": {"x": 1 / 3, "n": 2, "mark": "red"}}, "remark").to_dict()
    assert json.loads(json.dumps(made, allow_nan=False))["rows"] == {"a": {"x": 0.333333, "n": 2, "mark": "red"}}
    assert made["definition"] == "docs/diagnostics.md#any"
    with pytest.raises(ValueError, match="figures must be finite, got nan"):
        Group("any", "Any", {"a": {"x": math.nan}}).to_dict()


def test_probes_of_different_features_are_averaged_where_they_exist(make_model: Make, batches: list[Batch]) -> None:
    model = make_model()
    probes: list[Probe] = [probe(model, batches[0], ("spectrogram",)), probe(model, batches[1])]
    groups = {g.name: g for g in published_groups(model, probes)}
    name = "encoders.pitch.blocks.0.attention"
    assert groups["encoder_attention_gradients"].rows[name]["q"] == probes[1].gradients[f"{name}.query"]
