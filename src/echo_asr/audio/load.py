"""Loads audio from a file or an array: mono float32 `(S,)` at 16 kHz, `S` samples, or a one-line error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from echo_asr.audio import libsndfile, pyav
from echo_asr.audio.blocks import Recording
from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds
from echo_asr.audio.files import checked_file
from echo_asr.audio.limits import BLOCK, checked_rate, refuse_length
from echo_asr.audio.mixing import to_mono
from echo_asr.audio.resampling import resample_blocks
from echo_asr.audio.segment import AudioFile, AudioSegment
from echo_asr.errors import EchoError

VERSION = 1  # raised when the same file gives other samples than before, so that cached features lapse


@runtime_checkable
class AudioSource(Protocol):
    """Audio that is computed, such as a recording in noise; accepted wherever a path is."""

    def load(self) -> np.ndarray:
        """Mono float32 `(S,)` at 16 kHz; EchoError if it cannot be computed."""

    def content(self, hash_file: Callable[[AudioFile], str]) -> str:
        """A string that identifies the samples; `hash_file` gives a hash of a file's content, or raises OSError."""


Audio = AudioFile | AudioSource | np.ndarray | torch.Tensor


def load_audio(source: Audio, sampling_rate: int | None = None) -> np.ndarray:
    """Load audio as mono float32 `(S,)` at 16 kHz, `S >= 1`, full scale at +-1; always a new array.

    A path, or the segment of a file that an `AudioSegment` names, is read with soundfile (wav, flac, ogg, opus, mp3 and
    more) or, where soundfile cannot (m4a, webm, mp4, aac), with the optional `av`. An array or tensor is `(S,)`,
    `(channels, S)` or `(S, channels)`: the smaller axis holds the channels, the first in a tie. Integers are scaled
    to +-1 as in a wav file. Channels are averaged, unless they cancel each other (see `mixing`); other rates are
    resampled with soxr. Times in a video are those of its time stamps, whose gaps are filled with silence.

    Args:
        source: a path, an `AudioSegment`, an array or a tensor.
        sampling_rate: Hz, of an array; 16 000 unless given. A file states its own; one that contradicts it is
            an error.

    Raises:
        EchoError: in one line that names the source: missing, a folder, empty, not audio, truncated, no samples,
            more than two hours, a sample rate out of bounds, NaN or infinite samples, a format that needs the extra,
            a shape or type that is not audio.
    """
    if isinstance(source, AudioSource):
        name = str(source)
        blocks = _at_16_khz(name, iter([source.load()]), SAMPLE_RATE)
    elif isinstance(source, str | os.PathLike | AudioSegment):
        name = str(source)
        blocks = _whole(name, source, sampling_rate)
    else:
        name = f"audio {type(source).__name__}"
        rate = checked_rate(SAMPLE_RATE if sampling_rate is None else sampling_rate)
        blocks = _at_16_khz(name, _array_to_mono(source, name, rate), rate)
    with _in_memory(name):
        parts = list(blocks)
        samples = np.array(parts[0]) if len(parts) == 1 else np.concatenate([np.zeros(0, np.float32), *parts])
    if samples.size == 0:
        raise EchoError(f"{name}: holds no samples; give a recording of at least one sample")
    return np.ascontiguousarray(samples, dtype=np.float32)


def stream_audio(source: Audio, sampling_rate: int | None = None) -> Iterator[np.ndarray]:
    """The samples that `load_audio` returns, in blocks of up to about a minute: a long file is never whole in memory.

    Raises:
        EchoError: as `load_audio`, when the iteration reaches the cause.
    """
    if not isinstance(source, str | os.PathLike | AudioSegment):
        samples = load_audio(source, sampling_rate)
        yield from (samples[at : at + BLOCK] for at in range(0, len(samples), BLOCK))
        return
    name = str(source)
    with _in_memory(name):
        recording, blocks = _read(name, source, sampling_rate)
        count = 0
        for block in _at_16_khz(name, blocks, recording.rate):
            count += len(block)
            yield block
    if not count:
        raise EchoError(f"{name}: holds no samples; give a recording of at least one sample")


def stream_original(source: AudioFile) -> tuple[int, int, Iterator[np.ndarray]]:
    """The sample rate in Hz of a file or segment, the bits of its samples (16, or 24 for more and for floating point),
    and its mono samples `(S,)` float32 at that rate in blocks, of which the whole is never in memory.

    Raises:
        EchoError: as `load_audio`, now or when the iteration reaches the cause.
    """
    recording, blocks = _read(str(source), source, None)
    return recording.rate, recording.bits, blocks


