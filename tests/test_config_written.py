"""Settings that are written are read back as they were."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from echo_asr.config import build_sections, read_yaml, write_yaml
from echo_asr.decode.search import DecodeConfig
from echo_asr.model.config import FEATURES
from echo_asr.train.recipe import SECTIONS

# Values by type; ranges are those that every field of that name takes.
RANGES: dict[str, st.SearchStrategy[Any]] = {
    "mels": st.integers(8, 128),
    "null_relative_db": st.floats(10, 120),
    "tokenizer": st.sampled_from(["character", "bpe", "some folder/tokenizer.json"]),
    "vocabulary": st.integers(2, 10**6),
    "letters": st.sampled_from(["", ":'-!"]),
    "stop": st.just("silence"),
    "fastest": st.sampled_from([0.0, 0.5, 100.0]),
    "features": st.permutations(FEATURES).map(tuple),
    "ctc_weight": st.floats(0.001, 0.999),
    "curriculum": st.dictionaries(st.sampled_from(FEATURES), st.integers(0, 1000)),
    "width": st.just(192),
    "heads": st.sampled_from([1, 2, 3, 4, 6]),
    "positions": st.just("rotary"),
    "radius_range": st.floats(0.001, 0.999),
    "backend": st.sampled_from(["auto", "reference"]),
    "states": st.sampled_from(["", "openai/whisper-base", "a folder/encoder"]),
    "encoder_layers": st.lists(st.integers(0, 48), max_size=3, unique=True).map(tuple),
    "tune": st.just("none"),
    "encoder_rate": st.floats(1e-9, 10.0),
    "layer_decay": st.floats(0.01, 1.0),
    "time_share": st.floats(0, 1),
    "final_rate": st.floats(0, 1),
    "speeds": st.lists(st.floats(0.5, 2.0), min_size=1, max_size=3).map(tuple),
    "semitones": st.lists(st.floats(-12.0, 12.0), min_size=1, max_size=3).map(tuple),
    "seed": st.integers(0, 2**40),
    "length_bonus": st.floats(allow_nan=False, allow_infinity=False),
    "learning_rate": st.floats(1e-300, 1e3),
    "batch_seconds": st.floats(1e-3, 1e6),
    "gradient_clip": st.floats(1e-30, 1e30),
    "weight_decay": st.floats(0, 1e9),
    "beam": st.integers(1, 10**9),
    "repetition": st.sampled_from([0, 2, 8]),
    "pitch_input_gain": st.sampled_from([1.0, 1.0, 0.25, 1e9]),
    "pause": st.floats(0.6, 10.0),
    "margin": st.floats(0.0, 0.3),
    "longest": st.floats(10.0, 100.0),
    "above_noise": st.floats(0.1, 40.0),
    "nbest": st.just(1),
    "grammar": st.sampled_from(["", "some folder/said.txt"]),
    "reject": st.floats(0, 1),
    "lm": st.sampled_from(["", "some folder/lm.arpa"]),
    "conventions": st.dictionaries(
        st.sampled_from(["[...]", "word-", "xxx", "|", "(?)", "'kp"]), st.sampled_from(["keep", "drop", "exclude"])
    ),
    "tone_marks": st.sampled_from(["", "\u0301\u0300", "bjv"]),
    "hotwords": st.lists(st.sampled_from(["Kathleen", "New York", "1984", "yes"])).map(tuple),
}

ACCOMPANIED = (  # modes that others must go with
    "text_pitch aligned", "learn_frequencies", "fastest has no set", "needs decode.beam",
    "cannot go with decode.grammar",
    "needs model.pitch_input", "text.letters goes with", "text.tone_marks needs", "letters that write tone",
)  # fmt: skip


def configs(kind: type) -> st.SearchStrategy[Any]:
    """Any instance of a dataclass of settings."""
    hints = get_type_hints(kind)

    def values(name: str) -> st.SearchStrategy[Any]:
        if name in RANGES:
            return RANGES[name]
        if is_dataclass(hints[name]):
            return configs(hints[name])
        if get_origin(hints[name]) is Literal:
            return st.sampled_from(get_args(hints[name]))
        return {bool: st.booleans(), int: st.integers(1, 1000), float: st.floats(0, 0.999)}[hints[name]]

    def made(**values: Any) -> Any:
        try:
            return kind(**values)
        except ValueError as error:
            if any(mode in str(error) for mode in ACCOMPANIED):
                reject()
            raise

    return st.builds(made, **{f.name: values(f.name) for f in fields(kind)})


@pytest.mark.parametrize("name", SECTIONS)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_what_is_written_is_read_back_equal(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    section = data.draw(configs(SECTIONS[name]))
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    write_yaml(path, {name: section})
    found = build_sections(read_yaml(path), {name: SECTIONS[name]}, where=str(path))[name]
    assert found == section and repr(found) == repr(section)


def test_plain_mappings_are_written_beside_dataclasses(tmp_path: Path) -> None:
    extra = {"notes": {"who": "Ngữ", "steps": (1, 2), "deep": [{"a": (3,)}]}}
    write_yaml(tmp_path / "my.yaml", {"decode": DecodeConfig(), **extra})
    text = (tmp_path / "my.yaml").read_text(encoding="utf-8")
    assert "Ngữ" in text and "!!" not in text
    assert read_yaml(tmp_path / "my.yaml")["notes"] == {"who": "Ngữ", "steps": [1, 2], "deep": [{"a": [3]}]}
    assert list(read_yaml(tmp_path / "my.yaml")) == ["decode", "notes"]
