"""Extracts features from samples: zero-floored log-mel spectrogram, pitch, voicing and null frames.

Shapes: `S` samples at 16 kHz, `T` frames of 10 ms, `M` mel bins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, Self, get_args

import numpy as np
import torch

from echo_asr.audio.convert import HOP, samples_to_frames
from echo_asr.audio.level import SILENCE_PEAK, over_peak, peak_level, without_offset
from echo_asr.audio.mains_hum import remove_hum
from echo_asr.features.batch import Features
from echo_asr.features.log_mel import TINY, WINDOW, mean_square, mel_filters, power_spectra, zero_floored
from echo_asr.features.pitch import REFERENCE_F0, EchoTracker, TrackerName, fill_track, make_tracker
from echo_asr.features.states import StatesExtractor
from echo_asr.features.voice import UNKNOWN, Moments, Standard, Voice
from echo_asr.pretrained.source import find
from echo_asr.pretrained.weights import DType

CODE_VERSION = 4  # raised when the same settings give other values than before, so that cached features lapse
PART_RANGE = 30.0  # dB; the peak of a segment counts as at most that far below the level around it
CREST = 20.0  # dB above the level around a segment, at which its samples are clipped: beyond are bumps
StatesReference = Literal["auto", "corpus", "speaker"]  # auto: speaker where states are cached
KnownPitch = Callable[[int], tuple[np.ndarray, np.ndarray]]
# Settings that are not in the key of acoustic features.
OF_STATES = ("states", "encoder_dtype", "encoder_layers", "states_in", "states_reference")
PEAK_RANGE = 60.0  # dB; the peak of a spectrogram counts as at most that far below the peak of the samples


@dataclass(frozen=True)
class FeatureConfig:
    """Settings of the features.

    Raises:
        ValueError: a value out of its range; the message names the field.
    """

    mels: int = 80  # mel bins, 0 to 8000 Hz
    null_relative_db: float = 50.0  # dB under the recording's loudest frame, below which a frame is null
    tracker: TrackerName = "echo"  # measures F0 and periodicity
    waveform: bool = False  # keep the samples, for a model with the feature `waveform`
    states: str = ""  # a pretrained encoder, for a model with the feature `states`: hub name or folder
    encoder_dtype: DType = "float16"  # its weights are rounded to, and kept in
    encoder_layers: tuple[int, ...] = ()  # of it that are read, 0 its input; empty: the middle one and the last
    states_in: Literal["cache", "model"] = "cache"  # where they are computed: once, or at each update
    states_reference: StatesReference = "corpus"  # by whose states they are standardised

    def __post_init__(self) -> None:
        if isinstance(self.mels, bool) or not isinstance(self.mels, int) or not 8 <= self.mels <= 128:
            raise ValueError(f"mels: expected a whole number from 8 to 128, got {self.mels!r}")
        if not 10.0 <= self.null_relative_db <= 120.0:
            raise ValueError(f"null_relative_db: expected a level from 10 to 120 dB, got {self.null_relative_db!r}")
        if any(isinstance(n, bool) or n < 0 for n in self.encoder_layers):
            raise ValueError(f"encoder_layers: expected numbers of layers from 0, got {self.encoder_layers!r}")
        if len(set(self.encoder_layers)) < len(self.encoder_layers):
            raise ValueError(f"encoder_layers: expected each layer once, got {self.encoder_layers!r}")
        if self.encoder_dtype not in (known := get_args(DType)):
            raise ValueError(f"encoder_dtype: expected one of {', '.join(known)}; got {self.encoder_dtype!r}")
        if self.states_reference not in (known := get_args(StatesReference)):
            raise ValueError(f"states_reference: expected one of {', '.join(known)}; got {self.states_reference!r}")
        if self.tracker not in get_args(TrackerName):
            raise ValueError(f"tracker: expected one of {', '.join(get_args(TrackerName))}; got {self.tracker!r}")


class FeatureTransform(Protocol):
    """What is done to measured features before a model gets them, in training and afterwards."""

    def fit(self, recordings: Iterable[Features]) -> None:
        """Take what it needs from the measured features of all training recordings."""

    def save(self, folder: Path) -> None:
        """Write what it took beside the model in a folder."""

    def __call__(self, features: Features) -> Features:
        """The features that the model gets."""


class FeatureExtractor:
    """Computes the `Features` of recordings. Deterministic and picklable.

    A recording whose peak is -60 dBFS or more is first scaled to a peak of 1, so that no feature depends on its gain.
    One with a lower peak is silence: zeros, null in every frame.

    With mel power `p` (window of 25 ms, hop of 10 ms), each spectrogram value is
    `clip(log10(p) - (peak - 8), 0) / 8`, `peak` being the recording's largest `log10(p)`. Energy is the same of the
    frame's mean square from 125 Hz up. A frame is null if its level lies more than `null_relative_db` under that of
    the loudest frame; a null frame is unvoiced.

    Args:
        states: what computes the states of a pretrained encoder, for settings that have some cached; by default that
            of `config.states`.
    """

    def __init__(
        self,
        config: FeatureConfig | None = None,
        transform: FeatureTransform | None = None,
        states: StatesExtractor | None = None,
    ) -> None:
        self.config, self.transform = config or FeatureConfig(), transform
        self.states: StatesExtractor | None = None
        if self.config.states and self.config.states_in == "cache":
            self.states = states or StatesExtractor(
                find(self.config.states, dtype=self.config.encoder_dtype), self.config.encoder_layers
            )
        self.tracker = make_tracker(self.config.tracker)
        self.window = torch.hann_window(WINDOW)
        self.filters = torch.from_numpy(mel_filters(self.config.mels))

    @property
    def key(self) -> str:
        """A hash of all that determines the result of `measure`: settings, tracker and its version, version of this
        code."""
        settings = {name: value for name, value in asdict(self.config).items() if name not in OF_STATES}
        shaping = {**settings, "tracker_version": self.tracker.version, "code": CODE_VERSION}
        return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()

    def __call__(self, audio: np.ndarray, loudest: float = -np.inf, voice: Voice = UNKNOWN) -> Features:
        """The features of `measure`, transformed: the input of the model."""
        return self.transformed(self.measure(audio, loudest), voice)

    def acoustic(self, audio: np.ndarray, loudest: float = -np.inf) -> Features:
        """The same without states: for pitch, voicing and silence alone."""
        return self.transformed(self.measure_acoustic(audio, loudest))

    def transformed(self, features: Features, voice: Voice = UNKNOWN) -> Features:
        """Apply the transform, if there is one, to measured features, and place states in frames of 10 ms.

        Args:
            voice: what is known of who speaks.
        """
        if self.states is not None and features.states is not None:
            standard = self.states.standard
            if self.speaker_states is not None:
                standard = voice.states or self._own_voice(features.states, features.null)
            features = replace(features, states=self.states.placed(features.states, features.frames, standard))
        if self.transform is not None:
            features = self.transform(features)
        return replace(features, speaker_f0=voice.f0) if voice.f0 else features

    @property
    def speaker_states(self) -> StatesExtractor | None:
        """What computes the states, where they are standardised by those of who speaks; else None."""
        return self.states if self.config.states_reference == "speaker" else None

    def _own_voice(self, states: torch.Tensor, null: torch.Tensor) -> Standard | None:
        """By what the states of a recording are standardised of whose speaker nothing else is known."""
        assert self.states is not None
        moments = Moments()
        self.states.add_speech(moments, states, null)
        return self.states.of_voice(moments)

    def measure(self, audio: np.ndarray, loudest: float = -np.inf) -> Features:
        """The features of `measure_acoustic`, and the states of the pretrained encoder, if there is one, at its own
        rate."""
        return self.measure_batch([audio], [loudest])[0]

    def measure_batch(self, recordings: Sequence[np.ndarray], loudest: Sequence[float] | None = None) -> list[Features]:
        """The same of several recordings, as `measure_acoustic_batch`; what is computed on a GPU is computed of all of
        them together, and then equal but for rounding."""
        levels = [-np.inf] * len(recordings) if loudest is None else loudest
        found = self.measure_acoustic_batch(recordings, levels)
        if self.states is None:
            return found
        samples = [self.encoder_samples(*one) for one in zip(recordings, levels, strict=True)]
        states = self.states.of_each(samples) if self.states.on_gpu else [self.states(one) for one in samples]
        return [replace(one, states=own) for one, own in zip(found, states, strict=True)]

    def measure_states(self, audio: np.ndarray, loudest: float = -np.inf) -> torch.Tensor:
        """States of `audio`, `(C, N)` in half precision; arguments as in `measure_acoustic`."""
        assert self.states is not None
        return self.states(self.encoder_samples(audio, loudest))

    def encoder_samples(self, audio: np.ndarray, loudest: float = -np.inf) -> torch.Tensor:
        """What a pretrained encoder gets of `audio`, `(160 T,)`: samples with a peak of 1, or less where the level
        around allows no more, and zeros at the end; zeros for silence. Arguments as in `measure_acoustic`."""
        audio, lowest = self._scaled(audio, loudest)
        frames = samples_to_frames(len(audio))
        return _waveform(audio, frames, lowest * 2**0.5) if lowest else torch.zeros(frames * HOP)

    def to(self, device: str | torch.device) -> Self:
        """Measure F0 on that device, if the tracker can; all else stays on the CPU."""
        if isinstance(self.tracker, EchoTracker):
            self.tracker.to(device)
        return self

    def measure_acoustic(
        self, audio: np.ndarray, loudest: float = -np.inf, known_pitch: KnownPitch | None = None
    ) -> Features:
        """Features of `audio` `(S,)` float32 at 16 kHz: `T = ceil(S / 160)` frames.

        Args:
            loudest: dBFS (0 is an RMS of 1), the level of speech around `audio`, a segment of a recording, in that
                recording. The segment is scaled by its own peak, which counts as at most 30 dB below this level, so
                that noise between sentences is not amplified to theirs, and at most 20 dB above it, so that a bump does
                not mask the speech beside it. Minus infinity for a whole recording, which is silence if its peak is
                below -60 dBFS.
            known_pitch: gives F0 and periodicity for a number of frames, where they are known already; else the tracker
                measures them.

        Raises:
            ValueError: if `audio` is not one-dimensional, is empty or holds NaN or infinite samples.
        """
        if known_pitch is None:
            return self.measure_acoustic_batch([audio], [loudest])[0]
        audio, lowest = self._scaled(audio, loudest)
        frames = samples_to_frames(len(audio))
        return self._features(audio, lowest, frames, *known_pitch(frames)) if lowest else self._silence(frames)

    def measure_acoustic_batch(
        self, recordings: Sequence[np.ndarray], loudest: Sequence[float] | None = None
    ) -> list[Features]:
        """The same of several recordings, whose F0 is measured together.

        Args:
            loudest: of each recording; None for minus infinity.
        """
        levels = [-np.inf] * len(recordings) if loudest is None else loudest
        scaled = [self._scaled(audio, level) for audio, level in zip(recordings, levels, strict=True)]
        frames = [samples_to_frames(len(audio)) for audio, _ in scaled]
        audible = [number for number, (_, lowest) in enumerate(scaled) if lowest > 0.0]
        tracks = self.tracker.batch([remove_hum(scaled[n][0]) for n in audible], [frames[n] for n in audible])
        found = dict(zip(audible, tracks, strict=True))
        return [
            self._features(*one, count, *found[number]) if number in found else self._silence(count)
            for number, (one, count) in enumerate(zip(scaled, frames, strict=True))
        ]

    def _features(
        self, audio: np.ndarray, lowest: float, frames: int, hertz: np.ndarray, periodic: np.ndarray
    ) -> Features:
        """Features of samples with a peak of 1, whose F0 and periodicity `(T,)` are measured."""
        lowest_peak = 20 * float(np.log10(lowest))  # dB of full scale
        mel, power = self._powers(audio, frames)
        amplitude = lowest * 2**0.5  # of a sine of that RMS
        # The power of the sine in a mel bin at whose centre it lies, in the lower part of the scale, where all filters
        # are equally high.
        sine_peak = (amplitude * float(self.window.sum()) / 2) ** 2 * float(self.filters.max())
        spectrogram = zero_floored(mel, sine_peak)
        energy = zero_floored(power, 10 ** (lowest_peak / 10))
        level = 10 * power.clamp(min=TINY).log10()  # dB of full scale
        null = level < max(float(level.max()), lowest_peak) - self.config.null_relative_db

        f0 = torch.from_numpy(hertz).masked_fill(null, 0.0)
        periodicity = torch.from_numpy(periodic).masked_fill(null, 0.0)
        track = torch.from_numpy(fill_track(f0.numpy()))
        pitch = torch.stack([f0, energy, periodicity])
        waveform = _waveform(audio, frames, amplitude) if self.config.waveform else None
        return Features(spectrogram, pitch, track, (f0 > 0).float(), null, waveform)

    def _scaled(self, audio: np.ndarray, loudest: float) -> tuple[np.ndarray, float]:
        """Samples with a peak of 1, and the level (of full scale, an RMS) that their peak counts as at least, 0 for
        silence."""
        audio = np.ascontiguousarray(audio, dtype=np.float32)
        if audio.ndim != 1 or audio.size == 0 or not np.isfinite(audio).all():
            raise ValueError(f"audio: expected finite samples (S,), S >= 1; got {audio.shape}; load_audio")
        audio = without_offset(audio)
        if loudest > -np.inf:
            limit = 10 ** ((loudest + CREST) / 20)
            audio = np.clip(audio, -limit, limit)
        own_peak = peak_level(audio)
        if own_peak == 0.0 or (own_peak < SILENCE_PEAK and loudest == -np.inf):
            return audio, 0.0
        around = loudest - 20 * np.log10(own_peak)  # dB of full scale, once the peak is 1
        return over_peak(audio), 10 ** (max(around - PART_RANGE, -PEAK_RANGE) / 20)

    def _silence(self, frames: int) -> Features:
        """Features of silence: zeros, and a track of 220 Hz."""
        return Features(
            spectrogram=torch.zeros(self.config.mels, frames),
            pitch=torch.zeros(3, frames),
            track=torch.full((frames,), REFERENCE_F0),
            voicing=torch.zeros(frames),
            null=torch.ones(frames, dtype=torch.bool),
            waveform=torch.zeros(frames * HOP) if self.config.waveform else None,
        )

    def _powers(self, audio: np.ndarray, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Mel power `(M, T)` and mean square `(T,)` from 125 Hz up, both float32."""
        mel, power = [], []
        for squared in power_spectra(audio, frames, self.window):
            mel.append(self.filters @ squared)
            power.append(mean_square(squared, self.window))
        return torch.cat(mel, dim=1), torch.cat(power)


def _waveform(audio: np.ndarray, frames: int, lowest_peak: float) -> torch.Tensor:
    """Samples `(160 T,)` over their peak, or over `lowest_peak` if that is higher."""
    waveform = torch.zeros(frames * HOP)
    waveform[: len(audio)] = torch.from_numpy(audio)
    return waveform / max(float(waveform.abs().max()), lowest_peak)
