"""Options under their earlier names."""

from __future__ import annotations

import pytest

from echo_asr.config import build_sections, parse_words
from echo_asr.errors import EchoError
from echo_asr.model.config import ModelConfig
from echo_asr.renamed import RENAMED
from echo_asr.train.config import TrainConfig

SECTIONS: dict[str, type] = {"model": ModelConfig, "train": TrainConfig}
EARLIER = {"model": {"heard_nulls": "hard", "stacked_pitch": True, "stacked_gain": 3.0, "vrope": {"values": "still"}}}
NOW = {
    "model": {"cross_nulls": "hard", "pitch_input": True, "pitch_input_gain": 3.0, "vrope": {"rotate_values": False}}
}


def test_a_configuration_of_before_is_read_and_one_line_names_what_was_renamed() -> None:
    with pytest.warns(UserWarning, match="old.yaml: .*model.heard_nulls is now model.cross_nulls") as caught:
        earlier = build_sections(EARLIER, SECTIONS, where="old.yaml")
    assert len(caught) == 1 and earlier == build_sections(NOW, SECTIONS)


@pytest.mark.parametrize("words", [["--model.vrope.values", "still"], ["--model.vrope.values=still"]])
def test_a_command_of_before_is_read(words: list[str]) -> None:
    with pytest.warns(UserWarning, match="--model.vrope.values is now --model.vrope.rotate_values"):
        built = build_sections({}, SECTIONS, parse_words(words))
    assert not built["model"].vrope.rotate_values


def test_a_value_that_it_never_had_and_both_names_at_once_are_refused() -> None:
    with pytest.raises(EchoError, match="model.vrope.values: expected one of turned, still; got 'spun'"):
        build_sections({"model": {"vrope": {"values": "spun"}}}, SECTIONS)
    with pytest.raises(EchoError, match="heard_nulls is an earlier name of model.cross_nulls"):
        build_sections({"model": {"heard_nulls": "hard", "cross_nulls": "none"}}, SECTIONS)


def test_no_option_has_an_earlier_name_as_its_present_one() -> None:
    assert not set(RENAMED) & {now for now, _ in RENAMED.values()}
