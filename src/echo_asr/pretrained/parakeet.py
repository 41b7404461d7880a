"""Parakeet's encoder.

Shapes: `B` batch, `S` samples at 16 kHz, `M` mel bins, `F` mel frames of 10 ms, `N` states of 80 ms, `C` values in a
state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from echo_asr.pretrained.encoder import SpeechEncoder, beyond
from echo_asr.pretrained.moments import own_moments

FEWEST = 2  # mel frames of a recording, the least that have a variance
QUIETEST = 2.0**-24  # power, added under the logarithm
EPSILON = 1e-5  # added to the standard deviation of a mel bin
TINY = 1e-20  # variance, the least of which a root is taken: at 0 it has no gradient


class ParakeetEncoder(SpeechEncoder):
    """The encoder of Parakeet: log-mel, three convolutions of step 2, and a conformer (Rekesh et al. 2023).

    State `n` is centred at sample `1280 n`: mel frames are centred at multiples of 160, and each convolution at every
    other frame. Recordings of less than 20 ms are followed by zeros.

    Batch norms keep the statistics that they were trained with, in training, too: those of a small batch, and of its
    padding, would be others.
    """

    def __init__(self, network: nn.Module, preprocessor: Mapping[str, Any]) -> None:
        from transformers.audio_utils import mel_filter_bank

        config: Any = network.config
        self.fft, self.window_size = int(preprocessor.get("n_fft", 512)), int(preprocessor.get("win_length", 400))
        self.step = int(preprocessor.get("hop_length", 160))  # samples between mel frames
        hop = self.step * config.subsampling_factor
        super().__init__(network, config.hidden_size, config.num_hidden_layers, hop=hop, first=0.0)
        self.halvings = config.subsampling_factor.bit_length() - 1
        self.preemphasis = float(preprocessor.get("preemphasis", 0.97) or 0.0)
        edges: dict[str, Any] = {"min_frequency": 0.0, "max_frequency": 8000.0, "sampling_rate": 16_000}
        filters = mel_filter_bank(1 + self.fft // 2, config.num_mel_bins, norm="slaney", mel_scale="slaney", **edges)
        # Not buffers, so that they stay float32 in a network of half precision.
        self.filters = torch.from_numpy(filters).float()
        self.window = torch.hann_window(self.window_size, periodic=False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    def count(self, samples: Tensor) -> Tensor:
        """One state for each 80 ms of whole mel frames, and one for what is left of them."""
        states = self._frames(samples)
        for _ in range(self.halvings):
            states = torch.div(states + 1, 2, rounding_mode="floor")
        return states

    def log_mel(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """The log-mel of samples `(B, S)`: `(B, F, M)` float32, zero beyond each recording.

        Each bin has mean 0 and variance 1 over a recording.
        """
        counts = self._frames(lengths)
        size = int(counts.max())
        needed = self.step * size
        samples = pad(samples.float(), (0, max(0, needed - samples.shape[1])))
        samples = torch.cat((samples[:, :1], samples[:, 1:] - self.preemphasis * samples[:, :-1]), dim=1)
        samples = samples.masked_fill(beyond(lengths, samples.shape[1]), 0.0)
        with torch.autocast(samples.device.type, enabled=False):
            window, filters = self.window.to(samples.device), self.filters.to(samples.device)
            size_and_step = (self.fft, self.step, self.window_size, window)
            spectrum = torch.stft(samples, *size_and_step, pad_mode="constant", return_complex=True)
            power = (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)[:, :size] @ filters
            mel = (power + QUIETEST).log()
        mean, variance = own_moments(mel, counts, correction=1)
        normed = (mel - mean) / (variance.clamp(min=TINY).sqrt() + EPSILON)
        return normed.masked_fill(beyond(counts, size)[..., None], 0.0)

    def states(self, samples: Tensor, lengths: Tensor, layers: Sequence[int]) -> tuple[Tensor, ...]:
        mel, frames, counts = self.log_mel(samples, lengths), self._frames(lengths), self.count(lengths)
        network: Any = self.network
        padded = bool((frames < mel.shape[1]).any())
        inside = ~beyond(frames, mel.shape[1]) if padded else None
        x = network.subsampling(mel.to(network.dtype), inside) * network.input_scale
        positions = network.encode_positions(x)
        mask = None
        if padded:
            own = ~beyond(counts, x.shape[1])
            mask = (own[:, None, :] & own[:, :, None])[:, None]
        return self.run_layers(network.layers, x, mask, layers, position_embeddings=positions)

    def _frames(self, samples: Tensor) -> Tensor:
        """Mel frames of so many samples."""
        return torch.div(samples, self.step, rounding_mode="floor").clamp(min=FEWEST)
