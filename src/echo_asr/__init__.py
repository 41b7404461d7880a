"""Echo: a pitch-aware speech recogniser, to be trained on your own small corpus.

import echo_asr
print(echo_asr.load("runs/demo").transcribe("hello.wav").text)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["EchoError", "Recognizer", "Segment", "Token", "Transcription", "Word", "__version__", "load"]

if TYPE_CHECKING:
    from echo_asr.decode.load import load
    from echo_asr.decode.results import Segment, Token, Transcription, Word
    from echo_asr.decode.transcribe import Recognizer
    from echo_asr.errors import EchoError

_WHERE = {
    "load": "echo_asr.decode.load",
    "Recognizer": "echo_asr.decode.transcribe",
    **dict.fromkeys(("Segment", "Token", "Transcription", "Word"), "echo_asr.decode.results"),
    "EchoError": "echo_asr.errors",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `echo-asr --help` and `echo_asr.vrope` start without the rest."""
    if name in _WHERE:
        import importlib

        from echo_asr.libraries import fall_back_to_cpu

        fall_back_to_cpu()  # before the module imports torch
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'echo_asr' has no attribute {name!r}")
