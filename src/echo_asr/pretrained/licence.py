"""The licence of an encoder: what its card or its LICENSE file says."""

from __future__ import annotations

import re
from pathlib import Path

from echo_asr.config import parse_yaml

CARD, UNKNOWN = "README.md", "unknown"
CARD_SIZE = 1 << 18  # bytes of a card that are read
LONGEST = 80  # characters of a licence's name
NON_COMMERCIAL = re.compile(r"\bnc\b|non[\s_-]?commercial|research[\s_-]only|academic[\s_-]only", re.IGNORECASE)


def find_licence(folder: Path) -> str:
    """The licence of a folder of transformers: `license` in the front matter of its card (`license_name` where that is
    `other`), else the first line of its LICENSE file, else "unknown"."""
    card = _front_matter(folder / CARD)
    named = _strings(card.get("license"))
    if not named or named == ["other"]:
        named = _strings(card.get("license_name")) or named
    if named:
        return ", ".join(named)[:LONGEST]
    for path in licence_files(folder):
        lines = [" ".join(line.split()) for line in _read(path).splitlines()]
        if first := next(filter(None, lines), ""):
            return first[:LONGEST]
    return UNKNOWN


def licence_files(folder: Path) -> list[Path]:
    """The files of a folder that hold its licence."""
    return sorted(path for path in folder.glob("LICEN[SC]E*") if path.is_file())


def is_non_commercial(licence: str) -> bool:
    """Whether a licence, by its name, forbids commercial use."""
    return NON_COMMERCIAL.search(licence.replace("_", "-")) is not None


def _front_matter(path: Path) -> dict[str, object]:
    """The mapping at the beginning of a card; empty where there is none that can be read."""
    found = re.match(r"\ufeff?---[ \t]*\n(.*?)\n---", _read(path), re.DOTALL)
    try:
        data = parse_yaml(found[1]) if found else {}
    except Exception:  # of yaml, and of numbers and dates that it cannot convert: then the card says nothing
        return {}
    return data if isinstance(data, dict) else {}


def _strings(value: object) -> list[str]:
    return [" ".join(str(one).split()) for one in (value if isinstance(value, list) else [value]) if one]


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(CARD_SIZE).decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:
        return ""
