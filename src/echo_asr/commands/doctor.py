"""`echo-asr doctor`: what is installed, and what works on this machine."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator

from echo_asr.commands.arguments import Parser, Subparsers, add_command

Finding = tuple[str, bool, str]  # name, whether it is well, what was found


def add(commands: Subparsers[Parser]) -> None:
    """Add the command."""
    add_command(commands, "doctor", "print what is installed and what works on this machine", run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each finding; 1 if one is not well."""
    failed = False
    for name, well, text in examine():
        print(f"{'ok  ' if well else 'FAIL'}  {name}: {text}")
        failed |= not well
    return int(failed)


def examine() -> Iterator[Finding]:
    """Findings, one by one; a missing extra is well, a missing requirement is not."""
    from echo_asr import __version__

    yield "echo-asr", True, f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
    for package in ("torch", "numpy", "soundfile", "soxr", "tokenizers", "safetensors", "jsonargparse"):
        yield _package(package)
    yield _tried("devices", _devices)
    for package, extra, purpose in (
        ("espeakng-loader", "synth", "synthetic corpora, the demo"),
        ("av", "av", "m4a and webm"),
        ("flashlight-text", "lm", "language models"),
        ("datasets", "datasets", "corpora of the Hugging Face hub"),
        ("lhotse", "lhotse", "corpora in lhotse's Shar"),
        ("segments", "profiles", "orthography profiles"),
        ("swift-f0", "swiftf0", "models trained with that pitch tracker"),
        ("fastapi", "serve", "the service"),
        ("sounddevice", "live", "the microphone"),
        ("wyoming", "wyoming", "serving Home Assistant"),
        ("accelerate", "scale", "training in several processes"),
        ("transformers", "pretrained", "pretrained encoders"),
        ("huggingface-hub", "pretrained", "pretrained encoders of the hub"),
        ("peft", "pretrained", "fine-tuning pretrained encoders by LoRA"),
    ):
        name, there, text = _package(package)
        yield name, True, text if there else f"not installed; needed for {purpose}: pip install 'echo-asr[{extra}]'"
    encoders: list[Finding] = []
    yield _tried("encoders", lambda: _encoders(encoders))
    yield from encoders
    yield _tried("cache", _cache)
    yield _tried("features", _features)


def _tried(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # whatever a broken installation raises
        return name, False, " ".join(f"{type(error).__name__}: {error}".split())


def _package(name: str) -> Finding:
    try:
        return name, True, importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return name, False, "not installed; pip install echo-asr brings it"


def _devices() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        bfloat16 = "with" if torch.cuda.is_bf16_supported() else "without"
        return "devices", True, f"{names} ({bfloat16} bfloat16)"
    if torch.backends.mps.is_available():
        return "devices", True, f"Apple's GPU (mps); {os.cpu_count()} CPU cores"
    return "devices", True, f"no GPU; {os.cpu_count()} CPU cores, {torch.get_num_threads()} threads"


def _encoders(found: list[Finding]) -> Finding:
    """How many models are in the hub's cache; the pretrained encoders among them are added to `found`. Nothing is
    fetched."""
    from echo_asr.errors import EchoError
    from echo_asr.pretrained.hub import SHOWN, has_weights, list_cached
    from echo_asr.pretrained.licence import find_licence, is_non_commercial
    from echo_asr.pretrained.networks import FAMILIES
    from echo_asr.pretrained.weights import read_type

    try:
        root, models = list_cached()
    except EchoError as error:  # without the extra
        return "encoders", True, str(error)
    others: set[str] = set()
    for model in models:
        try:
            kind, whole = read_type(model.folder), has_weights(model.folder)
        except EchoError:  # no configuration, or a damaged one
            others.add("unknown")
            continue
        if kind not in FAMILIES:
            others.add(kind)
            continue
        licence = find_licence(model.folder)
        remark = " (no commercial use)" if is_non_commercial(licence) else ""
        parts = [
            f"{model.size / 1e6:.0f} MB",
            kind,
            f"licence {licence}{remark}",
            *([] if whole else ["without weights"]),
        ]
        found.append((f"encoder {model.name}@{model.revision[:SHOWN]}", True, ", ".join(parts)))
    count = len(models) - len(found)
    rest = f"; {count} other models, of types that Echo does not use: {', '.join(sorted(others))}" if count else ""
    return "encoders", True, f"{len(found)} in the hub's cache, {root}{rest}"


def _cache() -> Finding:
    from echo_asr.libraries import default_cache_root

    root = default_cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=root):
            pass
    except OSError as error:
        return "cache", False, f"{root} cannot be written ({error.strerror}); set ECHO_ASR_CACHE to a folder that can"
    free = shutil.disk_usage(root).free
    return "cache", True, f"{root}, {free / 1e9:.0f} GB free"


def _features() -> Finding:
    import numpy as np

    from echo_asr.audio.convert import SAMPLE_RATE
    from echo_asr.features import FeatureExtractor

    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    harmonics = np.arange(1, 20)[:, None]
    voice = 0.1 * (np.sin(2 * np.pi * 200 * harmonics * time) / harmonics).sum(0)
    f0 = float(FeatureExtractor()(voice.astype(np.float32)).track.median())
    return "features", abs(f0 - 200) < 5, f"a synthetic voice of 200 Hz measures {f0:.1f} Hz"
