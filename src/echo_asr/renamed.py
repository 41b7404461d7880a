"""Options that had other names or are gone: how earlier configurations, records and commands are still read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from echo_asr.errors import EchoError

_ROTATED = {"turned": True, "still": False}
_F0_KEPT = {kind: kind for kind in ("shuffled", "constant", "voicing", "energy")}

RENAMED: dict[str, tuple[str, dict[Any, Any]]] = {
    "model.vrope.values": ("model.vrope.rotate_values", _ROTATED),
    "model.heard_nulls": ("model.cross_nulls", {}),
    "model.stacked_pitch": ("model.pitch_input", {}),
    "model.stacked_gain": ("model.pitch_input_gain", {}),
    "features.f0": ("study.f0", {"as_heard": "measured", **_F0_KEPT}),
    "train.joined_share": ("train.concatenated_share", {}),
}
"""Earlier option: the option that it is now, and what each of its values is now called, where that differs."""

RETIRED = dict.fromkeys(
    ("features.peak_floor_db", "features.null_absolute_db"),
    "since 2026-12 every recording is brought to one level: leave it out of a configuration; a trained model that has "
    "it was made for features of before, train it again",
)
"""Options that are gone, and why."""


def current_value(option: str, value: Any) -> Any:
    """The value of an option of `RENAMED` as its present name takes it.

    Raises:
        EchoError: a value that the option never had.
    """
    _, values = RENAMED[option]
    if values and not isinstance(value, bool) and value not in values:
        raise EchoError(f"{option}: expected one of {', '.join(map(str, values))}; got {value!r}")
    return values.get(value, value)


def with_current_names(sections: Mapping[str, Any], where: str = "configuration") -> tuple[dict[str, Any], str]:
    """Sections with the present names of options, and a sentence that names those renamed; empty where none was.

    Raises:
        EchoError: an option under both its names.
    """
    current = {name: dict(one) if isinstance(one, Mapping) else one for name, one in sections.items()}
    renamed = []
    for earlier, (now, _) in RENAMED.items():
        *path, last = earlier.split(".")
        group = _group(current, path)
        if group is None or last not in group:
            continue
        value = current_value(earlier, group.pop(last))
        *path, last = now.split(".")
        current.setdefault(path[0], {})
        group = _group(current, path)
        if group is None or last in group:
            raise EchoError(f"{where}: {earlier} is an earlier name of {now}, which is there, too; leave one out")
        group[last] = value
        renamed.append(f"{earlier} is now {now}")
    return current, "; ".join(renamed)


def _group(sections: dict[str, Any], path: list[str]) -> dict[str, Any] | None:
    """The group of options at a path, its own copy; None where there is none."""
    group = sections
    for name in path:
        inner = group.get(name)
        if not isinstance(inner, Mapping):
            return None
        group[name] = group = dict(inner)
    return group


def without_retired(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Sections without the options that are gone."""
    return {name: {k: v for k, v in one.items() if f"{name}.{k}" not in RETIRED} for name, one in sections.items()}
