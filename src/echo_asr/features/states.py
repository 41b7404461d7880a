"""States of a pretrained encoder as a feature, in frames of 10 ms.

Shapes: `S` samples at 16 kHz, `N` states at the encoder's own rate, `T` frames of 10 ms, `C` values in a state, of all
layers that are read together.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import layer_norm
from torch.nn.utils.rnn import pad_sequence

from echo_asr.audio.convert import HOP, SAMPLE_RATE
from echo_asr.errors import EchoError
from echo_asr.features.voice import Moments, Standard
from echo_asr.pretrained import SpeechEncoder, build
from echo_asr.pretrained.source import Source

VERSION = 2  # raised when the same encoder gives other states than before, so that cached ones lapse
KNOWN_AFTER = 5.0  # seconds of speech from which as much is known of a voice as of all voices together
TOGETHER = {"cpu": 10 * SAMPLE_RATE}  # samples encoded at a time, padding included; more is slower on a CPU
TOGETHER_ON_GPU = 300 * SAMPLE_RATE


def default_layers(count: int) -> tuple[int, ...]:
    """The layers that are read unless others are named: the middle one, where tones are known to be, and the last."""
    return (max(1, count // 2), count)


def all_layers(count: int) -> tuple[int, ...]:
    """Of so many layers every one, and what goes into the first."""
    return tuple(range(count + 1))


def normalised_states(encoder: SpeechEncoder, samples: Tensor, lengths: Tensor, layers: Sequence[int]) -> Tensor:
    """The states of some layers one after another, `(B, N, C)`, each state of each layer with mean 0 and variance 1.

    In the upper layers of Whisper some states are twenty times as large as the others, and would alone determine by
    what dimensions are standardised.

    Args:
        samples, lengths, layers: as in `SpeechEncoder.states`.
    """
    found = encoder.states(samples, lengths, layers)
    return torch.cat([layer_norm(states.float(), states.shape[-1:]) for states in found], dim=-1)


def on_clock(states: Tensor, frames: int, first: float, hop: int, counts: Tensor | None = None) -> Tensor:
    """States `(..., C, N)` at frames of 10 ms: `(..., C, T)`, linear between the two that are centred around each.

    Args:
        frames: T; frame `t` is centred at sample `160 t`.
        first, hop: the samples on which the first state is centred, and between two.
        counts: states of each recording of a batch `(B, C, N)`, `(B,)`; by default all N.
    """
    place = ((torch.arange(frames, device=states.device) * HOP - first) / hop).clamp(min=0.0)
    if counts is None:
        last = states.shape[-1] - 1
        place = place.clamp(max=last)
        before = place.long()
        found, following = states[..., before], states[..., (before + 1).clamp(max=last)]
    else:
        ends = (counts - 1)[:, None, None]
        place = torch.minimum(place[None, None], ends)  # (B, 1, T)
        before, wide = place.long(), (-1, states.shape[1], -1)
        found = states.gather(2, before.expand(wide))
        following = states.gather(2, torch.minimum(before + 1, ends).expand(wide))
    return torch.lerp(found, following, (place - before).to(states.dtype))


class StatesExtractor:
    """Computes the states of recordings by a pretrained encoder, which is built at the first call in each process.

    Args:
        source: the weights.
        layers: those that are read, in order; empty for those of `choose`.
        standard: by which states are standardised: fitted to a corpus, or the model's own.
        device: that encodes; in other processes the CPU.
        choose: the layers that are read of so many.
    """

    def __init__(
        self,
        source: Source,
        layers: Sequence[int] = (),
        standard: Standard | None = None,
        device: str | torch.device = "cpu",
        choose: Callable[[int], tuple[int, ...]] = default_layers,
    ) -> None:
        self.source, self.standard, self.device, self.choose = source, standard, torch.device(device), choose
        self._built: tuple[int, SpeechEncoder] | None = None
        self._layers = tuple(layers)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_built": None, "device": torch.device("cpu")}

    @property
    def encoder(self) -> SpeechEncoder:
        """The encoder itself.

        Raises:
            EchoError: it cannot be built, or has not all the layers.
        """
        if self._built is None or self._built[0] != os.getpid():
            with torch.random.fork_rng(devices=[]):  # weights are drawn before they are loaded
                encoder = build(self.source.folder, self.source.dtype)
            if wrong := [number for number in self._layers if not 0 <= number <= encoder.layers]:
                what = f"{self.source.name} has layers 0 to {encoder.layers}, not {wrong[0]}"
                raise EchoError(f"features.encoder_layers: {what}; choose others")
            self._layers = self._layers or self.choose(encoder.layers)
            self._built = (os.getpid(), encoder.to(self.device))
        return self._built[1]

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are read."""
        if not self._layers:
            _ = self.encoder
        return self._layers

    @property
    def channels(self) -> int:
        """C."""
        return self.encoder.width * len(self.layers)

    @property
    def key(self) -> str:
        """A hash of all that determines the states."""
        made = {"encoder": self.source.digest, "dtype": self.source.dtype, "layers": self.layers, "version": VERSION}
        return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()

    def __call__(self, samples: Tensor) -> Tensor:
        """The states of samples `(S,)` float32 at the encoder's own rate, `(C, N)` in half precision."""
        return self.of_each([samples])[0]

    def of_each(self, recordings: Sequence[Tensor]) -> list[Tensor]:
        """The states of each of several recordings, in their order; those of similar length are encoded together, where
        the encoder allows it. What is found in one does not depend on the others, but for rounding."""
        encoder = self.encoder  # built outside of inference mode, for it may be trained later
        found = [torch.empty(0)] * len(recordings)
        for group in self._groups([len(samples) for samples in recordings]):
            lengths = torch.tensor([len(recordings[i]) for i in group])
            with torch.inference_mode():
                padded = pad_sequence([recordings[i] for i in group], batch_first=True).to(self.device)
                states = normalised_states(encoder, padded, lengths.to(self.device), self.layers).half().cpu()
                for row, (index, count) in enumerate(zip(group, encoder.count(lengths).tolist(), strict=True)):
                    found[index] = states[row, :count].T.contiguous()
        return found

    def _groups(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Indices of recordings that are encoded together, from the shortest to the longest."""
        most = TOGETHER.get(self.device.type, TOGETHER_ON_GPU) if self.encoder.batched else 0
        group: list[int] = []
        for index in sorted(range(len(lengths)), key=lengths.__getitem__):
            if group and (len(group) + 1) * lengths[index] > most:
                yield group
                group = []
            group.append(index)
        if group:
            yield group

    @property
    def on_gpu(self) -> bool:
        """Whether it encodes elsewhere than on the CPU."""
        return self.device.type != "cpu"

    @property
    def weights(self) -> int:
        """Bytes of the encoder's weights."""
        return sum(weight.numel() * weight.element_size() for weight in self.encoder.parameters())

    @property
    def bytes_per_second(self) -> float:
        """Bytes that the states of a second of audio take on disk."""
        return 2.0 * self.channels * SAMPLE_RATE / self.encoder.hop

    def add_speech(self, moments: Moments, states: Tensor, null: Tensor) -> None:
        """Add those of the states `(C, N)` of a recording whose frames are not silence, by `null` `(T,)`."""
        places = (self.encoder.first + torch.arange(states.shape[1]) * self.encoder.hop) / HOP
        moments.add(states[:, ~null[places.round().long().clamp(max=len(null) - 1)]])

    def of_voice(self, moments: Moments) -> Standard | None:
        """By what the states of a voice are standardised, of whose states some were gathered: those of the corpus count
        as five more seconds of it."""
        if self.standard is None:
            return None
        return moments.standard(self.standard, KNOWN_AFTER * SAMPLE_RATE / self.encoder.hop)

    def placed(self, states: Tensor, frames: int, standard: Standard | None) -> Tensor:
        """States `(C, N)` as a model takes them: standardised, at frames of 10 ms, `(C, T)` in half precision."""
        standardised = states.float() if standard is None else standard(states)
        return on_clock(standardised, frames, self.encoder.first, self.encoder.hop).half()
