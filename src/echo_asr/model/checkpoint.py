"""A model is a folder: config.yaml, model.safetensors, tokenizer.json. Saving is whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from echo_asr.config import build_sections, present_names, read_yaml, write_yaml
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig
from echo_asr.features.states import StatesExtractor
from echo_asr.model.calibration import Calibration, LogisticCalibration, Noted, SpeechProbability
from echo_asr.model.config import ModelConfig, expand_preset
from echo_asr.model.echo import Echo
from echo_asr.model.tone_model import ToneModel
from echo_asr.pretrained.kept import keep, kept
from echo_asr.pretrained.source import Source
from echo_asr.storage import make_folder, pack, read_notes, replace_file, unpack
from echo_asr.text.config import TextConfig
from echo_asr.text.tokenizer import Tokenizer

CONFIG, WEIGHTS, TOKENIZER = "config.yaml", "model.safetensors", "tokenizer.json"
# Notes beside the weights; those after the second are calibrations of sentences of a grammar, of words that are looked
# for, and of what is like examples of one, the probability that a text was spoken, and the tone model.
FEATURES, CALIBRATION, SENTENCES, FOUND, ALIKE = "features", "calibration", "sentences", "found", "alike"
SPEECH, TONES = "speech", "tones"
RENAMED = {
    "attention.rotation.raw_radius": "attention.rotation.radius.raw",
    "attention.rotation.radius_weight": "attention.rotation.radius.weight",
    "attention.rotation.radius_bias": "attention.rotation.radius.bias",
}
"""Earlier ends of the names of parameters: the present ones."""
SECTIONS: dict[str, type] = {"features": FeatureConfig, "text": TextConfig, "model": ModelConfig}


@dataclass
class Bundle:
    """A model with all that is needed to use it.

    Attributes:
        model: the network.
        tokenizer: text to ids and back.
        features, text: how audio and text are prepared.
        extra: further sections of config.yaml (`train`, ...), kept as they are.
        trained_features: names of the features that took part in training when the weights were saved, where a
            curriculum had not yet brought in all of them; decoding uses these alone. None for all.
        calibration: from the scores of words to probabilities; changes nothing where none was fitted.
        sentences, found, alike: the same from what is measured of a sentence of a grammar, of a word that is looked
            for, and of a place that is like examples of one; None where none was fitted.
        speech: how probable it is that a text was spoken; None where it was not fitted.
        tones: the tone model that F0 contours are given to; None where there is none.
        source: of the pretrained encoder whose states the model reads; None where it reads none.
    """

    model: Echo
    tokenizer: Tokenizer
    features: FeatureConfig = field(default_factory=FeatureConfig)
    text: TextConfig = field(default_factory=TextConfig)
    extra: dict[str, Any] = field(default_factory=dict)
    trained_features: tuple[str, ...] | None = None
    calibration: Calibration = Calibration()
    source: Source | None = None
    sentences: LogisticCalibration | None = None
    found: LogisticCalibration | None = None
    alike: LogisticCalibration | None = None
    speech: SpeechProbability | None = None
    tones: ToneModel | None = None

    def save(
        self, folder: str | os.PathLike[str], state: dict[str, torch.Tensor] | None = None, slim: bool = False
    ) -> None:
        """Write the folder; each file appears whole or not at all, the weights last.

        Args:
            state: the model's weights, where the model itself holds them in parts.
            slim: name the pretrained encoder and the hash of its weights, instead of keeping them in the folder.

        Raises:
            EchoError: the folder cannot be made or written.
        """
        folder = Path(folder)
        make_folder(folder, "choose another folder")
        sections = {"features": self.features, "text": self.text, "model": self.model.config, **self.extra}
        replace_file(folder / CONFIG, lambda path: write_yaml(path, sections))
        self.tokenizer.save(folder / TOKENIZER)
        if self.source is not None:
            keep(self.source, folder, slim, self.features.encoder_dtype)
        self.save_weights(folder, self.model.state_dict() if state is None else state, self.trained_features)
        fitted: dict[str, Noted | None] = {
            SENTENCES: self.sentences,
            FOUND: self.found,
            ALIKE: self.alike,
            SPEECH: self.speech,
            TONES: self.tones,
        }
        kept = {name: one for name, one in fitted.items() if one is not None}
        if self.calibration.words:
            kept[CALIBRATION] = self.calibration
        if kept:
            save_calibrations(folder, kept)

    @staticmethod
    def save_weights(
        folder: Path, state: dict[str, torch.Tensor], trained_features: tuple[str, ...] | None = None
    ) -> None:
        """Write the weights alone, and which features they were trained with."""
        notes = {} if trained_features is None else {FEATURES: " ".join(trained_features)}
        replace_file(folder / WEIGHTS, lambda path: path.write_bytes(pack(state, **notes)))


def load_bundle(folder: str | os.PathLike[str], device: str | torch.device = "cpu") -> Bundle:
    """Read a model folder; the network is in evaluation mode.

    Raises:
        EchoError: the folder or one of its files is missing, damaged, or does not fit the others.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise EchoError(f"{folder}: no such model folder; a model is what `echo-asr train` leaves in its --out folder")
    missing = [name for name in (CONFIG, WEIGHTS, TOKENIZER) if not (folder / name).is_file()]
    if missing:
        raise EchoError(f"{folder}: not a complete model, {', '.join(missing)} missing; copy the whole folder")
    where = str(folder / CONFIG)
    data = present_names(expand_preset(read_yaml(folder / CONFIG), where), where)
    extra = {name: value for name, value in data.items() if name not in SECTIONS}
    built = build_sections(data, SECTIONS, where=where, ignore=tuple(extra))
    tokenizer = Tokenizer.load(folder / TOKENIZER)
    state = read_weights(folder / WEIGHTS)
    states = len(state.get("states_mean", ()))
    features: FeatureConfig = built["features"]
    source = kept(folder) if features.states else None
    layers, encoder = features.encoder_layers, None
    if source is not None and features.states_in == "model":
        encoder = StatesExtractor(source, layers).encoder
    size = (tokenizer.vocabulary_size, features.mels, states)
    model = Echo(built["model"], *size, encoder, layers)
    load_weights(model, folder / WEIGHTS, state)
    notes = read_notes(folder / WEIGHTS)
    noted = notes.get(FEATURES)
    trained = None if noted is None else tuple(name for name in built["model"].features if name in noted.split())
    try:
        calibration = Calibration.from_text(notes.get(CALIBRATION, "{}"))
        sentences, found, alike = (
            LogisticCalibration.from_text(notes[name]) if name in notes else None for name in (SENTENCES, FOUND, ALIKE)
        )
        speech = SpeechProbability.from_text(notes[SPEECH]) if SPEECH in notes else None
        tones = ToneModel.from_text(notes[TONES]) if TONES in notes else None
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise EchoError(
            f"{folder / WEIGHTS}: damaged calibration or tone model ({reason}); copy the file again"
        ) from None
    model.to(device).eval()
    fitted = (sentences, found, alike, speech, tones)
    return Bundle(model, tokenizer, features, built["text"], extra, trained, calibration, source, *fitted)


