"""What an arm costs, without running it on data: parameters, and multiply-adds a second of audio."""

from __future__ import annotations

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


def parameter_count(sections: dict[str, Any], vocabulary: int) -> int:
    """Parameters of the model of a configuration."""
    features = sections["features"]
    states = channels(features)  # before, since an encoder cannot be built without values
    with torch.device("meta"):
        return Echo(sections["model"], vocabulary, features.mels, states).parameter_count


def multiply_adds(sections: dict[str, Any], vocabulary: int, seconds: float, tokens: float) -> float:
    """Multiply-adds a second of audio of one pass forward, the loss included, over a recording of `seconds` with
    `tokens` tokens, those that are usual in the corpus. Training takes about three times that (Kaplan et al. 2020).

    Matrix products, convolutions and attention are counted (by torch's counter, two operations each a multiply-add);
    norms, rotations and the like are not: they are a few in a hundred. Nor is a pretrained encoder whose states are
    computed once.
    """
    frames, length = max(8, round(100 * seconds)), max(1, round(tokens))
    mels = sections["features"].mels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Echo(sections["model"], vocabulary, mels, channels(sections["features"])).eval()
        silence = Features(
            spectrogram=torch.rand(mels, frames),
            pitch=torch.rand(3, frames),
            track=torch.full((frames,), REFERENCE_F0),
            voicing=torch.ones(frames),
            null=torch.zeros(frames, dtype=torch.bool),
            waveform=torch.rand(frames * HOP) if "waveform" in model.config.features else None,
            states=torch.rand(model.states, frames) if "states" in model.config.features else None,
        )
    text = torch.ones(1, length, dtype=torch.long)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.loss(collate_features([silence]), text, torch.tensor([length]))
    return counter.get_total_flops() / 2 / frames_to_seconds(frames)


@cache
def channels(features: FeatureConfig) -> int:
    """C, values in a state of the pretrained encoder of a configuration; 0 without one."""
    return StatesExtractor(find(features.states), features.encoder_layers).channels if features.states else 0
