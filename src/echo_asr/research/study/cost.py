"""What an arm costs, without running it on data: parameters, and multiply-adds a second of audio."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from echo_asr.audio.convert import HOP, frames_to_seconds
from echo_asr.features import FeatureConfig, Features, collate_features
from echo_asr.features.pitch import REFERENCE_F0
from echo_asr.features.states import StatesExtractor
from echo_asr.model.echo import Echo
from echo_asr.pretrained.source import find


@dataclass(frozen=True)
class Cost:
    """What a model costs.

    Attributes:
        parameters: that are trained, those of a pretrained encoder among them.
        multiply_adds: a second of audio, of one pass forward, the loss included.
    """

    parameters: int
    multiply_adds: float


def model_cost(sections: dict[str, Any], vocabulary: int, seconds: float, tokens: float) -> Cost:
    """What the model of a configuration costs, for a recording of `seconds` with `tokens` tokens, those that are usual
    in the corpus. Training takes about three times the multiply-adds of a pass forward (Kaplan et al. 2020), and where
    a pretrained encoder is frozen but for adapters or LoRA, about twice that of the encoder.

    Matrix products, convolutions and attention are counted (by torch's counter, two operations each a multiply-add);
    norms, rotations and the like are not: they are a few in a hundred. A pretrained encoder counts where it runs at
    each update, and not where its states are computed once.
    """
    frames, length = max(8, round(100 * seconds)), max(1, round(tokens))
    mels = sections["features"].mels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _model(sections, vocabulary).eval()
        cached = model.states and model.pretrained is None
        recording = Features(
            spectrogram=torch.rand(mels, frames),
            pitch=torch.rand(3, frames),
            track=torch.full((frames,), REFERENCE_F0),
            voicing=torch.ones(frames),
            null=torch.zeros(frames, dtype=torch.bool),
            waveform=torch.rand(frames * HOP) if sections["features"].waveform else None,
            states=torch.rand(model.states, frames) if cached else None,
        )
    text = torch.ones(1, length, dtype=torch.long)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.loss(collate_features([recording]), text, torch.tensor([length]))
    return Cost(model.parameter_count, counter.get_total_flops() / 2 / frames_to_seconds(frames))


@cache
def channels(features: FeatureConfig) -> int:
    """C, values in a state of the pretrained encoder of a configuration; 0 without one."""
    return _states(features).channels if features.states else 0


def _states(features: FeatureConfig) -> StatesExtractor:
    return StatesExtractor(find(features.states), features.encoder_layers)


def _model(sections: dict[str, Any], vocabulary: int) -> Echo:
    """The model of a configuration, with the pretrained encoder in it where its states are not computed once."""
    features, config = sections["features"], sections["model"]
    if not features.states or features.states_in == "cache":
        return Echo(config, vocabulary, features.mels, channels(features))
    states = _states(features)
    return Echo(config, vocabulary, features.mels, states.channels, states.encoder, states.layers)
