"""F0 and periodicity in frames of 10 ms, from any of three trackers, and F0 interpolated over unvoiced frames."""

from echo_asr.features.pitch.autocorrelation import AutocorrelationTracker
from echo_asr.features.pitch.echo import EchoPitch, EchoTracker
from echo_asr.features.pitch.make import TrackerName, make_tracker
from echo_asr.features.pitch.swiftf0 import SwiftTracker
from echo_asr.features.pitch.track import REFERENCE_F0, PitchTracker, fill_track

__all__ = [
    "REFERENCE_F0",
    "AutocorrelationTracker",
    "EchoPitch",
    "EchoTracker",
    "PitchTracker",
    "SwiftTracker",
    "TrackerName",
    "fill_track",
    "make_tracker",
]
