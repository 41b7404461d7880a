"""A configuration file takes little time and memory, whatever it holds."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from echo_asr.config import LONG_VALUE, MOST_VALUES, read_yaml, write_yaml, yaml_text
from echo_asr.errors import EchoError
from echo_asr.train.recipe import read_config


def billion(levels: str = "abcdefghi") -> str:
    """Nine aliases of nine aliases of ... of nine texts."""
    lines = [f"{levels[0]}: &{levels[0]} [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip(levels, levels[1:], strict=False)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (billion(), "over 10000 values, aliases counted as what they stand for"),
        ("a: &a [*a]", "over 10000 values"),
        (f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 10)}]", "over 10000 values"),
        (
            "a: &a {x: 1}\n" + "\n".join(f"k{i}: {{<<: *a}}" for i in range(9)) + "\n" + billion("pqrstuvw"),
            "over 10000 values",
        ),
        (f"a: {'[' * 5000}{']' * 5000}", "more than 40 levels deep"),
        (f"a: [{', '.join('x' * 30_000)}]", "over 10000 values"),
        ("x" * (1 << 18) + "x", "larger than 256 kB, as no configuration is"),
    ],
)
def test_yaml_that_holds_very_much_is_refused_at_once(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(content)
    with pytest.raises(EchoError, match=re.escape(reason)) as caught:
        read_config(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 1000


def test_aliases_in_measure_are_as_good_as_what_they_stand_for(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("train: {speeds: &fast [0.9, 1.0]}\nmodel: {width: &w 48, feedforward: *w}\n")
    sections = read_config(tmp_path / "my.yaml")
    assert sections["train"].speeds == (0.9, 1.0) and sections["model"].feedforward == 48


def test_a_message_has_a_bound(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(f"model: [{', '.join(['long text'] * 9000)}]")
    with pytest.raises(EchoError, match=r"section 'model' must be a mapping of keys, got \[.* \.\.\. ") as caught:
        read_config(tmp_path / "my.yaml")
    assert len(str(caught.value)) < 5000


def hotwords(count: int, length: int = 4) -> dict[str, Any]:
    words = ", ".join(f"{number:0{length}d}x" for number in range(count))
    return {"decode.beam": 4, "decode.hotwords": f"[{words}]"}


def _count(node: yaml.Node) -> int:
    """Values in YAML without aliases, mappings and lists among them, and keys; long texts count as several."""
    if isinstance(node, yaml.ScalarNode):
        return 1 + len(node.value) // LONG_VALUE
    inner = [one for pair in node.value for one in pair] if isinstance(node, yaml.MappingNode) else node.value
    return 1 + sum(map(_count, inner))


def test_a_configuration_that_is_taken_can_be_written_and_read_again(tmp_path: Path) -> None:
    """To the last value: one more is refused, before there is a run that could not be read."""
    values = yaml.compose(yaml_text(read_config(None, hotwords(1)), "here"))
    bound = MOST_VALUES - _count(values) + 1
    sections = read_config(None, hotwords(bound))
    write_yaml(tmp_path / "config.yaml", sections)
    assert read_config(tmp_path / "config.yaml") == sections
    with pytest.raises(EchoError, match=r"over 10000 values.*shorten decode\.hotwords, its longest value") as caught:
        read_config(None, hotwords(bound + 1))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(("count", "length", "reason"), [(12_000, 4, "over 10000 values"), (3000, 90, "over 256 kB")])
def test_more_than_a_configuration_can_hold_is_refused_before_training(count: int, length: int, reason: str) -> None:
    with pytest.raises(EchoError, match=rf"^options: could not be read back.*{reason}.*shorten decode\.hotwords"):
        read_config(None, hotwords(count, length))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_of_configurations(tmp_path: Path, encoding: str, end: str) -> None:
    """As editors and PowerShell write them, of which UTF-16 has a byte-order mark."""
    text = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    text += f"train: {{max_steps: 7}}{end}decode: {{lm: ngôn ngữ.arpa, beam: 2}}{end}"
    (tmp_path / "my.yaml").write_bytes(text.encode(encoding))
    found = read_yaml(tmp_path / "my.yaml")
    assert found == {"train": {"max_steps": 7}, "decode": {"lm": "ngôn ngữ.arpa", "beam": 2}}


def test_utf_16_that_ends_in_the_middle_of_a_character(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_bytes("train: {}".encode("utf-16") + b"x")
    with pytest.raises(EchoError, match=r"my\.yaml: cannot be read as a configuration"):
        read_yaml(tmp_path / "my.yaml")
