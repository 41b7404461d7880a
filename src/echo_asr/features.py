"""From sound to what the model hears: zero-floored log-mel, pitch, voicing and nulls on one 10 ms clock.

Shapes: `B` batch, `S` samples at 16 kHz, `T` frames of 10 ms, `M` mel bins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
import torch
from torch.nn.functional import pad

from echo_asr.audio import SAMPLE_RATE
from echo_asr.controls import F0Control, control_f0
from echo_asr.hum import remove_hum
from echo_asr.level import SILENCE_PEAK, over_peak, peak_level, without_offset
from echo_asr.pitch import HOP, REFERENCE_F0, TrackerName, fill_track, make_tracker

CODE_VERSION = 4  # raise it when the same settings come to give other values: cached features then lapse
WINDOW = 400  # samples, 25 ms, Hann
FFT = 512  # samples, the window centred in zeros
RANGE = 8.0  # decades of power, 80 dB, between the recording's peak (1) and silence (0)
ENERGY_FROM = 125.0  # Hz; frame power leaves out what lies below, so that DC or hum does not hide silence
TINY = 1e-30  # power, stands for zero under a logarithm
PART_RANGE = 30.0  # dB; a part of a recording is never taken to peak further than that under what is around it
CREST = 20.0  # dB; samples further over the level of the speech around them are those of a bump, and are clipped
PEAK_RANGE = 60.0  # dB; a spectrogram's peak is never taken to lie further than that under that of the samples
CHUNK = 16_384  # frames transformed at a time, 164 s: 70 MB
UNMASKED: Any = None  # stands for the energy of a pitch feature that no mask has touched


@dataclass(frozen=True)
class FeatureConfig:
    """What shapes the features."""

    mels: int = 80  # mel bins, 0 to 8000 Hz
    null_relative_db: float = 50.0  # dB under the recording's loudest frame, below which a frame is null
    tracker: TrackerName = "swiftf0"  # what measures F0
    waveform: bool = False  # keep the samples too, for a model that listens to them
    f0: F0Control = "as_heard"  # what is left of the pitch: a control for studies

    def __post_init__(self) -> None:
        if isinstance(self.mels, bool) or not isinstance(self.mels, int) or not 8 <= self.mels <= 128:
            raise ValueError(f"mels: expected a whole number from 8 to 128, got {self.mels!r}")
        if not 10.0 <= self.null_relative_db <= 120.0:
            raise ValueError(f"null_relative_db: expected a level from 10 to 120 dB, got {self.null_relative_db!r}")
        if self.tracker not in get_args(TrackerName):
            names = ", ".join(get_args(TrackerName))
            raise ValueError(f"tracker: expected one of {names}; got {self.tracker!r}")
        if self.f0 not in get_args(F0Control):
            raise ValueError(f"f0: expected one of {', '.join(get_args(F0Control))}; got {self.f0!r}")


@dataclass(frozen=True)
class Features:
    """One recording's features, all on the 10 ms clock, frame `t` centred at sample `160 t`."""

    spectrogram: torch.Tensor  # (M, T) float32, zero-floored log-mel: 1 at the peak, 0 from 80 dB below
    pitch: torch.Tensor  # (3, T) float32: F0 in Hz (0 where unvoiced), energy 0..1, periodicity 0..1
    track: torch.Tensor  # (T,) float32, F0 in Hz with its gaps filled
    voicing: torch.Tensor  # (T,) float32, 1 where F0 was measured, 0 where the track was filled in
    null: torch.Tensor  # (T,) bool, true where there is nothing to hear
    waveform: torch.Tensor | None = None  # (160 T,) float32, 1 at the recording's peak; None unless asked for
    speaker_f0: float = 0.0  # Hz, the median F0 of who speaks, where whoever asks for the features knows it; else 0
    energy: torch.Tensor = UNMASKED  # (T,) float32, the energy of `pitch` before any mask: it belongs to the track

    def __post_init__(self) -> None:
        if self.energy is UNMASKED:
            object.__setattr__(self, "energy", self.pitch[1])

    @property
    def frames(self) -> int:
        """`T`, in frames of 10 ms."""
        return self.spectrogram.shape[-1]


