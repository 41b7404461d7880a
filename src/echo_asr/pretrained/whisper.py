"""Whisper's encoder, for recordings of any length.

Shapes: `B` batch, `S` samples at 16 kHz, `M` mel bins, `N` states of 20 ms, `C` values in a state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from echo_asr.pretrained.encoder import SpeechEncoder, beyond, key_mask

FFT, HOP, STRIDE = 400, 160, 2  # samples of a window, samples between mel frames, mel frames in a state
QUIETEST = 1e-10  # power, the least under the logarithm
RANGE = 8.0  # decades of power below the loudest bin of a recording


class WhisperEncoder(SpeechEncoder):
    """The encoder of Whisper (Radford et al. 2022), at the cost of a recording's own length.

    Whisper pads each recording to 30 seconds, and transformers refuses others. This forward runs over the same
    modules with the first `N` positions alone; for 30 seconds it is the same to the bit. A recording of more than
    30 seconds is encoded in parts of that length.

    State `n` is centred at sample `320 n`: mel frames are centred at multiples of 160, and the second convolution
    takes every other one.
    """

    def __init__(self, network: nn.Module, preprocessor: Mapping[str, Any]) -> None:
        from transformers.audio_utils import mel_filter_bank

        config: Any = network.config
        super().__init__(network, config.d_model, config.encoder_layers, hop=HOP * STRIDE, first=0.0)
        self.most = config.max_source_positions  # states
        edges: dict[str, Any] = {"min_frequency": 0.0, "max_frequency": 8000.0, "sampling_rate": 16_000}
        filters = mel_filter_bank(1 + FFT // 2, config.num_mel_bins, norm="slaney", mel_scale="slaney", **edges)
        # Not buffers, so that they stay float32 in a network of half precision.
        self.filters = torch.from_numpy(filters).float().T.contiguous()
        self.window = torch.hann_window(FFT)

    def count(self, samples: Tensor) -> Tensor:
        """One state for each 20 ms that have begun."""
        return torch.div(samples + self.hop - 1, self.hop, rounding_mode="floor").clamp(min=1)

    def log_mel(self, samples: Tensor, counts: Tensor) -> Tensor:
        """Whisper's log-mel of samples `(B, S)`: `(B, M, 2 N)`; zero beyond each recording, as its convolutions pad.

        Beyond the samples are zeros; before them is what Whisper puts there, their mirror image.
        """
        frames = int(counts.max()) * STRIDE
        needed = frames * HOP + FFT // 2
        samples = pad(samples.float(), (0, max(0, needed - samples.shape[1])))[:, :needed]
        samples = torch.cat((samples[:, 1 : FFT // 2 + 1].flip(1), samples), dim=1)
        window, filters = self.window.to(samples.device), self.filters.to(samples.device)
        with torch.autocast(samples.device.type, enabled=False):
            spectrum = torch.stft(samples, FFT, HOP, window=window, center=False, return_complex=True)
            power = filters @ spectrum[..., :frames].abs().square()
        decades = power.clamp(min=QUIETEST).log10()
        decades = torch.maximum(decades, decades.amax(dim=(1, 2), keepdim=True) - RANGE)
        return ((decades + 4.0) / 4.0).masked_fill(beyond(counts * STRIDE, frames)[:, None], 0.0)

    def states(self, samples: Tensor, lengths: Tensor, layers: Sequence[int]) -> tuple[Tensor, ...]:
        mel = self.log_mel(samples, counts := self.count(lengths))
        if (longest := int(counts.max())) <= self.most:
            return self._encode(mel, counts, layers)
        parts = []
        for start in range(0, longest, self.most):
            end = start + self.most
            with self.part(start, end):
                own = (counts - start).clamp(min=1, max=self.most)
                parts.append(self._encode(mel[..., start * STRIDE : end * STRIDE], own, layers))
        return tuple(torch.cat(part, dim=1) for part in zip(*parts, strict=True))

    def _encode(self, mel: Tensor, counts: Tensor, layers: Sequence[int]) -> tuple[Tensor, ...]:
        """States of log-mel `(B, M, 2 N)` of at most 30 seconds."""
        network: Any = self.network
        x = gelu(network.conv1(mel.to(network.dtype)))
        x = gelu(network.conv2(x)).permute(0, 2, 1)
        size = x.shape[1]
        x = x + network.embed_positions(torch.arange(size, device=x.device))
        return self.run_layers(network.layers, x, key_mask(counts, size, x.dtype), layers, network.layer_norm)
