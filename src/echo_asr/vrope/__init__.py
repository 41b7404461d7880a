"""Voice-modulated rotary position encoding (vRoPE). Needs torch alone."""

from .adapt import PitchAdapters, adapt
from .attention import VoiceModulation, VRoPEAttention
from .cache import KeyValueCache
from .choose import make_bias, make_nulls, make_radius, make_rotation
from .config import VRoPEConfig, VRoPEModes
from .folding import FoldedKeys
from .frequencies import inverse_power_frequencies, mel_frequencies, octave_frequencies
from .functional import attend, attention_weights, merge_heads, split_heads, visible_rows
from .pitch_attention import PitchAttention
from .precision import double, precise_device
from .published.biases import PitchBias
from .published.nulls import HardNulls, NullKeys, SoftNulls
from .rotation import Rotation, rotate
from .track import PitchTrack

__all__ = [
    "FoldedKeys", "HardNulls", "KeyValueCache", "NullKeys", "PitchAdapters", "PitchAttention", "PitchBias",
    "PitchTrack", "Rotation", "SoftNulls", "VRoPEAttention", "VRoPEConfig", "VRoPEModes", "VoiceModulation",
    "adapt", "attend", "attention_weights", "double", "inverse_power_frequencies", "make_bias", "make_nulls",
    "make_radius", "make_rotation", "mel_frequencies", "merge_heads", "octave_frequencies", "precise_device",
    "rotate", "split_heads", "visible_rows",
]  # fmt: skip