@dataclass(frozen=True)
class FeatureBatch:
    """Features of several recordings, padded at the end with exact zeros (the track with 220 Hz)."""

    spectrogram: torch.Tensor  # (B, M, T) float32
    pitch: torch.Tensor  # (B, 3, T) float32
    track: torch.Tensor  # (B, T) float32, Hz
    voicing: torch.Tensor  # (B, T) float32
    null: torch.Tensor  # (B, T) bool, true in padding too
    lengths: torch.Tensor  # (B,) int64, frames
    speaker_f0: torch.Tensor  # (B,) float32, Hz, 0 where not known
    waveform: torch.Tensor | None = None  # (B, 1, 160 T) float32
    energy: torch.Tensor = UNMASKED  # (B, T) float32, as in `Features`

    def __post_init__(self) -> None:
        if self.energy is UNMASKED:
            object.__setattr__(self, "energy", self.pitch[:, 1])

    @property
    def padding(self) -> torch.Tensor:
        """`(B, T)` bool, true beyond each recording's length."""
        return torch.arange(self.null.shape[1], device=self.lengths.device) >= self.lengths[:, None]

    def closed(self, frames: int) -> FeatureBatch:
        """The same batch, each recording with `frames` more frames of silence: zeros that are no padding. The track
        holds its last value."""
        before = self.null.shape[1]
        last = self.track.gather(1, (self.lengths - 1)[:, None])
        ended = torch.arange(before + frames, device=self.lengths.device) >= self.lengths[:, None]
        return FeatureBatch(
            spectrogram=pad(self.spectrogram, (0, frames)),
            pitch=pad(self.pitch, (0, frames)),
            track=torch.where(ended, last, pad(self.track, (0, frames))),
            voicing=pad(self.voicing, (0, frames)),
            null=pad(self.null, (0, frames), value=True),
            lengths=self.lengths + frames,
            speaker_f0=self.speaker_f0,
            waveform=None if self.waveform is None else pad(self.waveform, (0, frames * HOP)),
            energy=pad(self.energy, (0, frames)),
        )

    def to(self, device: torch.device | str) -> FeatureBatch:
        """The same batch on another device."""
        return FeatureBatch(**{name: t.to(device) for name, t in vars(self).items() if t is not None})


def collate_features(features: list[Features]) -> FeatureBatch:
    """Pad recordings to one length; what each holds does not depend on its neighbours.

    Raises:
        ValueError: for an empty list, for differing numbers of mel bins, or for waveforms that some lack.
    """
    if not features:
        raise ValueError("features: expected at least one recording, got an empty list")
    mels = sorted({one.spectrogram.shape[0] for one in features})
    if len(mels) > 1:
        raise ValueError(f"features: expected one number of mel bins, got {mels}; use one extractor")
    size, frames = len(features), max(one.frames for one in features)
    batch = FeatureBatch(
        spectrogram=torch.zeros(size, mels[0], frames),
        pitch=torch.zeros(size, 3, frames),
        track=torch.full((size, frames), REFERENCE_F0),
        voicing=torch.zeros(size, frames),
        null=torch.ones(size, frames, dtype=torch.bool),
        lengths=torch.tensor([one.frames for one in features]),
        speaker_f0=torch.tensor([one.speaker_f0 for one in features], dtype=torch.float32),
        energy=torch.zeros(size, frames),
    )
    for row, one in enumerate(features):
        for name in ("spectrogram", "pitch", "track", "voicing", "null", "energy"):
            getattr(batch, name)[row, ..., : one.frames] = getattr(one, name)
    waves = [one.waveform for one in features if one.waveform is not None]
    if not waves:
        return batch
    if len(waves) < size:
        raise ValueError(f"features: {size - len(waves)} of {size} hold no waveform; use one extractor")
    waveform = torch.zeros(size, 1, frames * HOP)
    for row, wave in enumerate(waves):
        waveform[row, 0, : len(wave)] = wave
    return replace(batch, waveform=waveform)


