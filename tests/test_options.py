"""docs/options.md has a line for every option there is, and for none that is not."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from echo_asr.train.loop import SECTIONS

PAGE = Path(__file__).parents[1] / "docs" / "options.md"


def options(kind: Any, prefix: str) -> list[str]:
    hints = get_type_hints(kind)
    names = []
    for field in fields(kind):
        name = f"{prefix}.{field.name}"
        names += options(hints[field.name], name) if is_dataclass(hints[field.name]) else [name]
    return names


EXISTING = [name for section, kind in SECTIONS.items() for name in options(kind, section)]


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
        if not line.startswith(f"| `{section}.") or cells[1].count(",") or " " in cells[2]:
            continue
        value: Any = SECTIONS[section]()
        for part in cells[1].split(".")[1:]:
            value = getattr(value, part)
        if cells[2] != "none" or value == "none":
            shown = str(value).lower() if isinstance(value, bool) else value
            assert cells[2] == (f"{shown:g}" if isinstance(shown, float) else str(shown)), cells[1]
