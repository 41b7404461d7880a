"""The whole recogniser: encoders, decoder, CTC head, and their loss."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, ctc_loss, pad

from echo_asr.features import FeatureBatch
from echo_asr.features.voice import Standard
from echo_asr.model.config import ModelConfig
from echo_asr.model.decoder import DecoderState
from echo_asr.model.encoder import Encoded, Encoder, encoder_input, pitch_track
from echo_asr.model.options.combine import make_decoder
from echo_asr.model.options.silence_stop import closing_frames, silence_share, stop_log_probabilities, stop_loss
from echo_asr.model.tuned import TunedEncoder
from echo_asr.pretrained import SpeechEncoder
from echo_asr.vrope import double, precise_device


@dataclass(frozen=True)
class Loss:
    """Losses in nats a token, and what was seen on the way.

    Attributes:
        total: what is minimised, a scalar with gradient.
        attention, ctc: its parts, scalars; attention includes what is learnt of stopping.
        blank_ratio: share of frames whose likeliest CTC symbol is blank.
    """

    total: Tensor
    attention: Tensor
    ctc: Tensor
    blank_ratio: Tensor


@dataclass(frozen=True)
class LossSizes:
    """What the parts of a loss are means over: counts of one batch, or of all batches of an update.

    Attributes:
        targets: of the cross-entropy.
        positions: of the decoder, each of which ends its text or does not.
        tokens: of the texts, over which CTC is a mean; an empty batch counts as one.
        frames: of the encoder, over which the ratio of blanks is taken.
    """

    targets: float
    positions: float
    tokens: float
    frames: float


def encoder_frames(frames: Tensor, config: ModelConfig) -> Tensor:
    """The encoder frames of recordings of so many feature frames, both `(B,)`."""
    return -((frames + closing_frames(config.stop)) // -config.subsampling)


class Echo(nn.Module):
    """Audio features to text.

    Args:
        config: dimensions and options.
        vocabulary_size: V, zero included.
        mels: M, channels of the spectrogram.
        states: C, values in a state of a pretrained encoder, for a model that reads them.
        encoder: that encoder, where its states are computed within the model; it becomes a part of the model.
        encoder_layers: those of its layers that are read.
    """

    states_mean: Tensor
    states_deviation: Tensor

    def __init__(
        self,
        config: ModelConfig,
        vocabulary_size: int,
        mels: int = 80,
        states: int = 0,
        encoder: SpeechEncoder | None = None,
        encoder_layers: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.config, self.vocabulary_size, self.mels, self.states = config, vocabulary_size, mels, states
        self.encoders = nn.ModuleDict({name: Encoder(config, name, mels, states) for name in config.features})
        if "states" in config.features:
            self.register_buffer("states_mean", torch.zeros(states))
            self.register_buffer("states_deviation", torch.ones(states))
        self.decoder = make_decoder(config, vocabulary_size)
        self.ctc_head = nn.Linear(config.width, vocabulary_size)
        self.apply(_initialise)
        for own in self.encoders.values():
            own.init_weights()  # type: ignore[operator]
        self.pretrained = None if encoder is None else TunedEncoder(encoder, encoder_layers, config)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.ctc_head.weight.device

    @property
    def standard(self) -> Standard | None:
        """What the states that it reads are standardised by; None without such a feature."""
        if "states" not in self.config.features:
            return None
        return Standard(self.states_mean.cpu(), self.states_deviation.cpu())

    def standardise_by(self, standard: Standard) -> None:
        """Take the mean and the deviation of the states of a corpus."""
        self.states_mean.copy_(standard.mean)
        self.states_deviation.copy_(standard.deviation)

    @property
    def parameter_count(self) -> int:
        """Trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def encode(self, batch: FeatureBatch, features: Collection[str] | None = None) -> Encoded:
        """The features, encoded; with `features` given those alone, as when a curriculum has not come to the rest."""
        if self.pretrained is not None and (features is None or "states" in features):
            standard = Standard(self.states_mean, self.states_deviation)
            batch = replace(batch, states=self.pretrained(batch, standard))
        closing = closing_frames(self.config.stop)
        if closing:
            batch = batch.closed(closing)
        track = pitch_track(batch).pool(self.config.subsampling)
        states = {
            name: encoder(encoder_input(batch, name, self.config), batch.lengths, track)
            for name, encoder in self.encoders.items()
            if features is None or name in features
        }
        return Encoded(states, track, (~track.padding).sum(1))

    def ctc_log_probabilities(self, encoded: Encoded) -> Tensor:
        """`(B, F, V)`, natural logarithm; index 0 is blank. Computed once, unless it is for gradients."""
        if encoded.ctc and not torch.is_grad_enabled():
            return encoded.ctc[0]
        found = self.ctc_head(encoded.states[self.config.ctc_feature]).float().log_softmax(-1)
        if not torch.is_grad_enabled():
            encoded.ctc.append(found)
        return found

    def decode(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Logits `(B, L, V)` after each of `tokens` `(B, L)`; see `Decoder.forward`."""
        return self.decoder(tokens, state)

    def predict(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Log probabilities `(B, L, V)`, float64, of what follows each of `tokens` `(B, L)`; index 0: the text ends.
        They are on the device that has such numbers (`precise_device`); the tokens may be there, too.

        They are the softmax of the logits, unless the model stops by silence (`options/silence_stop.py`).
        """
        logits = double(self.decode(tokens.to(self.device), state))
        if self.config.stop == "token":
            return logits.log_softmax(-1)
        return stop_log_probabilities(logits, silence_share(state.memories), by_token=self.config.stop == "both")

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
        sizes: LossSizes | None = None,
    ) -> Loss:
        """Joint loss (Watanabe et al. 2017): `(1 - w) cross-entropy + w CTC`, each a mean over the batch's tokens.

        With `end_in_loss` the first 0 after a text is one of the tokens; else 0 is no target and not in the softmax.
        A model that stops by silence adds `stop_loss`, a mean over positions, to the cross-entropy.

        Args:
            batch: the recordings.
            tokens: `(B, L)` text ids, zero beyond each text.
            lengths: text tokens of each, `(B,)`; 0 for an empty text, whose one target is its end.
            label_smoothing: of the cross-entropy.
            features: those that take part, as in `encode`.
            sizes: what each part is divided by; by default the batch's own. With the sums of `loss_sizes` over several
                batches, the losses of these add up to that of one batch that holds them all, and so do the gradients.
        """
        sizes = sizes or self.loss_sizes(batch, lengths)
        encoded = self.encode(batch, features)
        state = self.decoder.state(encoded, cached=False)
        logits = self.decode(pad(tokens, (1, 0)), state)
        targets = pad(tokens, (0, 1))
        attention = self._cross_entropy(logits.float(), targets, lengths, label_smoothing) / max(1.0, sizes.targets)
        if self.config.stop != "token":
            attention = attention + stop_loss(silence_share(state.memories), lengths) / sizes.positions
        log_probabilities = self.ctc_log_probabilities(encoded)
        summed = ctc_losses(log_probabilities, tokens, encoded.lengths, lengths)
        ctc = summed.sum() / max(1.0, sizes.tokens)
        blank = ((log_probabilities.argmax(-1) == 0) & ~encoded.track.padding).sum() / sizes.frames
        weight = self.config.ctc_weight
        return Loss((1.0 - weight) * attention + weight * ctc, attention.detach(), ctc.detach(), blank)

    def loss_sizes(self, batch: FeatureBatch, lengths: Tensor) -> LossSizes:
        """The counts of a batch; `lengths` as in `loss`."""
        tokens, rows = float(lengths.sum()), len(lengths)
        targets = tokens + rows if self.config.end_in_loss else tokens
        # An empty text counts as one token of CTC, which writes nothing but blanks there.
        frames = encoder_frames(batch.lengths, self.config).sum()
        return LossSizes(targets, tokens + rows, float(lengths.clamp(min=1).sum()), float(frames))

    def _cross_entropy(self, logits: Tensor, targets: Tensor, lengths: Tensor, label_smoothing: float) -> Tensor:
        """Summed over the targets, a scalar; `targets` `(B, L + 1)` end in 0."""
        position = torch.arange(targets.shape[1], device=targets.device)[None]
        ignored = position > lengths[:, None]
        if not self.config.end_in_loss:
            ignored, logits, targets = position >= lengths[:, None], logits[..., 1:], targets - 1
        targets = targets.masked_fill(ignored, -100)
        return cross_entropy(logits.transpose(1, 2), targets, label_smoothing=label_smoothing, reduction="sum")


def ctc_losses(log_probabilities: Tensor, tokens: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    """The CTC loss of each text in nats, `(B,)`, 0 where no path spells it, on the device of `log_probabilities`.

    Apple's GPU, which has no float64, has no such loss either: the CPU computes it for it.

    Args:
        log_probabilities: `(B, F, V)`, natural logarithm, 0 the blank.
        tokens: `(B, L)` ids; frames, lengths: of each recording and of each text, `(B,)`.
    """
    device, able = log_probabilities.device, precise_device(log_probabilities.device)
    frame_first = log_probabilities.transpose(0, 1).to(able)
    tokens, frames, lengths = (x.to(able) for x in (tokens, frames, lengths))
    return ctc_loss(frame_first, tokens, frames, lengths, reduction="none", zero_infinity=True).to(device)


def _initialise(module: nn.Module) -> None:
    """Truncated normal of fan-in width for the linear maps; biases at zero. Convolutions stay as torch draws them, for
    biases at zero there make silence nothing at all, and learning slow."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
