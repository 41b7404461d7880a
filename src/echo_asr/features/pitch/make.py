"""Pitch trackers by their names."""

from __future__ import annotations

from typing import Literal, get_args

from echo_asr.errors import EchoError
from echo_asr.features.pitch.autocorrelation import AutocorrelationTracker
from echo_asr.features.pitch.echo import EchoTracker
from echo_asr.features.pitch.swiftf0 import SwiftTracker
from echo_asr.features.pitch.track import PitchTracker

TrackerName = Literal["echo", "swiftf0", "autocorrelation"]


def make_tracker(name: TrackerName) -> PitchTracker:
    """The tracker of that name: `echo` (Echo's own network), `swiftf0` (another's) or `autocorrelation` (no weights).

    Raises:
        EchoError: for an unknown name, or if the package behind `swiftf0` is not installed.
    """
    if name == "echo":
        return EchoTracker()
    if name == "swiftf0":
        return SwiftTracker()
    if name == "autocorrelation":
        return AutocorrelationTracker()
    raise EchoError(f"tracker: expected one of {', '.join(get_args(TrackerName))}; got {name!r}")
