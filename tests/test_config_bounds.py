"""A configuration file takes little time and memory, whatever it holds."""

import re
from pathlib import Path

import pytest

from echo_asr.errors import EchoError
from echo_asr.train.run import read_config


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
