"""The examples in docstrings run and give what they show."""

import doctest
import importlib
from pathlib import Path

import pytest
import torch

PACKAGE = Path(__file__).parents[1] / "src" / "echo_asr"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name: str) -> None:
    torch.manual_seed(0)
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0 and found.failed == 0


def test_there_are_examples() -> None:
    assert {"echo_asr.vrope.attention", "echo_asr.vrope.track"} <= set(MODULES)