class FeatureExtractor:
    """Sound to `Features`, one recording at a time: deterministic, picklable, blind to any batch.

    A recording whose peak is -60 dBFS or more is first brought to one level, its peak at 1, so that nothing that is
    measured depends on its gain. One below is silence: zeros, null in every frame.

    With mel power `p` (window of 25 ms, hop of 10 ms), each spectrogram value is
    `clip(log10(p) - (peak - 8), 0) / 8`, `peak` being the recording's largest `log10(p)`. Energy is the same of the
    frame's mean square from 125 Hz up. A frame is null if its level lies more than `null_relative_db` under that of
    the loudest frame; a null frame is unvoiced.
    """

    def __init__(self, config: FeatureConfig | None = None) -> None:
        self.config = config or FeatureConfig()
        self.tracker = make_tracker(self.config.tracker)
        self.window = torch.hann_window(WINDOW)
        self.filters = torch.from_numpy(mel_filters(self.config.mels))
        self.donors: Sequence[torch.Tensor] = ()  # tracks of other recordings, as heard, for `f0: shuffled`

    @property
    def key(self) -> str:
        """A hash of all that shapes what `as_heard` gives: settings, tracker, its version, and that of this code."""
        shaping = {**asdict(self.config), "tracker_version": self.tracker.version, "code": CODE_VERSION}
        del shaping["f0"]  # done to what was heard, and not kept
        return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()

    def __call__(self, audio: np.ndarray, loudest: float = -np.inf) -> Features:
        """Features as the model is given them: those of `as_heard`, under the control of `f0`."""
        return self.control(self.as_heard(audio, loudest))

    def control(self, features: Features) -> Features:
        """Features as heard under the control of `f0`; the spectrogram and the waveform stay.

        Raises:
            EchoError: `f0` is `shuffled`, and there are no `donors`.
        """
        if self.config.f0 == "as_heard":
            return features
        found = control_f0(self.config.f0, features.pitch, features.track, features.voicing, self.donors)
        return replace(features, pitch=found[0], track=found[1], voicing=found[2])

    def as_heard(self, audio: np.ndarray, loudest: float = -np.inf) -> Features:
        """Features of `audio` `(S,)` float32 at 16 kHz: `T = ceil(S / 160)` frames.

        Args:
            loudest: dBFS (0 is an RMS of 1), the level of what is around `audio` in the recording that it is a part of.
                The part's own peak counts, as a recording's does, but is not taken to lie more than 30 dB below this,
                so that the noise between sentences is not blown up to their level, nor more than 20 dB over it, so
                that a bump does not hide the speech beside it. Minus infinity for a recording by itself, which is
                silence if its peak is below -60 dBFS.

        Raises:
            ValueError: if `audio` is not one-dimensional, is empty or holds NaN or infinite samples.
        """
        audio = np.ascontiguousarray(audio, dtype=np.float32)
        if audio.ndim != 1 or audio.size == 0 or not np.isfinite(audio).all():
            raise ValueError(f"audio: expected finite samples (S,), S >= 1; got {audio.shape}; load_audio")
        audio = without_offset(audio)
        frames = max(1, -(-len(audio) // HOP))
        if loudest > -np.inf:
            limit = 10 ** ((loudest + CREST) / 20)
            audio = np.clip(audio, -limit, limit)
        own_peak = peak_level(audio)
        if own_peak == 0.0 or (own_peak < SILENCE_PEAK and loudest == -np.inf):
            return self._silence(frames)
        audio = over_peak(audio)
        around = loudest - 20 * np.log10(own_peak)  # dB of full scale, now that the peak is 1
        lowest_peak = max(around - PART_RANGE, -PEAK_RANGE)  # dB of full scale
        mel, power = self._powers(audio, frames)
        amplitude = 10 ** (lowest_peak / 20) * 2**0.5  # of a sine of that RMS
        # The sine's power in the bin that its frequency meets fully, in the lower half of the scale, where
        # all mel filters are equally high.
        sine_peak = (amplitude * float(self.window.sum()) / 2) ** 2 * float(self.filters.max())
        spectrogram = _zero_floored(mel, sine_peak)
        energy = _zero_floored(power, 10 ** (lowest_peak / 10))
        level = 10 * power.clamp(min=TINY).log10()  # dB of full scale
        null = level < max(float(level.max()), lowest_peak) - self.config.null_relative_db

        f0, periodicity = (torch.from_numpy(values) for values in self.tracker(remove_hum(audio), frames))
        f0, periodicity = f0.masked_fill(null, 0.0), periodicity.masked_fill(null, 0.0)
        track = torch.from_numpy(fill_track(f0.numpy()))
        pitch = torch.stack([f0, energy, periodicity])
        return Features(spectrogram, pitch, track, (f0 > 0).float(), null, self._waveform(audio, frames, amplitude))

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

    def _waveform(self, audio: np.ndarray, frames: int, lowest_peak: float) -> torch.Tensor | None:
        """Samples `(160 T,)` over their peak, or over `lowest_peak` if that is higher; None unless asked for."""
        if not self.config.waveform:
            return None
        waveform = torch.zeros(frames * HOP)
        waveform[: len(audio)] = torch.from_numpy(audio)
        return waveform / max(float(waveform.abs().max()), lowest_peak)

    def _powers(self, audio: np.ndarray, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Mel power `(M, T)` and mean square `(T,)` from 125 Hz up, both float32."""
        mel, power = [], []
        for squared in _spectra(audio, frames, self.window):
            mel.append(self.filters @ squared)
            power.append(_mean_square(squared, self.window))
        return torch.cat(mel, dim=1), torch.cat(power)


def frame_levels(audio: np.ndarray, frames: int) -> np.ndarray:
    """Level of each frame of `audio` `(S,)`, from 125 Hz up: `(frames,)` dBFS, as `FeatureExtractor` takes it."""
    window = torch.hann_window(WINDOW)
    power = torch.cat([_mean_square(squared, window) for squared in _spectra(audio, frames, window)])
    levels: np.ndarray = 10.0 * np.log10(np.maximum(power.double().numpy(), TINY))
    return levels


def _spectra(audio: np.ndarray, frames: int, window: torch.Tensor) -> Iterator[torch.Tensor]:
    """Power spectra `(FFT/2 + 1, T)` of `frames` frames, some at a time; frame `t` is centred at sample `160 t`."""
    before = FFT // 2
    padded = torch.zeros(max((frames - 1) * HOP + FFT, before + len(audio)))
    padded[before : before + len(audio)] = torch.from_numpy(audio)
    for start in range(0, frames, CHUNK):
        stop = min(start + CHUNK, frames)
        part = padded[start * HOP : (stop - 1) * HOP + FFT]
        spectrum = torch.stft(part, FFT, HOP, WINDOW, window, center=False, return_complex=True)
        yield torch.view_as_real(spectrum).square().sum(dim=-1)


def _mean_square(squared: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """Mean square `(T,)` of frames from 125 Hz up, from their power spectra (Parseval)."""
    first = int(np.ceil(ENERGY_FROM * FFT / SAMPLE_RATE))
    return squared[first:].sum(dim=0) * (2 / FFT) / window.square().sum()


def _zero_floored(power: torch.Tensor, lowest_peak: float) -> torch.Tensor:
    """`clip(log10(power) - (peak - 8), 0) / 8`, the peak at least `lowest_peak`: 0 for silence, at most 1."""
    decades = power.clamp(min=TINY).log10()
    peak = max(float(decades.max()), float(np.log10(max(lowest_peak, TINY))))
    return (decades - (peak - RANGE)).clamp(min=0.0, max=RANGE) / RANGE


def mel_edges(mels: int) -> np.ndarray:
    """Edges `(M + 2,)` in Hz, from 0 to 8000, of filters equally spaced in mel; filter `m` peaks at `m + 1`.

    Slaney's scale (Auditory Toolbox, 1998), linear to 1000 Hz and logarithmic above; librosa's default.
    """
    step, corner, log_step = 200.0 / 3, 1000.0, np.log(6.4) / 27  # Hz a mel, Hz, log Hz a mel
    top = corner / step + np.log(SAMPLE_RATE / 2 / corner) / log_step  # mel
    mel = np.linspace(0.0, top, mels + 2)
    logarithmic = corner * np.exp(log_step * (mel - corner / step))
    return np.where(mel < corner / step, mel * step, logarithmic)


def mel_filters(mels: int) -> np.ndarray:
    """Triangular filters `(M, FFT/2 + 1)` float32 of equal area between `mel_edges`."""
    edges = mel_edges(mels)
    bins = np.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1)  # Hz
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - lower) / (centre - lower), (upper - bins) / (upper - centre)
    return (np.maximum(0.0, np.minimum(rising, falling)) * 2 / (upper - lower)).astype(np.float32)