def save_calibrations(folder: Path, fitted: Mapping[str, Noted]) -> None:
    """Note, beside the weights of a model folder, what was fitted on validation.

    Args:
        fitted: by `CALIBRATION`, `SENTENCES`, `FOUND`, `ALIKE`, `SPEECH` and `TONES`; others that are there stay.

    Raises:
        EchoError: the weights are damaged, the folder cannot be written, or the disk is full; they are untouched.
    """
    path = folder / WEIGHTS
    state = _read_weights(path)
    notes = {name: text for name, text in read_notes(path).items() if name != "format"}
    data = pack(state, **{**notes, **{name: one.to_text() for name, one in fitted.items()}})
    replace_file(path, lambda part: part.write_bytes(data))


def load_weights(model: Echo, path: Path, state: dict[str, torch.Tensor] | None = None) -> None:
    """Load a safetensors file into a model, every tensor of it.

    Args:
        state: what `read_weights` found in it, if it was read already.

    Raises:
        EchoError: the file is damaged, or its tensors are not the model's.
    """
    state = read_weights(path) if state is None else state
    own = model.state_dict()
    wrong = sorted(set(own) ^ set(state)) or sorted(n for n in own if own[n].shape != state[n].shape)
    if wrong:
        raise EchoError(
            f"{path}: the weights do not fit config.yaml and tokenizer.json beside them "
            f"({len(wrong)} tensors differ, first {wrong[0]}); keep the three files of one model together"
        )
    broken = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise EchoError(
            f"{path}: {len(broken)} tensors hold NaN or infinite weights, first {broken[0]}; copy the file again, or "
            "train anew"
        )
    model.load_state_dict(state)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a model's file under the present names of their parameters.

    Raises:
        EchoError: the file is damaged, or cannot be read.
    """
    return current_keys(_read_weights(path))


def current_keys(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights under the present names of their parameters."""
    for earlier, now in RENAMED.items():
        state = {(name.removesuffix(earlier) + now if name.endswith(earlier) else name): x for name, x in state.items()}
    return state


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file.

    Raises:
        EchoError: the file is damaged, or cannot be read.
    """
    try:
        return unpack(path.read_bytes())
    except (ValueError, OSError) as error:
        raise EchoError(f"{path}: damaged weights ({str(error).splitlines()[0]}); copy the file again") from None
