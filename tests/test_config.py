from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from echo_asr.config import build_sections, flatten, parse_words, read_yaml, with_changes
from echo_asr.data.spec_augment import SpecAugment
from echo_asr.decode.search import DecodeConfig
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig
from echo_asr.model.config import PRESETS, ModelConfig, expand_preset
from echo_asr.text.config import TextConfig
from echo_asr.train.config import TrainConfig
from echo_asr.train.recipe import SECTIONS
from echo_asr.vrope import VRoPEModes

ROOT = Path(__file__).parents[1]


def build(text: str, *overrides: str) -> dict[str, Any]:
    data = expand_preset(yaml.safe_load(text) or {}, "my.yaml")
    return build_sections(data, SECTIONS, parse_words(overrides), "my.yaml")


def told(text: str, *overrides: str) -> str:
    """The one line that a wrong configuration ends in."""
    with pytest.raises(EchoError) as caught:
        build(text, *overrides)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


# --- what is right


def test_what_is_not_said_takes_its_default() -> None:
    assert build("") == {name: kind() for name, kind in SECTIONS.items()}
    assert build("{model: {}, train: {augment: {}}}") == build("")


@pytest.mark.parametrize(
    ("text", "section", "expected"),
    [
        ("model: {dropout: 3e-4}", "model", ModelConfig(dropout=3e-4)),  # to YAML 1.1 a string
        ("model: {dropout: '0.25'}", "model", ModelConfig(dropout=0.25)),
        ("model: {dropout: 0}", "model", ModelConfig(dropout=0.0)),
        ("train: {learning_rate: 1E-3}", "train", TrainConfig(learning_rate=1e-3)),
        ("train: {learning_rate: 1.0e-3}", "train", TrainConfig(learning_rate=1e-3)),
        ("train: {speeds: [1, 1.1]}", "train", TrainConfig(speeds=(1.0, 1.1))),
        ("train: {augment: {time_masks: 5}}", "train", TrainConfig(augment=SpecAugment(time_masks=5))),
        ("model: {features: [pitch, spectrogram]}", "model", ModelConfig(features=("pitch", "spectrogram"))),
        ("model: {vrope: {theta: axis, nulls: none}}", "model", ModelConfig(vrope=VRoPEModes(theta="axis"))),
        ("model: {vrope: {learn_frequencies: yes}}", "model", ModelConfig(vrope=VRoPEModes(learn_frequencies=True))),
        ("model: {subsampling: 2}", "model", ModelConfig(subsampling=2)),
        ("decode: {beam: 4, length_bonus: -.5}", "decode", DecodeConfig(beam=4, length_bonus=-0.5)),
        ("text: {normalizer: none, tokenizer: bpe}", "text", TextConfig("none", "bpe")),
        ("features: {tracker: autocorrelation}", "features", FeatureConfig(tracker="autocorrelation")),
    ],
)
def test_values_get_the_types_of_their_fields(text: str, section: str, expected: Any) -> None:
    found = build(text)[section]
    assert found == expected and repr(found) == repr(expected), "1 is no 1.0, a list no tuple"
    assert type(found) is SECTIONS[section]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_the_dimensions_and_what_stands_beside_it_prevails(name: str) -> None:
    text = f"model: {{preset: {name}, feedforward: 40, vrope: {{theta: axis}}}}"
    expected = ModelConfig(**{**PRESETS[name], "feedforward": 40, "vrope": VRoPEModes(theta="axis")})
    assert build(text)["model"] == expected
    assert build(text, "--model.feedforward", "48").get("model").feedforward == 48


# --- overrides


