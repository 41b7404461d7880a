"""Builds an encoder of transformers from a folder with its configuration and weights."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from echo_asr.config import nearest
from echo_asr.errors import EchoError
from echo_asr.pretrained.encoder import SpeechEncoder
from echo_asr.pretrained.weights import CONFIG, read_json, read_preprocessor, read_tensors

INSTALL = "pip install 'echo-asr[pretrained]'"


@dataclass(frozen=True)
class Family:
    """Where the encoders of a `model_type` are.

    Attributes:
        module, name: of the subclass of `SpeechEncoder`, in this package.
        network: transformers' class of the encoder alone, as `folder.module:Class` below `transformers.models`.
        prefixes: of the names of the encoder's tensors in files of weights; the first under which all are found counts.
    """

    module: str
    name: str
    network: str
    prefixes: tuple[str, ...]


FAMILIES = {
    "whisper": Family(
        "whisper", "WhisperEncoder", "whisper.modeling_whisper:WhisperEncoder", ("model.encoder.", "encoder.", "")
    ),
}


def build(folder: Path, dtype: str = "") -> SpeechEncoder:
    """The encoder of a folder, float32, in evaluation mode, with no parameter that is trained.

    Args:
        dtype: `float16`, `bfloat16` or `float32`, to which the weights are rounded; empty for not at all.

    Raises:
        EchoError: the extra is missing, the folder is not complete or damaged, or its family is not known.
    """
    config = read_json(folder / CONFIG)
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        what = f"{folder}: an encoder of the type {kind!r}, which Echo does not know{nearest(kind, FAMILIES)}"
        raise EchoError(f"{what}; there are: {known}" if "did you" in what else what)
    family = FAMILIES[kind]
    network = _network(config, family.network)
    load_tensors(network, folder, family.prefixes, dtype)
    preprocessor = read_preprocessor(folder)
    own = getattr(importlib.import_module(f"echo_asr.pretrained.{family.module}"), family.name)
    encoder: SpeechEncoder = own(network, preprocessor)
    return encoder.eval().requires_grad_(False)


def _network(config: dict[str, Any], path: str) -> nn.Module:
    """The network of a configuration, with weights as they are drawn."""
    try:
        from transformers import AutoConfig
    except ImportError:
        raise EchoError(f"a pretrained encoder needs the extra: {INSTALL}") from None
    module, name = path.split(":")
    settings = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
    kind = getattr(importlib.import_module(f"transformers.models.{module}"), name)
    network: nn.Module = kind(AutoConfig.for_model(**settings))
    return network.float()


def load_tensors(network: nn.Module, folder: Path, prefixes: tuple[str, ...], dtype: str = "") -> None:
    """Load the tensors of a folder's safetensors into a network, by the first prefix under which all are found.

    Args:
        dtype: as in `read_tensors`.

    Raises:
        EchoError: the file is damaged, or lacks some.
    """
    state = read_tensors(folder, prefixes, dtype)
    own = network.state_dict()
    missing: list[str] = []
    for prefix in prefixes:
        missing = [name for name in own if f"{prefix}{name}" not in state]
        if not missing:
            found = {name: state[f"{prefix}{name}"].float() for name in own}
            if wrong := [name for name in own if found[name].shape != own[name].shape]:
                raise EchoError(f"{folder}: {wrong[0]} has another shape than {CONFIG} says; keep the files together")
            network.load_state_dict(found)
            return
    raise EchoError(f"{folder}: {len(missing)} tensors of the encoder are missing, first {missing[0]}; fetch it again")
