"""One encoder for each audio feature."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from echo_asr.features import FeatureBatch
from echo_asr.model.blocks import Block
from echo_asr.model.config import ModelConfig
from echo_asr.model.front_end import FrontEnd, StatesFrontEnd, WaveFrontEnd
from echo_asr.model.options.gates import make_gate
from echo_asr.model.options.sinusoids import sinusoids
from echo_asr.vrope import PitchTrack

CONTRAST = 4.0  # of kernels over mel bins, which lie between 0 and 1 and differ by some tenths
QUIET = 0.1  # of what a block adds to its input, at first
PITCH_CHANNELS = 4  # z where voiced, voicing, energy, periodicity


def pitch_track(batch: FeatureBatch) -> PitchTrack:
    """The 10 ms pitch track of a batch of features."""
    return PitchTrack(batch.track, batch.voicing, batch.energy, batch.null, batch.padding, speaker_f0=batch.speaker_f0)


def pitch_channels(batch: FeatureBatch, reference: str) -> Tensor:
    """Pitch as an encoder's input, `(B, 4, T)`: `z` in octaves where voiced, voicing, energy, periodicity; 0 in
    padding. Hertz would saturate; octaves about the reference are of order one."""
    voicing = (batch.pitch[:, 0] > 0).float()  # of the feature, which SpecAugment masks, and not of the track
    z = pitch_track(batch).z(reference) * voicing
    return torch.stack((z, voicing, batch.pitch[:, 1], batch.pitch[:, 2]), dim=1)


def encoder_input(batch: FeatureBatch, feature: str, config: ModelConfig) -> Tensor:
    """The input of the encoder of a feature: `(B, C, T)`, of the waveform `(B, 1, S)`.

    Raises:
        ValueError: the features were extracted without the waveform, or without states.
    """
    reference = config.vrope.reference
    if feature == "pitch":
        return pitch_channels(batch, reference)
    found: Tensor | None = getattr(batch, feature)
    if found is None:
        setting = "waveform=True" if feature == "waveform" else "states=ENCODER"
        raise ValueError(f"the batch holds no {feature}; extract features with FeatureConfig({setting})")
    return torch.cat((found, pitch_channels(batch, reference)), dim=1) if feature == config.pitch_beside else found


@dataclass(frozen=True)
class Encoded:
    """What the encoders made of a batch.

    Attributes:
        states: for each feature, `(B, F, D)`.
        track: of the encoder frames; its `null` and `padding` are what cross-attention reads.
        lengths: encoder frames of each recording, `(B,)`.
        ctc: what `Echo.ctc_log_probabilities` found, kept for the next of those who ask.
    """

    states: dict[str, Tensor]
    track: PitchTrack
    lengths: Tensor
    ctc: list[Tensor] = field(default_factory=list, repr=False, compare=False)


class Encoder(nn.Module):
    """Front end and blocks of one feature: to `(B, F, D)`, normalised.

    Args:
        config: the model's.
        feature: one of `FEATURES`.
        mels: M, channels of the spectrogram.
        states: C, values of the states of a pretrained encoder.
    """

    def __init__(self, config: ModelConfig, feature: str, mels: int, states: int = 0) -> None:
        super().__init__()
        self.config = config
        self.mels = mels if feature == "spectrogram" else 0
        beside = PITCH_CHANNELS if feature == config.pitch_beside else 0
        self.wave = WaveFrontEnd(config.width) if feature == "waveform" else None
        self.front: FrontEnd | StatesFrontEnd
        if feature == "states":
            self.front = StatesFrontEnd(states, beside, config.width, config.subsampling)
        else:
            channels = {"spectrogram": mels + beside, "pitch": PITCH_CHANNELS, "waveform": config.width}[feature]
            self.front = FrontEnd(channels, config.width, config.subsampling)
        attention, reference = config.vrope.attention(config.width, config.heads), config.vrope.reference
        self.blocks = nn.ModuleList(
            Block(attention, config.feedforward, config.dropout, gate=make_gate(config.gate, config.width, reference))
            for _ in range(config.layers(feature))
        )
        self.norm = nn.LayerNorm(config.width)

    @torch.no_grad()
    def init_weights(self) -> None:
        """Set weights, once they are drawn, to where learning starts well.

        The mel bins of a frame rise and fall together, far more than they differ, so that kernels drawn at random
        respond to level and little else. Here they begin by responding to differences between bins alone, each of about
        unit size; and blocks begin by adding little to the front end's output. Without the two, runs that differed in
        their seed alone ended 15 points apart after 1000 updates on a small corpus (LOG.md, 2026-11-22).
        """
        if self.wave is not None:
            self.wave.init_weights()
        if isinstance(self.front, StatesFrontEnd):
            self.front.init_weights()
        if self.mels and isinstance(self.front, FrontEnd):
            first, second = (convolution.get_parameter("weight") for convolution in self.front.convolutions)
            bins = first[:, : self.mels]
            bins.sub_(bins.mean(dim=1, keepdim=True)).mul_(CONTRAST)
            first[:, self.mels :].mul_(self.config.pitch_input_gain)
            second.mul_(3.0**0.5)  # torch draws for a third of the variance that goes in
        for name, weight in self.blocks.named_parameters():
            if name.endswith(("attention.output.weight", "feedforward.output.weight")):
                weight.mul_(QUIET)

    def forward(self, x: Tensor, lengths: Tensor, track: PitchTrack) -> Tensor:
        """Encode.

        Args:
            x: the feature, as `encoder_input` gives it.
            lengths: feature frames of each recording, `(B,)`.
            track: pitch at encoder frames.
        """
        x = self.front(x if self.wave is None else self.wave(x, lengths), lengths)
        if self.config.positions != "rotary":
            x = x + sinusoids(x.shape[1], x.shape[2], x.device)
        for block in self.blocks:
            x = block(x, track)
        return self.norm(x)
