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
from echo_asr.pretrained.weights import CONFIG, read_json, read_preprocessor, read_tensors, read_type

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


PARAKEET = Family("parakeet", "ParakeetEncoder", "parakeet.modeling_parakeet:ParakeetEncoder", ("encoder.", ""))
OMNIASR = Family(
    "wav2vec2",
    "OmniASREncoder",
    "omniasr.modeling_omniasr:OmniASRAudioModel",
    ("model.audio_tower.", "audio_tower.", ""),
)
FAMILIES = {
    "hubert": Family("wav2vec2", "HubertEncoder", "hubert.modeling_hubert:HubertModel", ("hubert.", "")),
    "moonshine": Family(
        "moonshine",
        "MoonshineEncoder",
        "moonshine.modeling_moonshine:MoonshineEncoder",
        ("model.encoder.", "encoder.", ""),
    ),
    "omniasr": OMNIASR,
    "omniasr_audio": OMNIASR,
    "omniasr_ctc": OMNIASR,
    "parakeet_ctc": PARAKEET,
    "parakeet_encoder": PARAKEET,
    "parakeet_rnnt": PARAKEET,
    "parakeet_tdt": PARAKEET,
    "wav2vec2": Family("wav2vec2", "Wav2Vec2Encoder", "wav2vec2.modeling_wav2vec2:Wav2Vec2Model", ("wav2vec2.", "")),
    "wav2vec2-bert": Family(
        "w2v_bert",
        "Wav2Vec2BertEncoder",
        "wav2vec2_bert.modeling_wav2vec2_bert:Wav2Vec2BertModel",
        ("", "wav2vec2_bert."),
    ),
    "wavlm": Family("wav2vec2", "WavLMEncoder", "wavlm.modeling_wavlm:WavLMModel", ("wavlm.", "")),
    "whisper": Family(
        "whisper", "WhisperEncoder", "whisper.modeling_whisper:WhisperEncoder", ("model.encoder.", "encoder.", "")
    ),
}
# Parts of transformers' networks that states do not need, and how its configurations leave them out.
UNUSED = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0, "add_adapter": False}
# Names of tensors today, and in older files.
RENAMED = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}


def find_family(folder: Path, name: str = "") -> Family:
    """The family of the encoder in a folder of transformers.

    Args:
        name: of the encoder, for messages; by default its folder.

    Raises:
        EchoError: there is no configuration, it is damaged, or its family is not known.
    """
    kind = read_type(folder)
    if kind not in FAMILIES:
        what = f"{name or folder}: a model of the type {kind!r}, which is no encoder that Echo knows"
        raise EchoError(what + nearest(kind, FAMILIES))
    return FAMILIES[kind]


def build(folder: Path, dtype: str = "") -> SpeechEncoder:
    """The encoder of a folder, float32, in evaluation mode, with no parameter that is trained.

    Args:
        dtype: `float16`, `bfloat16` or `float32`, to which the weights are rounded; empty for not at all.

    Raises:
        EchoError: the extra is missing, the folder is not complete or damaged, or its family is not known.
    """
    config, family = read_json(folder / CONFIG), find_family(folder)
    network = _network(config, family.network)
    load_tensors(network, folder, family.prefixes, dtype)
    preprocessor = read_preprocessor(folder)
    own = getattr(importlib.import_module(f"echo_asr.pretrained.{family.module}"), family.name)
    encoder: SpeechEncoder = own(network, preprocessor)
    return encoder.eval().requires_grad_(False)


def _network(config: dict[str, Any], path: str) -> nn.Module:
    """The network of a configuration, with weights that are not drawn, since all of them are to be loaded."""
    try:
        from transformers import AutoConfig
        from transformers.initialization import no_init_weights
    except ImportError:
        raise EchoError(f"a pretrained encoder needs the extra: {INSTALL}") from None
    module, name = path.split(":")
    settings = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
    kind = getattr(importlib.import_module(f"transformers.models.{module}"), name)
    whole: Any = AutoConfig.for_model(**settings)
    parts = (whole, *vars(whole).values())
    own = next(part for part in parts if isinstance(part, kind.config_class))
    for key, value in UNUSED.items():
        if hasattr(own, key):
            setattr(own, key, value)
    with no_init_weights():
        network: nn.Module = kind(own)
    return _without_dropout(network).float()


def _without_dropout(network: nn.Module) -> nn.Module:
    """A network whose training draws nothing at random within its layers."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():  # shares that functions take
            if "dropout" in name and isinstance(value, int | float):
                vars(module)[name] = 0.0
    return network


def load_tensors(network: nn.Module, folder: Path, prefixes: tuple[str, ...], dtype: str = "") -> None:
    """Load the tensors of a folder's safetensors into a network, by the first prefix under which all are found.

    Args:
        dtype: as in `read_tensors`.

    Raises:
        EchoError: the file is damaged, or lacks some.
    """
    state = read_tensors(folder, prefixes, dtype)
    for today, older in RENAMED.items():
        state = {
            name.removesuffix(older) + today if name.endswith(f".{older}") else name: state[name] for name in state
        }
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
