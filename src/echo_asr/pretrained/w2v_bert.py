"""The encoder of w2v-BERT 2.0.

Shapes: `B` batch, `S` samples at 16 kHz, `M` mel bins, `F` mel frames of 10 ms, `N` states of 20 ms, `C` values in a
state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from echo_asr.pretrained.encoder import SpeechEncoder, beyond, key_mask
from echo_asr.pretrained.moments import own_moments

WINDOW, HOP, FFT = 400, 160, 512  # samples of a window, between mel frames, and of the Fourier transform
STRIDE = 2  # mel frames in a state
FEWEST = WINDOW + HOP * (STRIDE - 1)  # samples that one state is made of
SCALE = 2.0**15  # from samples of -1 to 1 to 16-bit integers, as in Kaldi
PREEMPHASIS = 0.97
QUIETEST = 2.0**-23  # power, the least under the logarithm
EPSILON = 1e-7  # added to the variance of a mel bin


class Wav2Vec2BertEncoder(SpeechEncoder):
    """The encoder of w2v-BERT 2.0 (Seamless Communication 2023): log-mel as Kaldi has it, and a conformer.

    Two mel frames are the input of one state. They are made of 560 samples, so state `n` is centred at sample
    `279.5 + 320 n`. Recordings that are shorter are followed by zeros.
    """

    def __init__(self, network: nn.Module, preprocessor: Mapping[str, Any]) -> None:
        from transformers.audio_utils import mel_filter_bank, window_function

        config: Any = network.config
        super().__init__(
            network, config.hidden_size, config.num_hidden_layers, hop=HOP * STRIDE, first=(FEWEST - 1) / 2
        )
        edges: dict[str, Any] = {"min_frequency": 20.0, "max_frequency": 8000.0, "sampling_rate": 16_000}
        mels = config.feature_projection_input_dim // STRIDE
        filters = mel_filter_bank(1 + FFT // 2, mels, mel_scale="kaldi", triangularize_in_mel_space=True, **edges)
        # Not buffers, so that they stay float32 in a network of half precision.
        self.filters = torch.from_numpy(filters).float()
        self.window = torch.from_numpy(window_function(WINDOW, "povey", periodic=False)).float()

    def count(self, samples: Tensor) -> Tensor:
        """One state for the first 560 samples, and one for each 320 beyond them."""
        return torch.div(_frames(samples), STRIDE, rounding_mode="floor")

    def log_mel(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """The log-mel of samples `(B, S)`: `(B, 2 N, M)` float32, zero beyond each recording.

        Each bin has mean 0 and variance 1 over a recording. An odd frame at the end counts for these alone.
        """
        counts = _frames(lengths)
        size = int(counts.max())
        needed = WINDOW + HOP * (size - 1)
        samples = pad(samples.float(), (0, max(0, needed - samples.shape[1])))[:, :needed]
        with torch.autocast(samples.device.type, enabled=False):
            frames = samples.unfold(1, WINDOW, HOP) * SCALE
            frames = frames - frames.mean(-1, keepdim=True)
            before = torch.cat((frames[..., :1], frames[..., :-1]), dim=-1)
            spectrum = torch.fft.rfft((frames - PREEMPHASIS * before) * self.window.to(samples.device), FFT)
            power = (spectrum.real.square() + spectrum.imag.square()) @ self.filters.to(samples.device)
            mel = power.clamp(min=QUIETEST).log()
        mean, variance = own_moments(mel, counts, correction=1)
        normed = (mel - mean) / (variance + EPSILON).sqrt()
        whole = torch.div(counts, STRIDE, rounding_mode="floor") * STRIDE
        return normed.masked_fill(beyond(whole, size)[..., None], 0.0)[:, : size // STRIDE * STRIDE]

    def states(self, samples: Tensor, lengths: Tensor, layers: Sequence[int]) -> tuple[Tensor, ...]:
        mel, counts = self.log_mel(samples, lengths), self.count(lengths)
        network: Any = self.network
        x, _ = network.feature_projection(mel.to(network.dtype).unflatten(1, (-1, STRIDE)).flatten(2))
        positions = network.encoder.embed_positions
        where = {"relative_position_embeddings": None if positions is None else positions(x)}
        mask = key_mask(counts, x.shape[1], x.dtype)  # convolutions look back alone, and need none
        return self.run_layers(network.encoder.layers, x, mask, layers, **where)


def _frames(samples: Tensor) -> Tensor:
    """Mel frames of so many samples."""
    return torch.div(samples.clamp(min=FEWEST) - WINDOW, HOP, rounding_mode="floor") + 1
