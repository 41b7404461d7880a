"""Settings of libraries, in environment variables of this process before they are imported, which child processes
inherit. Variables that the user has set are kept."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from echo_asr.errors import EchoError

# Otherwise onnxruntime contacts a server, and keeps a database in the home folder.
TELEMETRY = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")
APPLE_FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"  # operations that torch lacks on Apple's GPU run on the CPU
FOLDERS = {"MPLCONFIGDIR": "matplotlib", "TORCHINDUCTOR_CACHE_DIR": "torchinductor", "TRITON_CACHE_DIR": "triton"}


def default_cache_root() -> Path:
    """The folder for files that can be created again: $ECHO_ASR_CACHE, or ~/.cache/echo-asr.

    Raises:
        EchoError: there is no home folder.
    """
    try:
        return Path(os.environ.get("ECHO_ASR_CACHE") or "~/.cache/echo-asr").expanduser()
    except RuntimeError:
        raise EchoError("there is no home folder to keep a cache in; set ECHO_ASR_CACHE to a folder") from None


def disable_telemetry() -> None:
    """Disable the telemetry of libraries."""
    for name in TELEMETRY:
        os.environ.setdefault(name, "1")


def fall_back_to_cpu() -> None:
    """Let operations that torch lacks on Apple's GPU run on the CPU; torch reads this when it is imported."""
    os.environ.setdefault(APPLE_FALLBACK, "1")


def settle_libraries() -> None:
    """The settings for all commands: no telemetry, and files of libraries in Echo's cache alone."""
    disable_telemetry()
    fall_back_to_cpu()
    with suppress(EchoError):  # reported by commands that need the cache
        root = default_cache_root().absolute()
        for name, folder in FOLDERS.items():
            os.environ.setdefault(name, str(root / folder))
