"""The options of a configuration, by their whole names."""

from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from echo_asr.research.sections import SECTIONS


def option_names() -> list[str]:
    """`section.option` of every option there is."""
    return [name for section, kind in SECTIONS.items() for name in _options(kind, section)]


def _options(kind: Any, prefix: str) -> list[str]:
    hints = get_type_hints(kind)
    names = []
    for field in fields(kind):
        name = f"{prefix}.{field.name}"
        names += _options(hints[field.name], name) if is_dataclass(hints[field.name]) else [name]
    return names
