"""What an arm that reads the states of a pretrained encoder costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from echo_asr.config import parse_words
from echo_asr.model.checkpoint import load_bundle
from echo_asr.research.study.cost import channels, multiply_adds, parameter_count
from echo_asr.train.recipe import read_config
from tests.helpers.encoders import WIDTH, states_words


def test_parameters_are_those_of_the_trained_model(learnt_states: Path, encoder: Path) -> None:
    model = load_bundle(learnt_states).model
    sections = read_config("pretrained", parse_words(states_words(encoder)))
    assert channels(sections["features"]) == model.states == 2 * WIDTH
    assert parameter_count(sections, model.vocabulary_size) == model.parameter_count


@pytest.mark.parametrize(("layers", "expected"), [("[1]", WIDTH), ("[0,1,2]", 3 * WIDTH)])
def test_more_layers_cost_more(layers: str, expected: int, encoder: Path) -> None:
    def sections(chosen: str) -> dict[str, Any]:
        return read_config("pretrained", parse_words([*states_words(encoder), "--features.encoder_layers", chosen]))

    assert channels(sections(layers)["features"]) == expected
    one, two = (multiply_adds(sections(chosen), 5, 2.0, 4) for chosen in (layers, "[1,2,3,4]"))
    # Each of the 25 frames in a second reads four states.
    assert two - one == pytest.approx((4 * WIDTH - expected) * 32 * 4 * 25, rel=1e-6)
