"""What an arm that reads the states of a pretrained encoder costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from echo_asr.config import parse_words
from echo_asr.model.checkpoint import load_bundle
from echo_asr.research.study.cost import channels, model_cost
from echo_asr.train.recipe import read_config
from tests.helpers.encoders import LAYERS, WIDTH, states_words


def test_parameters_are_those_of_the_trained_model(learnt_states: Path, encoder: Path) -> None:
    model = load_bundle(learnt_states).model
    sections = read_config("pretrained", parse_words(states_words(encoder)))
    assert channels(sections["features"]) == model.states == 2 * WIDTH
    assert model_cost(sections, model.vocabulary_size, 2.0, 4).parameters == model.parameter_count


@pytest.mark.parametrize(("layers", "expected"), [("[1]", WIDTH), ("[0,1,2]", 3 * WIDTH)])
def test_more_layers_cost_more(layers: str, expected: int, encoder: Path) -> None:
    def sections(chosen: str) -> dict[str, Any]:
        return read_config("pretrained", parse_words([*states_words(encoder), "--features.encoder_layers", chosen]))

    assert channels(sections(layers)["features"]) == expected
    one, two = (model_cost(sections(chosen), 5, 2.0, 4).multiply_adds for chosen in (layers, "[1,2,3,4]"))
    # Each of the 25 frames in a second reads four states.
    assert two - one == pytest.approx((4 * WIDTH - expected) * 32 * 4 * 25, rel=1e-6)


def test_an_encoder_in_the_model_counts(encoder: Path) -> None:
    def cost(*words: str) -> tuple[int, float]:
        chosen = ["--features.encoder_layers", "[2,4]", "--model.lora_rank", "2", *words]
        sections = read_config("pretrained", parse_words([*states_words(encoder), *chosen]))
        found = model_cost(sections, 5, 2.0, 4)
        return found.parameters, found.multiply_adds

    cached, frozen = cost(), cost("--features.states_in", "model")
    adapters, lora = cost("--model.adapters", "true"), cost("--model.tune", "lora", "--model.adapters", "true")
    assert frozen[0] == cached[0]
    # Four layers with a scale for scores and one for values in each of two heads, and four channels of pitch.
    assert adapters[0] - cached[0] == LAYERS * 2 * 2 + 4 * WIDTH
    assert lora[0] - adapters[0] == LAYERS * 2 * (4 * 2 * WIDTH + 2 * (WIDTH + 48))
    # For each of 50 states in a second: projections and feed-forward of four layers, and attention to 100 states.
    layers = 50 * LAYERS * (4 * WIDTH**2 + 2 * 48 * WIDTH + 2 * 100 * WIDTH)
    convolutions = 100 * 3 * 80 * WIDTH + 50 * 3 * WIDTH**2
    assert frozen[1] - cached[1] == pytest.approx(layers + convolutions, rel=0.2)
    assert adapters[1] - frozen[1] == pytest.approx(50 * 4 * WIDTH)
    assert lora[1] > adapters[1]