@pytest.mark.parametrize("joined", [False, True], ids=["--a.b v", "--a.b=v"])
@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("model.dropout", "3e-4", 3e-4),
        ("train.learning_rate", "2", 2.0),
        ("decode.length_bonus", "-0.5", -0.5),
        ("decode.length_bonus", "-5e-1", -0.5),
        ("decode.length_bonus", "-1", -1.0),
        ("features.null_relative_db", "55", 55.0),
        ("model.width", "48", 48),
        ("model.subsampling", "2", 2),
        ("model.features", "[pitch, spectrogram]", ("pitch", "spectrogram")),
        ("train.speeds", "[1]", (1.0,)),
        ("model.vrope.theta", "none", "none"),
        ("model.vrope.learn_frequencies", "true", True),
        ("model.vrope.radius_range", "1e-1", 0.1),
        ("train.augment.time_share", "0", 0.0),
        ("text.normalizer", "none", "none"),
    ],
)
def test_an_override_is_worth_what_the_file_would_say(option: str, value: str, expected: Any, joined: bool) -> None:
    base = "{model: {feedforward: 7, vrope: {radius: acoustic}}, train: {seed: 5, augment: {time_masks: 9}}}"
    words = [f"--{option}={value}"] if joined else [f"--{option}", value]
    found: Any = build(base, *words)
    before: Any = build(base)
    *path, last = option.split(".")
    holder, was = found[path[0]], before[path[0]]
    for step in path[1:]:
        holder, was = getattr(holder, step), getattr(was, step)
    assert getattr(holder, last) == expected and type(getattr(holder, last)) is type(expected)
    assert getattr(was, last) != expected, "the base says something else"
    same = {f.name for f in fields(holder)} - {last}
    assert all(getattr(holder, name) == getattr(was, name) for name in same), "and nothing else has changed"
    assert found["model"].feedforward == 7 and found["model"].vrope.radius == "acoustic"
    assert found["train"].seed == 5 and found["train"].augment.time_masks == 9


def test_overrides_prevail_over_the_file_and_the_last_over_the_first() -> None:
    found = build("model: {width: 24, heads: 3}", "--model.width=96", "--model.heads", "4", "--model.width=64")
    assert (found["model"].width, found["model"].heads) == (64, 4)
    assert build("model: {width: 33}", "--model.width", "96")["model"].width == 96, "a mistake may be put right"


