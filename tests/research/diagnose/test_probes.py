"""What probes see against autograd by itself, and that they leave no trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from echo_asr.data.batch import Batch
from echo_asr.model.encoder import Encoded
from echo_asr.research.diagnose.probes import COMPONENTS, NEAR_ZERO, parts, probe

Make = Callable[..., Any]


@pytest.fixture
def batch(make_batch: Make, texts: tuple[torch.Tensor, torch.Tensor]) -> Batch:
    return Batch(make_batch(), *texts)


def test_every_parameter_belongs_to_one_part_and_its_gradient_is_autograds(
    make_model: Make, batch: Batch, options: dict[str, Any]
) -> None:
    model = make_model(**options)
    seen = probe(model, batch)
    known = parts(model)
    named = dict(model.named_parameters())
    assert sorted(n for part in known.values() for n in part.parameters) == sorted(named)
    assert {part.component for part in known.values()} <= set(COMPONENTS)
    assert all(p.grad is None for p in named.values())
    loss = model.loss(batch.features, batch.tokens, batch.lengths).total
    loss.backward()
    assert seen.loss == pytest.approx(float(loss.detach()), rel=1e-5)
    for name, part in known.items():
        gradients = [named[n].grad for n in part.parameters]
        if name not in seen.gradients:
            assert all(g is None for g in gradients)
            continue
        squares = sum(float(g.double().square().sum()) for g in gradients if g is not None)
        assert seen.gradients[name] == pytest.approx(squares**0.5, rel=1e-4, abs=1e-8), name
        count = sum(g.numel() for g in gradients if g is not None)
        assert seen.strengths[name] == pytest.approx((squares / count) ** 0.5, rel=1e-4, abs=1e-8), name
    for name, activation in seen.activations.items():
        assert activation.mean > 0 and 0.0 <= activation.sparsity <= 1.0 and activation.gradient >= 0.0, name


def test_each_component_is_what_its_name_says(make_model: Make) -> None:
    known = parts(make_model(gate="token", combine="blend", vrope={"theta": "integrated", "nulls": "weight"}))
    expected = {
        "encoders.spectrogram.blocks.0.attention.query": "q",
        "encoders.spectrogram.blocks.0.attention.output": "o",
        "decoder.stacks.pitch.0.cross.value": "v",
        "encoders.pitch.front.convolutions.0": "encoder",
        "encoders.pitch.front.norm": "norm",
        "decoder.norm": "norm",
        "encoders.spectrogram.blocks.1.feedforward": "mlp",
        "encoders.spectrogram.blocks.1.feedforward.pass_gate": "gate",
        "decoder.blends.pitch": "blend",
        "encoders.spectrogram.blocks.0.attention": "vrope",
        "decoder.embedding": "text",
    }
    assert {name: known[name].component for name in expected} == expected
    assert len(known["encoders.spectrogram.blocks.1.feedforward"].parameters) == 4  # three maps, one with a bias


def test_activations_are_those_of_positions_that_are_no_padding(
    make_model: Make, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(vrope={"radius": "acoustic"})
    seen = probe(model, batch).activations
    encoded: Encoded = model.encode(batch.features)
    states = {name: value.detach().requires_grad_() for name, value in encoded.states.items()}
    monkeypatch.setattr(model, "encode", lambda *_: Encoded(states, encoded.track, encoded.lengths))
    loss = model.loss(batch.features, batch.tokens, batch.lengths).total
    for name, state in states.items():
        (gradient,) = torch.autograd.grad(loss, [state], retain_graph=True)
        inside = ~encoded.track.padding
        values = state.detach()[inside].abs()
        found = seen[f"encoders.{name}.final_output"]
        assert found.mean == pytest.approx(float(values.mean()), rel=1e-5)
        assert found.sparsity == pytest.approx(float((values < NEAR_ZERO).float().mean()))
        assert found.gradient == pytest.approx(float(gradient[inside].square().mean().sqrt()), rel=1e-4)


def test_a_gates_activation_is_its_factor(make_model: Make, batch: Batch) -> None:
    model = make_model(gate="scalar")
    seen = probe(model, batch).activations
    gate = model.encoders["spectrogram"].blocks[0].feedforward.pass_gate
    expected = 2.0 * float(torch.sigmoid(gate.bias.detach()))
    assert seen["encoders.spectrogram.blocks.0.gate_activation"].mean == pytest.approx(expected)
    assert "decoder.stacks.pitch.0.gate_activation" in seen


def test_no_trace_is_left(make_model: Make, batch: Batch) -> None:
    model = make_model(gate="pitch", dropout=0.2)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    first, second = probe(model, batch), probe(model, batch)
    assert first == second  # evaluation mode: no dropout
    assert model.training and all(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_the_mode_comes_back_when_a_probe_fails(make_model: Make, batch: Batch) -> None:
    model = make_model(features=("waveform",), ctc_feature="waveform").train()
    bad = Batch(type(batch.features)(**{**vars(batch.features), "waveform": None}), batch.tokens, batch.lengths)
    with pytest.raises(ValueError, match="no waveform"):
        probe(model, bad)
    assert model.training and not any(m._forward_hooks for m in model.modules())


def test_features_that_take_no_part_are_left_out(make_model: Make, batch: Batch) -> None:
    seen = probe(make_model(), batch, ("spectrogram",))
    assert not any(name.startswith("encoders.pitch") for name in [*seen.gradients, *seen.activations])
