"""From the folder of a model to a recogniser."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import Any

from echo_asr.config import Changes, build_sections
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.distributed.device import choose_device
from echo_asr.errors import EchoError
from echo_asr.model.checkpoint import CONFIG, Bundle, load_bundle


def load(folder: str | os.PathLike[str], device: str = "auto", **decode: Any) -> Recognizer:
    """Load a model folder; `load(MODEL).transcribe("a.wav").text` is the text. Nothing is asked of the network.

    Args:
        folder: what `echo-asr train` left in its `--out` folder.
        device: `auto`, `cpu`, `cuda`, ...
        decode: fields of `DecodeConfig` that replace the model's own, such as `beam=8`.

    Raises:
        EchoError: the folder is no complete model, or the device is not there.
    """
    return load_recognizer(folder, device, {f"decode.{name}": value for name, value in decode.items()})


def load_recognizer(
    folder: str | os.PathLike[str], device: str = "auto", changes: Changes = MappingProxyType({})
) -> Recognizer:
    """As `load`, with changed settings under their full names: `{"decode.beam": 8}`."""
    bundle = load_bundle(folder, choose_device(device))
    study = bundle.extra.get("study") or {}
    control = study.get("f0", "measured") if isinstance(study, dict) else study
    if control != "measured":
        what = f"was trained with study.f0 {control}, and is of use under that alone"
        mend = "echo-asr evaluate, transcribe, diagnose or study, or echo_asr.research.f0_controls.load_recognizer"
        raise EchoError(f"{folder}: {what}; take {mend}")
    return Recognizer(bundle, decode_config(bundle, folder, changes))


def decode_config(
    bundle: Bundle, folder: str | os.PathLike[str], changes: Changes = MappingProxyType({})
) -> DecodeConfig:
    """The decoding settings of the model of a folder, with some changed, as `{"decode.beam": 8}`."""
    data = {"decode": bundle.extra.get("decode")}
    return build_sections(data, {"decode": DecodeConfig}, changes, str(Path(folder) / CONFIG))["decode"]
