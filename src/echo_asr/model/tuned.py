"""A pretrained encoder as a part of a model: from the waveform to its states, at each update.

Shapes: `B` batch, `T` frames of 10 ms, `S = 160 T` samples, `N` states at the encoder's own rate, `C` values in a
state, of all layers that are read together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from echo_asr.audio.convert import HOP
from echo_asr.features import FeatureBatch
from echo_asr.features.states import Standard, normalised_states, on_clock
from echo_asr.model.config import ModelConfig
from echo_asr.pretrained import SpeechEncoder
from echo_asr.pretrained.tuning import choose_trained, recompute_layers, trained_by_layer


class TunedEncoder(nn.Module):
    """A pretrained encoder whose states are computed within the model, with gradients to what is trained of it.

    Before any update its states are those that `features.states` computes once, but for half precision. It always
    works as in use, without dropout and with fixed statistics of batch norm, also while it is trained: the layers above
    it have dropout of their own. Only what is trained of it is in its `state_dict`.

    Args:
        encoder: in float32; it is changed, and belongs to this module from now on.
        layers: those that are read, in order.
        config: what is trained of it (`tune`, `tuned_layers`, `lora_rank`).

    Attributes:
        held: for now nothing of it is trained, and it runs without gradients.
    """

    def __init__(self, encoder: SpeechEncoder, layers: Sequence[int], config: ModelConfig) -> None:
        super().__init__()
        self.layers, self.held = tuple(layers), False
        choose_trained(encoder, config.tune, max(layers), config.tuned_layers, config.lora_rank)
        self.encoder = encoder.eval()

    def train(self, mode: bool = True) -> TunedEncoder:
        """The encoder stays in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    @property
    def trained(self) -> list[list[nn.Parameter]]:
        """What is trained of each layer, lowest first."""
        return trained_by_layer(self.encoder)

    def recompute(self) -> None:
        """Keep of each layer its input alone, and compute the rest again for the backward pass."""
        recompute_layers(self.encoder)

    def forward(self, batch: FeatureBatch, standard: Standard) -> Tensor:
        """States as a model takes them: standardised, `(B, C, T)`, zero beyond each recording.

        Args:
            batch: recordings with their waveform.
            standard: mean and deviation of each dimension.

        Raises:
            ValueError: the features were extracted without the waveform.
        """
        if batch.waveform is None:
            raise ValueError("the batch holds no waveform; extract features with FeatureConfig(waveform=True)")
        samples = batch.lengths * HOP
        learns = torch.is_grad_enabled() and not self.held
        # In bfloat16 some CPUs compute grouped convolutions, which wav2vec 2.0 has, wrongly (torch 2.13).
        with torch.set_grad_enabled(learns), torch.autocast("cpu", enabled=False):
            found = normalised_states(self.encoder, batch.waveform[:, 0], samples, self.layers)
        states = standard(found.transpose(1, 2))
        frames, counts = batch.null.shape[1], self.encoder.count(samples)
        placed = on_clock(states, frames, self.encoder.first, self.encoder.hop, counts)
        return placed.masked_fill(batch.padding[:, None], 0.0)
