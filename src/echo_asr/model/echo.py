"""The whole recogniser: encoders, decoder, CTC head, and their loss."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, ctc_loss, pad

from echo_asr.features import FeatureBatch
from echo_asr.model.config import ModelConfig
from echo_asr.model.decoder import Decoder, DecoderState
from echo_asr.model.encoder import Encoded, Encoder, feature_track, sound


@dataclass(frozen=True)
class Loss:
    """Losses in nats a token, and what was seen on the way.

    Attributes:
        total: what is minimised, a scalar with gradient.
        attention, ctc: its parts, scalars.
        blank_ratio: share of frames whose likeliest CTC symbol is blank.
    """

    total: Tensor
    attention: Tensor
    ctc: Tensor
    blank_ratio: Tensor


class Echo(nn.Module):
    """Audio features to text.

    Args:
        config: dimensions and options.
        vocabulary_size: V, zero included.
        mels: M, channels of the spectrogram.
    """

    def __init__(self, config: ModelConfig, vocabulary_size: int, mels: int = 80) -> None:
        super().__init__()
        self.config, self.vocabulary_size, self.mels = config, vocabulary_size, mels
        self.encoders = nn.ModuleDict({name: Encoder(config, name, mels) for name in config.features})
        self.decoder = Decoder(config, vocabulary_size)
        self.ctc_head = nn.Linear(config.width, vocabulary_size)
        self.apply(_initialise)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.ctc_head.weight.device

    @property
    def parameter_count(self) -> int:
        """Trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def encode(self, batch: FeatureBatch, features: Collection[str] | None = None) -> Encoded:
        """The features, encoded; with `features` given those alone, as when a curriculum has not come to the rest."""
        track = feature_track(batch).pool(self.config.subsampling)
        states = {
            name: encoder(sound(batch, name, self.config.vrope.reference), batch.lengths, track)
            for name, encoder in self.encoders.items()
            if features is None or name in features
        }
        return Encoded(states, track, (~track.padding).sum(1))

    def ctc_log_probabilities(self, encoded: Encoded) -> Tensor:
        """`(B, F, V)`, natural logarithm; index 0 is blank."""
        return self.ctc_head(encoded.states[self.config.ctc_feature]).float().log_softmax(-1)

    def decode(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Logits `(B, L, V)` after each of `tokens` `(B, L)`; see `Decoder.forward`."""
        return self.decoder(tokens, state)

    def forward(self, batch: FeatureBatch, tokens: Tensor) -> Tensor:
        """Teacher-forced logits `(B, L, V)`, for the loss and for inspection; never for error rates."""
        return self.decode(tokens, self.decoder.state(self.encode(batch), cached=False))

    def loss(
        self,
        batch: FeatureBatch,
        tokens: Tensor,
        lengths: Tensor,
        label_smoothing: float = 0.0,
        features: Collection[str] | None = None,
    ) -> Loss:
        """Joint loss (Watanabe et al. 2017): `(1 - w) cross-entropy + w CTC`, each a mean over the batch's tokens.

        Args:
            batch: the recordings.
            tokens: `(B, L)` text ids, zero beyond each text.
            lengths: text tokens of each, `(B,)`; 0 for an empty text, whose one target is the end token.
            label_smoothing: of the cross-entropy.
            features: those that take part, as in `encode`.
        """
        encoded = self.encode(batch, features)
        targets = pad(tokens, (0, 1))
        beyond = torch.arange(targets.shape[1], device=tokens.device)[None] > lengths[:, None]
        logits = self.decode(pad(tokens, (1, 0)), self.decoder.state(encoded, cached=False))
        attention = cross_entropy(
            logits.float().transpose(1, 2), targets.masked_fill(beyond, -100), label_smoothing=label_smoothing
        )
        log_probabilities = self.ctc_log_probabilities(encoded)
        summed = ctc_loss(
            log_probabilities.transpose(0, 1), tokens, encoded.lengths, lengths, reduction="none", zero_infinity=True
        )
        ctc = summed.sum() / lengths.clamp(min=1).sum()
        inside = ~encoded.track.padding
        blank = ((log_probabilities.argmax(-1) == 0) & inside).sum() / inside.sum()
        weight = self.config.ctc_weight
        return Loss((1.0 - weight) * attention + weight * ctc, attention.detach(), ctc.detach(), blank)


def _initialise(module: nn.Module) -> None:
    """Truncated normal of fan-in width for the linear maps; biases at zero."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