def _whole(name: str, source: AudioFile, sampling_rate: int | None) -> Iterator[np.ndarray]:
    """Blocks of a file that is to be held in memory; refuses one that is too long."""
    recording, blocks = _read(name, source, sampling_rate)
    refuse_length(name, recording.seconds)
    count = 0
    for block in _at_16_khz(name, blocks, recording.rate):
        count += len(block)
        refuse_length(name, samples_to_seconds(count))
        yield block


def _at_16_khz(name: str, blocks: Iterator[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    def finite() -> Iterator[np.ndarray]:
        count = 0
        for block in blocks:
            broken = ~np.isfinite(block)
            if broken.any():
                first = count / rate + int(np.argmax(broken)) / rate
                raise EchoError(f"{name}: holds NaN or infinite samples (first at {first:.3f} s); repair or drop it")
            count += len(block)
            yield block

    return resample_blocks(finite(), rate, SAMPLE_RATE)


@contextmanager
def _in_memory(name: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise EchoError(f"{name}: needs more memory than there is; cut it, or free some memory") from None


def audio_duration(source: AudioFile) -> float:
    """Seconds of audio in a file, from its header, without decoding it; of an `AudioSegment`, its own duration.

    Raises:
        EchoError: in one line, for a file that is missing, a folder, empty, not audio or without samples.
    """
    segment = _as_segment(source)
    if segment.duration is not None:
        return segment.duration
    if segment.start:
        rest = audio_duration(segment.path) - segment.start
        if rest <= 0:
            raise EchoError(f"{segment}: begins after the end of that file; correct its times")
        return rest
    path, head = checked_file(segment.path)
    with _in_memory(str(path)):
        return _decoder(path, head).duration(path, head)


def audio_format(path: Path) -> tuple[int, int]:
    """Sample rate in Hz, and number of channels, of an audio file.

    Raises:
        EchoError: as `audio_duration`.
    """
    path, head = checked_file(path)
    recording = _decoder(path, head).open_audio(AudioSegment(path), head)
    first = next(recording.blocks(), None)
    if first is None:
        raise EchoError(f"{path}: holds no samples; give a recording of at least one sample")
    return recording.rate, first.shape[1]


def _as_segment(source: AudioFile) -> AudioSegment:
    return source if isinstance(source, AudioSegment) else AudioSegment(Path(source))


def _read(name: str, source: AudioFile, sampling_rate: int | None) -> tuple[Recording, Iterator[np.ndarray]]:
    """An opened file or segment, and its mono samples `(S,)` float32 in blocks."""
    segment = _as_segment(source)
    path, head = checked_file(segment.path)
    recording = _decoder(path, head).open_audio(replace(segment, path=path), head)
    if sampling_rate is not None and sampling_rate != recording.rate:
        raise EchoError(f"{name}: sampling_rate is {sampling_rate}, the file has {recording.rate}; leave it out")
    return recording, to_mono(recording.blocks, str(segment), str(path), recording.rate, segment.channel)


def _decoder(path: Path, head: bytes) -> ModuleType:
    return pyav if pyav.needs_pyav(path, head) else libsndfile


def _array_to_mono(source: Any, name: str, rate: int) -> Iterator[np.ndarray]:
    """Mono float32 `(S,)` from an array or tensor of one or two dimensions."""
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu()
        source = (source.float() if source.is_floating_point() else source).numpy()
    if not isinstance(source, np.ndarray):
        raise EchoError(f"{name}: expected a path, a numpy array or a torch tensor")
    if source.ndim not in (1, 2):
        raise EchoError(f"{name}: expected shape (S,), (channels, S) or (S, channels); got {source.shape}")
    if source.dtype.kind == "f":
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are refused as such
            samples = source.astype(np.float32)
    elif source.dtype in (np.int8, np.int16, np.int32, np.uint8):
        full_scale = 2.0 ** (8 * source.dtype.itemsize - 1)
        offset = full_scale if source.dtype == np.uint8 else 0.0  # 8-bit wav is unsigned, silence at 128
        samples = ((source - offset) / full_scale).astype(np.float32)
    else:
        raise EchoError(f"{name}: expected float, int8, int16, int32 or uint8; convert the {source.dtype}")
    if samples.ndim == 1:
        samples = samples[:, None]
    elif samples.shape[0] <= samples.shape[1]:
        samples = samples.T
    return to_mono(lambda: iter([samples] if len(samples) else []), name, name, rate)
