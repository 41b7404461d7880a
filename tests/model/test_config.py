from typing import Any

import pytest

from echo_asr.errors import EchoError
from echo_asr.model.config import FEATURES, PRESETS, ModelConfig, expand_preset
from echo_asr.model.echo import Echo
from echo_asr.text.config import TextConfig
from echo_asr.vrope import VRoPEModes

BOTH: tuple[Any, ...] = ("spectrogram", "pitch")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": ()}, "model.features must name each feature once, at least one of .*spectrogram.*pitch"),
        ({"features": ("pitch", "pitch")}, "model.features must name each feature once"),
        ({"features": ("pitch",)}, "model.ctc_feature spectrogram is not among model.features"),
        (
            {"features": ("waveform",), "ctc_feature": "waveform", "pitch_input": True},
            "model.pitch_input needs spectrogram or states among model.features",
        ),
        *(
            (
                {"pitch_input_gain": gain, "pitch_input": stacked},
                "model.pitch_input_gain must be above 0, and needs model.pi",
            )
            for gain, stacked in ((2.0, False), (0.0, True), (-1.0, True), (float("nan"), True), (float("inf"), True))
        ),
        ({"width": 0}, "model.width must be at least 1, got 0"),
        ({"heads": 0}, "model.heads must be at least 1, got 0"),
        ({"feedforward": 0}, "model.feedforward must be at least 1, got 0"),
        ({"spectrogram_layers": 0}, "model.spectrogram_layers must be at least 1, got 0"),
        ({"waveform_layers": 0}, "model.waveform_layers must be at least 1, got 0"),
        ({"pitch_layers": -1}, "model.pitch_layers must be at least 1, got -1"),
        ({"cross_layers": 0}, "model.cross_layers must be at least 1, got 0"),
        ({"decoder_layers": -1}, "model.decoder_layers must not be negative, got -1"),
        ({"dropout": 1.0}, r"model.dropout must lie in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, r"model.dropout must lie in \[0, 1\), got -0.1"),
        *(
            ({"ctc_weight": weight}, rf"model.ctc_weight must lie between 0 and 1 \(exclusive\), got {weight}$")
            for weight in (0.0, 1.0, -0.5, float("nan"))
        ),
        ({"positions": "sinusoidal"}, "model.positions sinusoidal takes model.vrope.theta none"),
        (
            {"text_pitch": "aligned", "gate": "pitch"},
            "model.text_pitch aligned needs two blocks with cross-attention: .*; raise model.cross_layers$",
        ),
        (
            {"text_pitch": "aligned", "features": BOTH, "gate": "pitch", "combine": "joint"},
            "model.text_pitch aligned needs two blocks with cross-attention: .*; raise model.cross_layers$",
        ),
        (
            {"text_pitch": "aligned", "features": BOTH},
            "model.text_pitch aligned is read by model.vrope.radius acoustic or model.gate pitch",
        ),
        (
            {"text_pitch": "aligned", "features": BOTH, "gate": "token", "vrope": VRoPEModes(radius="learned")},
            "model.text_pitch aligned is read by model.vrope.radius acoustic or model.gate pitch; set either$",
        ),
        ({"width": 100}, "width 100 must be a multiple of heads 3"),
        ({"width": 36}, "width / heads must be a multiple of 8, got 36 / 3"),
        (
            {"width": 24, "vrope": VRoPEModes(bias="quadratic")},
            "heads of width 8 leave fewer than 8 content dimensions; widen them",
        ),
        ({"width": 16, "heads": 2}, r"model.cross_nulls weight: heads of width 8 .*; widen them \(model.width, "),
        ({"width": 16, "heads": 2, "cross_nulls": "none", "text_nulls": "hard"}, "model.text_nulls hard: heads of wid"),
    ],
)
def test_options_that_cannot_work_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig(**wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"gate": "pitch", "features": BOTH},
        {"vrope": VRoPEModes(radius="acoustic"), "features": BOTH},
        {"gate": "pitch", "cross_layers": 2},
        {"gate": "pitch", "features": BOTH, "combine": "joint", "cross_layers": 2},
        {"vrope": VRoPEModes(radius="acoustic"), "features": BOTH, "combine": "blend"},
    ],
    ids=str,
)
def test_pitch_of_text_positions_takes_two_blocks_and_a_reader(right: dict[str, Any]) -> None:
    assert ModelConfig(text_pitch="aligned", **right).text_pitch == "aligned"


def test_a_vocabulary_needs_a_symbol_beside_zero() -> None:
    assert TextConfig(vocabulary=2).vocabulary == 2
    with pytest.raises(ValueError, match="text.vocabulary must be at least 2, got 1"):
        TextConfig(vocabulary=1)


@pytest.mark.parametrize(
    ("name", "millions", "with_pitch"),
    [("tiny", 1.7, 2.6), ("small", 10.5, 15.3), ("medium", 21.2, 28.6), ("base", 32.6, 47.4)],
)
def test_presets_have_the_size_they_say(
    name: str, millions: float, with_pitch: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("echo_asr.model.echo._initialise", lambda module: None)  # which is slow
    for features, expected in ((("spectrogram",), millions), (BOTH, with_pitch)):
        model = Echo(ModelConfig(**{**PRESETS[name], "features": features}), vocabulary_size=40)
        assert model.parameter_count / 1e6 == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("features", "asked", "stacked"),
    [
        (("spectrogram",), "auto", True),
        (("waveform", "spectrogram"), "auto", True),
        (BOTH, "auto", False),
        (("waveform",), "auto", False),
        (BOTH, True, True),
        (("spectrogram",), False, False),
    ],
)
def test_pitch_is_stacked_where_it_has_no_encoder_unless_told(features: Any, asked: Any, stacked: bool) -> None:
    assert ModelConfig(features=features, ctc_feature=features[0], pitch_input=asked).has_pitch_input is stacked


def test_layers_of_each_feature() -> None:
    config = ModelConfig(spectrogram_layers=5, waveform_layers=2, pitch_layers=3, states_layers=6)
    assert FEATURES == ("spectrogram", "waveform", "pitch", "states")
    assert [config.layers(name) for name in FEATURES] == [5, 2, 3, 6]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_expands_and_what_stands_beside_it_prevails(name: str) -> None:
    data = {"model": {"dropout": 0.2, "preset": name, "pitch_layers": 9}, "text": {"tokenizer": "bpe"}}
    expanded = expand_preset(data)
    assert expanded == {
        "model": {**PRESETS[name], "pitch_layers": 9, "dropout": 0.2},
        "text": {"tokenizer": "bpe"},
    }
    assert data["model"] == {"dropout": 0.2, "preset": name, "pitch_layers": 9}, "the caller's own is not touched"
    assert ModelConfig(**expanded["model"]).width == PRESETS[name]["width"]


@pytest.mark.parametrize("data", [{}, {"model": {"width": 64}}, {"model": None}, {"model": 3}, {"train": {"seed": 1}}])
def test_without_a_preset_nothing_changes(data: dict[str, Any]) -> None:
    assert expand_preset(data) == data


@pytest.mark.parametrize("wrong", ["large", None, 3])
def test_an_unknown_preset_is_told(wrong: object) -> None:
    message = f"^my.yaml: model.preset must be one of tiny, small, medium, base, got {wrong!r}$"
    with pytest.raises(EchoError, match=message):
        expand_preset({"model": {"preset": wrong}}, "my.yaml")
