"""The one description from which a model is rebuilt, and its presets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from echo_asr.errors import EchoError
from echo_asr.pretrained.tuning import Tune
from echo_asr.vrope import VRoPEModes
from echo_asr.vrope.config import Nulls

Feature = Literal["spectrogram", "waveform", "pitch", "states"]
FEATURES: tuple[str, ...] = get_args(Feature)


@dataclass(frozen=True)
class ModelConfig:
    """Every dimension and option of an Echo model.

    With rotary positions, a `text_nulls` of hard or weight leaves text self-attention nothing but the text itself to
    attend to, and a text that begins with the same token twice then looks like one that begins with it once: relative
    positions cannot count without a start. The default keeps the start token an ordinary key.

    Raises:
        ValueError: options that cannot work together; the message names them.
    """

    features: tuple[Feature, ...] = ("spectrogram",)  # in the order in which the decoder attends to them
    ctc_feature: Feature = "spectrogram"  # whose encoder carries the CTC head
    pitch_input: Literal["auto", True, False] = "auto"  # pitch channels beside the spectrogram, or states, as input
    pitch_input_gain: float = 1.0  # of the kernels over those channels, at first
    width: int = 144  # D
    heads: int = 3  # H
    feedforward: int = 384  # hidden width of the gated feed-forward
    spectrogram_layers: int = 4  # blocks of the spectrogram encoder
    waveform_layers: int = 4  # blocks of the waveform encoder
    pitch_layers: int = 2  # blocks of the pitch encoder
    states_layers: int = 2  # blocks over the states of a pretrained encoder
    tune: Tune = "none"  # what is trained of that encoder itself
    tuned_layers: int = 2  # of the highest layers that are read, with `top`
    lora_rank: int = 8  # of the matrices beside each linear map of its layers, with `lora`
    adapters: bool = False  # pitch adapters inside that encoder, which are trained whatever `tune` is
    decoder_layers: int = 1  # blocks of causal self-attention alone, before the first feature
    cross_layers: int = 1  # blocks with cross-attention, for each feature
    subsampling: Literal[2, 4] = 4  # 10 ms feature frames in an encoder frame
    dropout: float = 0.1  # on residual branches, while training
    ctc_weight: float = 0.3  # share of the CTC loss in the training loss, between 0 and 1
    vrope: VRoPEModes = field(default_factory=VRoPEModes)  # of the encoders' self-attention
    cross_nulls: Nulls = "weight"  # what silence weighs in cross-attention
    # What the studies found to add nothing; see `model/options`.
    positions: Literal["rotary", "sinusoidal", "both"] = "rotary"  # sinusoidal: Whisper's, added at the beginning
    text_nulls: Nulls = "none"  # what the start token weighs in text self-attention; see above
    combine: Literal["sequential", "blend", "joint"] = "sequential"  # how the decoder brings features together
    gate: Literal["none", "scalar", "token", "pitch"] = "none"  # of the feed-forwards
    text_pitch: Literal["none", "aligned"] = "none"  # pitch of text positions: read by cross-attention, or none
    end_in_loss: bool = True  # token 0 after a text is learnt; false: 0 is never a target, nor a token to choose
    stop: Literal["token", "silence", "both"] = "token"  # what ends a text: token 0, attention to the last silence

    def __post_init__(self) -> None:
        if not self.features or len(set(self.features)) != len(self.features):
            raise ValueError(f"model.features must name each feature once, at least one of {FEATURES}")
        if self.ctc_feature not in self.features:
            raise ValueError(f"model.ctc_feature {self.ctc_feature} is not among model.features {self.features}")
        if self.pitch_input is True and not {"spectrogram", "states"} & set(self.features):
            raise ValueError(f"model.pitch_input needs spectrogram or states among model.features, got {self.features}")
        if self.tune != "none" and "states" not in self.features:
            raise ValueError(f"model.tune {self.tune} needs states among model.features, got {self.features}")
        if self.adapters and "states" not in self.features:
            raise ValueError(f"model.adapters needs states among model.features, got {self.features}")
        if self.pitch_input_gain != 1.0 and not (self.has_pitch_input and 0.0 < self.pitch_input_gain < math.inf):
            raise ValueError(
                f"model.pitch_input_gain must be above 0, and needs model.pitch_input, got {self.pitch_input_gain}"
            )
        layers = (f"{feature}_layers" for feature in FEATURES)
        for name in ("width", "heads", "feedforward", *layers, "cross_layers", "tuned_layers", "lora_rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"model.{name} must be at least 1, got {getattr(self, name)}")
        if self.decoder_layers < 0:
            raise ValueError(f"model.decoder_layers must not be negative, got {self.decoder_layers}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"model.dropout must lie in [0, 1), got {self.dropout}")
        if not 0.0 < self.ctc_weight < 1.0:
            raise ValueError(f"model.ctc_weight must lie between 0 and 1 (exclusive), got {self.ctc_weight}")
        if not self.end_in_loss and self.stop != "silence":
            raise ValueError(
                "model.end_in_loss false leaves the end token unlearnt, and such a model can stop by silence alone: "
                f"set model.stop silence, got {self.stop}"
            )
        if self.positions == "sinusoidal" and self.vrope.theta != "none":
            raise ValueError("model.positions sinusoidal takes model.vrope.theta none; choose one kind of position")
        if self.text_pitch == "aligned":
            stacks = 1 if self.combine == "joint" else len(self.features)
            if stacks * self.cross_layers < 2:
                raise ValueError(
                    "model.text_pitch aligned needs two blocks with cross-attention: the second uses what the first "
                    "read; raise model.cross_layers"
                )
            if self.vrope.radius != "acoustic" and self.gate != "pitch":
                raise ValueError(
                    "model.text_pitch aligned is read by model.vrope.radius acoustic or model.gate pitch; set either"
                )
        # The heads must hold what each kind of attention folds into them.
        kinds = {"": self.vrope, "cross_nulls": VRoPEModes(nulls=self.cross_nulls)}
        for option, modes in {**kinds, "text_nulls": VRoPEModes(nulls=self.text_nulls)}.items():
            try:
                modes.attention(self.width, self.heads)
            except ValueError as error:
                if not option:
                    raise
                named = f"model.{option} {getattr(self, option)}"
                raise ValueError(f"{named}: {error} (model.width, model.heads), or set it to none") from None

    @property
    def encoder_inside(self) -> bool:
        """Whether something of the pretrained encoder is trained, so that it is a part of the model."""
        return self.tune != "none" or self.adapters

    @property
    def has_pitch_input(self) -> bool:
        """Whether the encoder of the spectrogram, or without one that of the states, has pitch channels as input;
        `auto`: beside the spectrogram, where pitch has no encoder itself."""
        if self.pitch_input == "auto":
            return "spectrogram" in self.features and "pitch" not in self.features
        return self.pitch_input

    @property
    def pitch_beside(self) -> str:
        """The feature whose encoder has pitch channels as input, empty for none."""
        if not self.has_pitch_input:
            return ""
        return "spectrogram" if "spectrogram" in self.features else "states"

    def layers(self, feature: str) -> int:
        """Blocks in the encoder of a feature."""
        layers: int = getattr(self, f"{feature}_layers")
        return layers


_DIMENSIONS = ("width", "heads", "feedforward", "spectrogram_layers", "pitch_layers", "decoder_layers", "cross_layers")
_PRESETS = {
    "tiny": (144, 3, 384, 4, 2, 1, 1),
    "small": (256, 4, 704, 8, 3, 2, 2),
    "medium": (320, 5, 864, 12, 3, 2, 2),
    "base": (384, 6, 1024, 12, 4, 2, 3),
}
PRESETS = {name: dict(zip(_DIMENSIONS, values, strict=True)) for name, values in _PRESETS.items()}
"""Dimensions by name: about 1.7, 11, 21 and 33 million parameters; 2.6, 15, 29 and 47 with an encoder of the pitch."""


def expand_preset(data: Mapping[str, Any], where: str = "configuration") -> dict[str, Any]:
    """Replace `model.preset` in a configuration by its dimensions; what the configuration itself names prevails.

    Raises:
        EchoError: an unknown preset.
    """
    data = dict(data)
    model = data.get("model")
    if isinstance(model, Mapping) and "preset" in model:
        model = dict(model)
        name = model.pop("preset")
        if not isinstance(name, str) or name not in PRESETS:
            raise EchoError(f"{where}: model.preset must be one of {', '.join(PRESETS)}, got {name!r}")
        data["model"] = {**PRESETS[name], **model}
    return data
