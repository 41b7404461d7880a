"""docs/options.md has a line for every option there is, and for none that is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from echo_asr.research.sections import SECTIONS
from tests.helpers.options import option_names

PAGE = Path(__file__).parents[1] / "docs" / "options.md"


EXISTING = option_names()


def described() -> set[str]:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`((?:\w+\.)+\w+)`", row.split("|")[1])}


@pytest.mark.parametrize("name", EXISTING)
def test_every_option_is_described(name: str) -> None:
    assert name in described()


def test_nothing_is_described_that_does_not_exist() -> None:
    assert described() - set(EXISTING) == set()


@pytest.mark.parametrize("section", SECTIONS)
def test_single_defaults_are_as_described(section: str) -> None:
    """Rows of one option with a plain default state the one that the configuration has."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in line.split("|")]
        if not line.startswith(f"| `{section}.") or cells[1].count(",") or " " in cells[2].replace(", ", ""):
            continue
        value: Any = SECTIONS[section]()
        for part in cells[1].split(".")[1:]:
            value = getattr(value, part)
        if cells[2] != "none" or value == "none":
            parts = value if isinstance(value, tuple) else (value,)
            shown = [str(one).lower() if isinstance(one, bool) else one for one in parts]
            assert cells[2] == ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in shown), cells[1]
