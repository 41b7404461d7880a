"""Modes and dimensions: what is refused, and what a head is divided into."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from echo_asr.vrope import VRoPEConfig, VRoPEModes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 60, "heads": 7}, "width 60 must be a multiple of heads 7"),
        ({"heads": 0}, "must be a multiple of heads 0"),
        ({"width": 48, "heads": 4}, "width / heads must be a multiple of 8, got 48 / 4"),
        ({"width": 32, "heads": 4, "bias": "harmonic"}, "heads of width 8 leave fewer than 8 content dimensions"),
        ({"width": 32, "heads": 4, "nulls": "weight"}, "heads of width 8 leave fewer than 8 content dimensions"),
        ({"causal": True, "bias": "quadratic"}, "bias quadratic belongs to encoder self-attention"),
        ({"causal": True, "bias": "laplace"}, "a causal layer takes bias none"),
        ({"backend": "sdpa", "bias": "laplace"}, "sdpa cannot fold bias laplace; take backend auto"),
        ({"radius_range": 0.0}, "radius_range must lie between 0 and 1 .*got 0.0"),
        ({"radius_range": 1.0}, "radius_range must lie between 0 and 1 .*got 1.0"),
        ({"radius_range": -0.5}, "radius_range must lie between 0 and 1 .*got -0.5"),
        ({"radius_range": float("nan")}, "radius_range must lie between 0 and 1 .*got nan"),
        ({"theta": "integral"}, "theta must be one of none, static, .*axis, got 'integral'"),
        ({"frequencies": "linear"}, "frequencies must be one of mel, inverse_power, got 'linear'"),
        ({"clock": "second"}, "clock must be one of frame, encoder, got 'second'"),
        ({"reference": "corpus"}, "reference must be one of fixed, utterance, speaker, got 'corpus'"),
        ({"fastest": -1.0}, r"fastest must lie in \[0, 100\] rad per tick, got -1.0"),
        ({"fastest": float("nan")}, r"fastest must lie in \[0, 100\] rad per tick, got nan"),
        ({"fastest": 2.0, "theta": "none"}, "fastest has no set to scale under theta none"),
        ({"learn_frequencies": True, "theta": "none"}, "learn_frequencies has no set to train under theta none"),
        ({"learn_frequencies": True, "theta": "mapped"}, "learn_frequencies has no set to train under theta mapped"),
        ({"rotate_values": "spun"}, "rotate_values must be true or false, got 'spun'"),
        ({"radius": "sigmoid"}, "radius must be one of unit, learned, acoustic, got 'sigmoid'"),
        ({"bias": "gauss"}, "bias must be one of none, laplace, quadratic, harmonic, energy, random, got 'gauss'"),
        ({"nulls": "soft"}, "nulls must be one of none, hard, weight, score, got 'soft'"),
        ({"backend": "cuda"}, "backend must be one of auto, reference, sdpa, flex, got 'cuda'"),
    ],
)
def test_what_cannot_work_is_refused_by_name(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VRoPEConfig(**arguments)


@pytest.mark.parametrize(
    ("bias", "nulls", "content"),
    [
        ("none", "none", 16),
        ("none", "score", 16),
        ("none", "hard", 14),
        ("none", "weight", 14),
        ("laplace", "none", 16),
        ("laplace", "weight", 14),
        ("harmonic", "none", 14),
        ("harmonic", "weight", 12),
        ("quadratic", "score", 12),
        ("quadratic", "hard", 12),
    ],
)
def test_folded_terms_are_taken_out_of_the_head_in_pairs(bias: str, nulls: str, content: int) -> None:
    config = VRoPEConfig(width=64, heads=4, bias=bias, nulls=nulls)  # type: ignore[arg-type]
    assert config.content_width == content
    assert config.head_width == 16


def test_a_layer_carries_every_mode_over() -> None:
    modes = VRoPEModes(
        theta="integrated", frequencies="inverse_power", learn_frequencies=True, clock="encoder", fastest=2.0,
        rotate_values=False, reference="utterance", radius="acoustic", radius_range=0.25, bias="none", nulls="score",
        backend="reference",
    )  # fmt: skip
    config = modes.attention(width=96, heads=3, causal=True)
    assert {field.name: getattr(config, field.name) for field in fields(VRoPEModes)} == vars(modes)
    assert (config.width, config.heads, config.causal) == (96, 3, True)
    default = VRoPEModes()
    for field in fields(VRoPEModes):  # each of the values above differs from its default, bias apart
        assert field.name == "bias" or getattr(default, field.name) != getattr(modes, field.name)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        VRoPEModes().theta = "static"  # type: ignore[misc]
