"""Other ways than one after the other to combine features in the decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from echo_asr.model.config import ModelConfig
from echo_asr.model.cross_attention import EncoderKeyValues
from echo_asr.model.decoder import Caches, Decoder
from echo_asr.vrope import PitchTrack

JOINT = "joint"  # name of the one stack that attends to all features


class BlendDecoder(Decoder):
    """`blend`: each stack's output is mixed with its input by a learned weight, `x + sigmoid(w) (stack(x) - x)`."""

    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size)
        self.blends = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in config.features})
        self.register_module("norm", self._modules.pop("norm"))  # stays last, as in optimizer states

    def run_stack(
        self, name: str, x: Tensor, track: PitchTrack, memories: list[EncoderKeyValues], caches: Caches
    ) -> tuple[Tensor, PitchTrack]:
        """As `Decoder.run_stack`, mixed with `x`."""
        out, track = super().run_stack(name, x, track, memories, caches)
        return x + torch.sigmoid(self.blends[name]) * (out - x), track


class JointDecoder(Decoder):
    """`joint`: one stack attends to the frames of all features at once; a learned vector marks those of each."""

    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size)
        if len(config.features) > 1:
            scale = config.width**-0.5
            self.kinds = nn.ParameterDict(
                {name: nn.Parameter(torch.randn(config.width) * scale) for name in config.features}
            )
            self.register_module("norm", self._modules.pop("norm"))  # stays last, as in optimizer states

    @staticmethod
    def stack_names(config: ModelConfig) -> tuple[str, ...]:
        """One name for all features."""
        return (JOINT,)

    def stack_of(self, feature: str) -> str:
        """The one stack, whatever the feature."""
        return JOINT

    def sources(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        """The frames of all features one after another."""
        parts = super().sources(states)
        if len(self.config.features) > 1:
            parts = {name: x + self.kinds[name] for name, x in parts.items()}
        return {JOINT: torch.cat([*parts.values()], 1)}


DECODERS: dict[str, type[Decoder]] = {"sequential": Decoder, "blend": BlendDecoder, "joint": JointDecoder}


def make_decoder(config: ModelConfig, vocabulary_size: int) -> Decoder:
    """The decoder that a configuration names."""
    return DECODERS[config.combine](config, vocabulary_size)