# --- what is wrong


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: {width: 3}", "my.yaml: unknown section 'modle'; did you mean model?"),
        ("zzz: {width: 3}", "my.yaml: unknown section 'zzz'; known: decode, features, model, text, train"),
        ("3: {width: 3}", "my.yaml: unknown section 3; known: decode"),
        ("model: {widht: 3}", "my.yaml: unknown key model.widht; did you mean width?"),
        ("model: {vrope: {thta: axis}}", "my.yaml: unknown key model.vrope.thta; did you mean theta?"),
        ("train: {augment: {time_mask: 3}}", "my.yaml: unknown key train.augment.time_mask; did you mean time_masks?"),
        (
            "text: {zzz: 3}",
            "my.yaml: unknown key text.zzz; known: conventions, letters, normalizer, tokenizer, tone_marks, ",
        ),
        ("model: [3]", r"my.yaml: section 'model' must be a mapping of keys, got \[3\]"),
        ("model: 3", "my.yaml: section 'model' must be a mapping of keys, got 3"),
        ("model: {vrope: axis}", "my.yaml: model.vrope must be a mapping of keys, got 'axis'"),
        ("model: {width: }", "my.yaml: model.width has no value; give it one, or leave the key out"),
        ("model: {vrope: }", "my.yaml: model.vrope has no value"),
        ("model: {vrope: {bias: null}}", "my.yaml: model.vrope.bias has no value"),
        ("text: {tokenizer: ~}", "my.yaml: text.tokenizer has no value"),
        ("model: {preset: hug}", "my.yaml: model.preset must be one of tiny, small, medium, base, got 'hug'"),
    ],
)
def test_wrong_names_are_told_with_the_nearest_right_one(text: str, message: str) -> None:
    with pytest.raises(EchoError, match=f"^{message}"):
        build(text)
    told(text)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("model: {width: wide}", "model.width", "wide"),
        ("model: {width: 144.5}", "model.width", "144.5"),
        ("model: {width: true}", "model.width", "True"),
        ("model: {width: [144]}", "model.width", "144"),
        ("model: {dropout: much}", "model.dropout", "much"),
        ("model: {dropout: true}", "model.dropout", "True"),
        ("model: {subsampling: 3}", "model.subsampling", "3"),
        ("model: {features: spectrogram}", "model.features", "spectrogram"),
        ("model: {features: [spectrogram, pich]}", "model.features", "pich"),
        ("model: {positions: rotery}", "model.positions", "rotery"),
        ("model: {vrope: {theta: axes}}", "model.vrope.theta", "axes"),
        ("model: {vrope: {learn_frequencies: 2}}", "model.vrope.learn_frequencies", "2"),
        ("train: {speeds: 1.0}", "train.speeds", "1.0"),
        ("train: {speeds: [fast]}", "train.speeds", "fast"),
        ("train: {augment: {time_masks: few}}", "train.augment.time_masks", "few"),
        ("features: {tracker: dio}", "features.tracker|tracker", "dio"),
    ],
)
def test_wrong_types_are_told_with_key_and_value(text: str, key: str, value: str) -> None:
    message = told(text)
    assert message.startswith("my.yaml: ") and any(name in message for name in key.split("|")) and value in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {width: 33}", "width / heads must be a multiple of 8, got 33 / 3"),
        ("model: {dropout: 1}", r"model.dropout must lie in \[0, 1\), got 1"),
        ("model: {positions: sinusoidal}", "model.positions sinusoidal takes model.vrope.theta none"),
        ("model: {vrope: {radius_range: 1}}", "radius_range must lie between 0 and 1"),
        ("model: {features: []}", "model.features must name each feature once"),
        ("text: {vocabulary: 1}", "text.vocabulary must be at least 2, got 1"),
        ("features: {mels: 500}", "mels: expected a whole number from 8 to 128, got 500"),
        ("train: {max_steps: 0}", "train.max_steps must be positive, got 0"),
        ("train: {augment: {time_share: 2}}", r"train.augment.time_share must lie in \[0, 1\], got 2"),
        ("decode: {beam: 0}", "decode.beam must be at least 1, got 0"),
    ],
)
def test_values_out_of_range_are_told(text: str, message: str) -> None:
    with pytest.raises(EchoError, match=f"^my.yaml: .*{message}"):
        build(text)
    told(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.widht", "3"], "unknown option --model.widht; did you mean --model.width?"),
        (["--model.widht=3"], "unknown option --model.widht; did you mean --model.width?"),
        (["--model.vrope.thta=axis"], "unknown option --model.vrope.thta; did you mean --model.vrope.theta?"),
        (["--width", "3"], r"unknown option --width; did you mean --model.width\?|unknown option --width; known"),
        (["--help"], "unknown option --help; known: decode.beam, .*, ...$"),
        (["-h"], "options: unrecognized arguments: -h"),
        (["stray"], "options: unrecognized arguments: stray"),
        (["--model.width", "96", "stray"], "options: unrecognized arguments: stray"),
        (["--model.width"], "options: .*--model.width: expected one argument"),
        (["--model.width", "--model.heads", "3"], "options: .*--model.width: expected one argument"),
        (["--model.width", "x"], "options: .*model.width.*: expected a whole number; got x$"),
        (["--model.dropout="], "options: .*model.dropout.*: expected a number; got nothing$"),
        (["--model.vrope.theta", "axes"], "options: .*model.vrope.theta.*axis.*axes"),
        (
            ["--train.precision", "bf16"],
            'options: .*"train.precision": expected one of auto, float32, bfloat16; got bf16',
        ),
        (["--model.pitch_input", "x"], 'options: "model.pitch_input": expected one of auto, true, false; got x$'),
        (["--train.speeds", "1"], 'options: "train.speeds": expected a list in brackets, as .*; got 1$'),
        (["--train.compile", "perhaps"], 'options: "train.compile": expected true or false; got perhaps$'),
        (["--train.curriculum", "3"], 'options: "train.curriculum": expected names and values in braces, .*; got 3$'),
        (["--model.vrope", "3"], 'options: "model.vrope" is a group of options; .* --model.vrope.OPTION VALUE$'),
        (["--decode.beam", "0"], "my.yaml: .*decode.beam must be at least 1, got 0"),
    ],
)
def test_wrong_overrides_are_told(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EchoError, match=f"^{message}"):
        build("", *words)
    told("", *words)
    assert capsys.readouterr() == ("", "")


