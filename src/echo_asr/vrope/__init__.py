"""Voice-modulated rotary position encoding (vRoPE). Needs torch alone."""

from .attention import KeyValueCache, VoiceModulation, VRoPEAttention
from .bias import PitchBias
from .config import VRoPEConfig, VRoPEModes
from .functional import FoldedKeys, attend, visible_rows
from .nulls import NullKeys
from .precision import double, precise_device
from .rotation import Rotation, inverse_power_frequencies, mel_frequencies, rotate
from .track import PitchTrack

__all__ = [
    "FoldedKeys",
    "KeyValueCache",
    "NullKeys",
    "PitchBias",
    "PitchTrack",
    "Rotation",
    "VoiceModulation",
    "VRoPEAttention",
    "VRoPEConfig",
    "VRoPEModes",
    "attend",
    "double",
    "inverse_power_frequencies",
    "mel_frequencies",
    "precise_device",
    "rotate",
    "visible_rows",
]
