"""What the libraries beneath do on their own, settled in the environment of this process before they are imported; the
processes that it starts inherit it. A setting that a person has made stands."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from echo_asr.errors import EchoError

# Else onnxruntime looks for a host of its maker's, and keeps a data base in the home folder.
TELEMETRY = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")
APPLE_FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"  # what torch cannot do on Apple's GPU, it does on the CPU
FOLDERS = {"MPLCONFIGDIR": "matplotlib", "TORCHINDUCTOR_CACHE_DIR": "torchinductor", "TRITON_CACHE_DIR": "triton"}


def default_cache_root() -> Path:
    """The folder for what Echo can make again: $ECHO_ASR_CACHE, or ~/.cache/echo-asr.

    Raises:
        EchoError: there is no home folder.
    """
    try:
        return Path(os.environ.get("ECHO_ASR_CACHE") or "~/.cache/echo-asr").expanduser()
    except RuntimeError:
        raise EchoError("there is no home folder to keep a cache in; set ECHO_ASR_CACHE to a folder") from None


def disable_telemetry() -> None:
    """Have libraries report to nobody that they are used."""
    for name in TELEMETRY:
        os.environ.setdefault(name, "1")


def fall_back_to_cpu() -> None:
    """Have torch do on the CPU what it cannot do on Apple's GPU; it asks when it is imported."""
    os.environ.setdefault(APPLE_FALLBACK, "1")


def settle_libraries() -> None:
    """All that a command wants of libraries: no telemetry, and nothing written but in Echo's cache."""
    disable_telemetry()
    fall_back_to_cpu()
    with suppress(EchoError):  # reported when the cache is needed
        root = default_cache_root().absolute()
        for name, folder in FOLDERS.items():
            os.environ.setdefault(name, str(root / folder))