def test_sections_of_others_are_passed_over_where_that_is_said() -> None:
    data = {"decode": {"beam": 2}, "train": {"anything": "at all"}}
    found = build_sections(data, {"decode": DecodeConfig}, ignore=("train",))
    assert found == {"decode": DecodeConfig(beam=2)}
    with pytest.raises(EchoError, match="configuration: unknown section 'train'"):
        build_sections(data, {"decode": DecodeConfig})


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DECODE__BEAM", "PYTEST_DECODE__BEAM", "JSONARGPARSE_DEFAULT_ENV"):
        monkeypatch.setenv(name, "7")
    assert build("")["decode"].beam == 1


def test_mappings_are_options_unless_their_keys_are_no_names() -> None:
    rules = {"[...]": "drop", "xxx": "exclude"}
    nested = {"text": {"conventions": rules, "letters": ":"}, "model.vrope": {"theta": "axis"}, "decode": {}}
    flat = {"text.conventions": rules, "text.letters": ":", "model.vrope.theta": "axis", "decode": {}}
    assert flatten(nested) == flat
    assert with_changes({"text": {"conventions": {"|": "break"}}}, flat)["text"]["conventions"] == rules
    assert with_changes({}, flatten({"text": {"conventions": {"xxx": "exclude"}}}))["text"] == {
        "conventions": {"xxx": "exclude"}
    }


def test_any_dataclass_may_be_a_section() -> None:
    @dataclass(frozen=True)
    class Inner:
        level: float = 1.0

    @dataclass(frozen=True)
    class Outer:
        kind: Literal["a", "b"] = "a"
        inner: Inner = field(default_factory=Inner)

    Outer.__annotations__.update(kind=Literal["a", "b"], inner=Inner)
    found = build_sections({"x": {"inner": {"level": 2}}}, {"x": Outer}, {"x.kind": "b"})
    assert found == {"x": Outer("b", Inner(2.0))}


# --- files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model: [1, 2", "my.yaml: not valid YAML"),
        (b"a: b: c", "my.yaml: not valid YAML"),
        (b"model: {width: 3}\nmodel: {heads: 2}", "my.yaml: not valid YAML .line 2, column 1: model stands twice."),
        (b"\tmodel: 3", "my.yaml: not valid YAML"),
        (b"when: 2024-13-45", "my.yaml: not valid YAML"),
        (b"model: !!python/object:os.system {}", "my.yaml: not valid YAML"),
        (b"\xff\xfe\x00", "my.yaml: cannot be read as a configuration"),  # UTF-16 that is cut
        (b"\xff\x00\x01", "my.yaml: cannot be read as a configuration"),
        (b"- model\n- train", "my.yaml: a configuration is a mapping of sections, got list"),
        (b"just words", "my.yaml: a configuration is a mapping of sections, got str"),
        (b"3", "my.yaml: a configuration is a mapping of sections, got int"),
    ],
)
def test_what_is_no_configuration_is_told(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_bytes(content)
    with pytest.raises(EchoError, match=message) as caught:
        read_yaml(tmp_path / "my.yaml")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match="nowhere.yaml: no such configuration file"):
        read_yaml(tmp_path / "nowhere.yaml")
    with pytest.raises(EchoError, match="cannot be read as a configuration"):
        read_yaml(tmp_path)


@pytest.mark.parametrize("content", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_says_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(content)
    assert read_yaml(tmp_path / "my.yaml") == {}


@pytest.mark.parametrize("path", sorted(ROOT.glob("src/echo_asr/train/recipes/*.yaml")), ids=lambda path: path.stem)
def test_the_configurations_that_come_with_echo_are_right(path: Path) -> None:
    data = read_yaml(path)
    found = build_sections(expand_preset(data, str(path)), SECTIONS, where=str(path))
    assert data and found["train"] != SECTIONS["train"]()
