"""The one description from which a model is rebuilt, and its presets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, get_args

from echo_asr.errors import EchoError
from echo_asr.text.conventions import Action, Conventions
from echo_asr.text.normalize import Normalizer, make_normalizer
from echo_asr.text.orthography import LostSigns, lost_signs
from echo_asr.text.tones import FoundNotation, Kind, ToneNotation, Unit, find_notation
from echo_asr.vrope import VRoPEModes
from echo_asr.vrope.config import Nulls

Feature = Literal["spectrogram", "waveform", "pitch"]
FEATURES: tuple[str, ...] = get_args(Feature)
MOST_LOST = 0.05  # share of the words with tones that may lose some in normalising where tone errors are counted


@dataclass(frozen=True)
class TextConfig:
    """How text becomes tokens."""

    normalizer: Literal["basic", "none", "whisper"] = "basic"  # applied to the texts, and part of the model
    tokenizer: str = "character"  # or bpe; or the path of an orthography profile (.tsv) or of a ready tokenizer.json
    vocabulary: int = 500  # symbols of a BPE tokenizer at most, zero included; characters ignore it
    letters: str = ""  # punctuation that is part of words in this orthography, such as ":'-!"; `basic` leaves it alone
    conventions: dict[str, Action] = field(default_factory=dict)  # effects of a transcriber's marks: {"[...]": drop}
    tones: Literal["auto", "none", Kind] = "auto"  # where tone is written; auto: found in the training texts
    tone_marks: str = ""  # the marks, or letters, that write tone; all that `tones` knows unless named
    tone_unit: Unit = "nucleus"  # what carries one tone where diacritics write it
    tone_unmarked: bool = True  # whether a syllable without a mark has a tone of its own

    def __post_init__(self) -> None:
        if self.tokenizer not in ("character", "bpe") and not (self.ready or self.profile):
            known = "character, bpe, or the path of a tokenizer.json or of an orthography profile (.tsv, .csv, .txt)"
            raise ValueError(f"text.tokenizer must be {known}, got {self.tokenizer!r}")
        if self.vocabulary < 2:
            raise ValueError(f"text.vocabulary must be at least 2, got {self.vocabulary}")
        if any(c.isspace() or not c.isprintable() for c in self.letters):
            raise ValueError(f"text.letters must be characters without spaces between, got {self.letters!r}")
        if self.letters and self.normalizer != "basic":
            raise ValueError(f"text.letters goes with text.normalizer basic, got {self.normalizer}")
        if self.tone_marks and self.tones in ("auto", "none"):
            raise ValueError(f"text.tone_marks needs text.tones, such as diacritics or letters, got {self.tones}")
        try:
            Conventions(self.conventions)
            _ = self.notation
        except ValueError as error:
            raise ValueError(f"text: {error}") from None
        if "event" in self.conventions.values() and self.normalizer == "whisper":
            raise ValueError("text.conventions: the normaliser whisper removes the symbol of an event; take drop")

    @property
    def normalize(self) -> Normalizer:
        """What the texts pass through: conventions first, if there are any."""
        normalize = make_normalizer(self.normalizer, self.word_signs, self.tones in ("digits", "superscripts"))
        if not self.conventions:
            return normalize
        return partial(_normalize_transcribed, Conventions(self.conventions), normalize)

    @property
    def word_signs(self) -> str:
        """The punctuation that is part of words: `letters`, and under `tones: letters` the signs that write tone."""
        return self.letters + (self.notation.letters_and_signs[1] if self.tones == "letters" and self.notation else "")

    @property
    def notation(self) -> ToneNotation | None:
        """Where tone is written; None where it is not, or not yet found."""
        if self.tones == "auto" or self.tones == "none":
            return None
        return ToneNotation(self.tones, self.tone_marks, self.tone_unit, self.tone_unmarked)

    def find_tones(self, texts: Iterable[str]) -> tuple[TextConfig, FoundNotation | None]:
        """The settings with the tone notation that texts, not normalised, are written in, and how it was found.

        Settings that name a notation, or none, are returned as they are, with None. Where none is found they stay auto.
        """
        if self.tones != "auto":
            return self, None
        plain = replace(self, normalizer="basic").normalize  # none other leaves all tones in place
        found = find_notation(map(plain, texts))
        if found.notation is None:
            return self, found
        one = found.notation
        own = replace(self, tones=one.kind, tone_marks=one.marks, tone_unit=one.unit, tone_unmarked=one.unmarked)
        return own, found

    def lost_signs(self, texts: Iterable[str]) -> LostSigns:
        """Signs of tone and length that normalising removes from texts, or splits off, once conventions are applied."""
        conventions = Conventions(self.conventions)
        return lost_signs(map(conventions, texts), self.normalize, self.notation)

    def measured_notation(self, texts: Sequence[str]) -> ToneNotation | None:
        """The notation in which the tones of normalised texts can be compared; None where texts have none, or where
        normalising removes more than a twentieth of them."""
        settled, _ = self.find_tones(texts)
        lost = settled.lost_signs(texts) if settled.notation else None
        return None if lost is None or lost.tone_words > MOST_LOST * lost.toned else settled.notation

    @property
    def ready(self) -> bool:
        """Whether the tokenizer is a file rather than learnt."""
        return self.tokenizer.endswith(".json")

    @property
    def profile(self) -> bool:
        """Whether the tokenizer splits texts by an orthography profile."""
        return self.tokenizer.endswith((".tsv", ".csv", ".txt"))


def _normalize_transcribed(conventions: Conventions, normalize: Normalizer, text: str) -> str:
    return normalize(conventions(text))


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
    pitch_input: Literal["auto", True, False] = "auto"  # pitch channels beside the spectrogram in its encoder's input
    pitch_input_gain: float = 1.0  # of the kernels over those channels, at first
    width: int = 144  # D
    heads: int = 3  # H
    feedforward: int = 384  # hidden width of the gated feed-forward
    spectrogram_layers: int = 4  # blocks of the spectrogram encoder
    waveform_layers: int = 4  # blocks of the waveform encoder
    pitch_layers: int = 2  # blocks of the pitch encoder
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
        if self.pitch_input is True and "spectrogram" not in self.features:
            raise ValueError(f"model.pitch_input needs spectrogram among model.features, got {self.features}")
        if self.pitch_input_gain != 1.0 and not (self.has_pitch_input and 0.0 < self.pitch_input_gain < math.inf):
            raise ValueError(
                f"model.pitch_input_gain must be above 0, and needs model.pitch_input, got {self.pitch_input_gain}"
            )
        layers = (f"{feature}_layers" for feature in FEATURES)
        for name in ("width", "heads", "feedforward", *layers, "cross_layers"):
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
    def has_pitch_input(self) -> bool:
        """Whether the spectrogram's encoder has pitch channels as input; `auto`: where pitch has no encoder itself."""
        if self.pitch_input == "auto":
            return "spectrogram" in self.features and "pitch" not in self.features
        return self.pitch_input

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
