"""What a model is trained with: the sections of a configuration, from a file or from one of the recipes that ship."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from echo_asr.config import Changes, build_sections, nearest, read_yaml, yaml_text
from echo_asr.decode.search import DecodeConfig
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig
from echo_asr.model.config import ModelConfig, expand_preset
from echo_asr.text.config import TextConfig
from echo_asr.train.config import TrainConfig
from echo_asr.train.curriculum import Curriculum

SECTIONS: dict[str, type] = {
    "features": FeatureConfig,
    "text": TextConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "decode": DecodeConfig,
}
FOLDER = Path(__file__).with_name("recipes")
PRESET = "model.preset"


def list_recipes() -> dict[str, str]:
    """The recipes that ship with Echo: name, and what it is for, from its first line."""
    first = {path.stem: path.read_text(encoding="utf-8").partition("\n")[0] for path in sorted(FOLDER.glob("*.yaml"))}
    return {name: line.removeprefix("# ") for name, line in first.items()}


def find_recipe(name: str | os.PathLike[str]) -> Path:
    """The file of a configuration: a path, or the name of a recipe. A path where there is nothing, as
    `configs/digits.yaml`, is the recipe of that name, with a warning.

    Raises:
        EchoError: there is no such file and no such recipe; the nearest recipe is named.
    """
    path, known = Path(name), list_recipes()
    if not path.is_file() and str(name) in known:
        return FOLDER / f"{name}.yaml"
    if path.exists():
        return path
    if path.suffix not in (".yaml", ".yml") or path.stem not in known:
        raise EchoError(f"{name}: no such configuration file, and no recipe of that name{nearest(path.stem, known)}")
    warnings.warn(f"{name}: no such file, so the recipe that ships with Echo is taken: {path.stem}", stacklevel=2)
    return FOLDER / f"{path.stem}.yaml"


def read_config(
    source: str | os.PathLike[str] | None,
    changes: Changes = MappingProxyType({}),
    sections: Mapping[str, type] = MappingProxyType(SECTIONS),
) -> dict[str, Any]:
    """The sections of a configuration file or recipe (or the defaults), with some options changed.

    Raises:
        EchoError: whatever is wrong with either, in one line.
    """
    data = read_yaml(find_recipe(source)) if source is not None else {}
    where = str(source) if source is not None else "options"
    if PRESET in changes:
        if changes[PRESET] is None:
            raise EchoError(f"--{PRESET}: expected the name of a preset after it")
        model = data.get("model") or {}
        if isinstance(model, dict):  # else it is refused below
            data["model"] = {**model, "preset": changes[PRESET]}
        changes = {option: value for option, value in changes.items() if option != PRESET}
    return build_config(data, where, changes, sections)


def build_config(
    data: Mapping[str, Any],
    where: str,
    changes: Changes = MappingProxyType({}),
    sections: Mapping[str, type] = MappingProxyType(SECTIONS),
) -> dict[str, Any]:
    """The sections of a configuration that is a mapping already; `where` is named in errors. They fit each other: the
    waveform is kept for a model that takes it, states are computed where their encoder is trained, and the curriculum
    names features that the model has.

    Raises:
        EchoError: as `read_config`.
    """
    built = build_sections(expand_preset(data, where), sections, changes, where)
    Curriculum(built["model"], built["train"]).check(where)
    features, model = built["features"], built["model"]
    if bool(features.states) != ("states" in model.features):
        reads = "model.features and model.ctc_feature to states, or take the recipe pretrained"
        needs = reads if features.states else "features.states to a hub name or a folder"
        raise EchoError(f"{where}: a pretrained encoder needs both its name and a model that reads it; set {needs}")
    inside = bool(features.states) and (model.encoder_inside or features.states_in == "model")
    cached, reference = bool(features.states) and not inside, features.states_reference
    if reference == "auto":
        reference = "speaker" if cached else "corpus"
    elif reference == "speaker" and not cached:
        why = "states are cached, without model.tune and model.adapters" if inside else "features.states is set"
        raise EchoError(f"{where}: features.states_reference speaker is for where {why}; set it to corpus")
    waveform = inside or "waveform" in model.features
    place: Literal["cache", "model"] = "model" if inside else "cache"
    built["features"] = replace(features, waveform=waveform, states_in=place, states_reference=reference)
    yaml_text(built, where)  # a model's config.yaml holds them, and is read back
    return built
