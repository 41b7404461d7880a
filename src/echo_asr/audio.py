"""Sound from a file or an array: mono float32 `(S,)` at 16 kHz, `S` samples, or one line that says why not."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import soundfile
import soxr
import torch

from echo_asr.containers import cut_off, last_ogg_page
from echo_asr.errors import EchoError
from echo_asr.excerpt import AudioFile, Excerpt

SAMPLE_RATE = 16_000  # Hz, of all sound inside Echo
AV_SUFFIXES = frozenset({".m4a", ".mp4", ".aac", ".webm", ".mkv", ".mov", ".wma", ".amr", ".3gp"})
AV_HINT = "install the extra for it (pip install 'echo-asr[av]') or convert it to wav or flac"
BLOCK = 1 << 20  # frames read at a time, so that a long stereo file is never whole in memory
AV_SLACK = 0.25  # seconds; codecs' delays and round header values
MP3_SLACK = 2 * 1152  # samples; two MPEG frames, by which tags of sound files often overstate the length
MP3_LEAD = 4 * 1152  # samples read before each block and dropped: a frame needs those before it, forgotten by a seek
_HUSH = threading.Lock()


@runtime_checkable
class SoundSource(Protocol):
    """Sound that is no file by itself: what `load_audio` and the feature cache take wherever a path may stand."""

    def load(self) -> np.ndarray:
        """Mono float32 `(S,)` at 16 kHz; EchoError if it cannot be had."""
        ...

    def content(self, hash_file: Callable[[AudioFile], str]) -> str:
        """What tells its sound from any other; `hash_file` gives a hash of a file's sound, or raises OSError."""
        ...


def load_audio(
    source: AudioFile | SoundSource | np.ndarray | torch.Tensor, sampling_rate: int | None = None
) -> np.ndarray:
    """Sound as mono float32 `(S,)` at 16 kHz, `S >= 1`, full scale at +-1; always a new array.

    A path, or the stretch of a file that an `Excerpt` names, is read with soundfile (wav, flac, ogg, opus, mp3 and
    more) or, where soundfile cannot (m4a, webm, mp4, aac), with the optional `av`. An array or tensor is `(S,)`,
    `(channels, S)` or `(S, channels)`: the smaller axis holds the channels, the first in a tie. Integers are scaled
    to +-1 as in a wav file. Channels are averaged; other rates are resampled with soxr.

    Args:
        source: a path, an `Excerpt`, an array or a tensor.
        sampling_rate: Hz, of an array; 16 000 unless given. A file states its own; one that contradicts it is
            an error.

    Raises:
        EchoError: in one line that names the source: missing, a folder, empty, not sound, truncated, no
            samples, NaN or infinite samples, a format that needs the extra, a shape or type that is no sound.
    """
    if isinstance(source, SoundSource):
        name, rate, samples = str(source), SAMPLE_RATE, source.load()
    elif isinstance(source, str | os.PathLike | Excerpt):
        name = str(source)
        blocks, rate = _read(_as_excerpt(source))
        _refuse_other_rate(name, sampling_rate, rate)
        parts = list(blocks)
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    else:
        name = f"audio {type(source).__name__}"
        rate = _checked_rate(SAMPLE_RATE if sampling_rate is None else sampling_rate)
        samples = _array_to_mono(source, name)
    if samples.size == 0:
        raise EchoError(f"{name}: holds no samples; give a recording of at least one sample")
    _refuse_broken(name, samples, rate)
    if rate != SAMPLE_RATE:
        samples = resample(samples, rate, SAMPLE_RATE)
    return np.array(samples, dtype=np.float32, order="C")


def stream_audio(
    source: AudioFile | SoundSource | np.ndarray | torch.Tensor, sampling_rate: int | None = None
) -> Iterator[np.ndarray]:
    """The same sound as that of `load_audio`, in pieces of up to a minute or so: a long file is never whole in memory.

    Raises:
        EchoError: as `load_audio`, when the iteration comes to it.
    """
    if not isinstance(source, str | os.PathLike | Excerpt):
        samples = load_audio(source, sampling_rate)
        yield from (samples[at : at + BLOCK] for at in range(0, len(samples), BLOCK))
        return
    name = str(source)
    blocks, rate = _read(_as_excerpt(source))
    _refuse_other_rate(name, sampling_rate, rate)
    resampler = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
    given = made = 0
    for block in blocks:
        _refuse_broken(name, block, rate, given / rate)
        given += len(block)
        piece = block if resampler is None else resampler.resample_chunk(block)
        made += len(piece)
        if len(piece):
            yield piece
    if not given:
        raise EchoError(f"{name}: holds no samples; give a recording of at least one sample")
    if resampler is not None:
        rest = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        if len(rest) or not made:
            yield rest if len(rest) else np.zeros(1, np.float32)


def _refuse_other_rate(name: str, asked: int | None, stated: int) -> None:
    if asked is not None and asked != stated:
        raise EchoError(f"{name}: sampling_rate is {asked}, the file says {stated}; leave it out")


def _refuse_broken(name: str, samples: np.ndarray, rate: int, start: float = 0.0) -> None:
    """Refuse NaN and infinite samples, of a piece that starts at `start` seconds."""
    finite = np.isfinite(samples)
    if not finite.all():
        first = start + int(np.argmin(finite)) / rate
        raise EchoError(f"{name}: holds NaN or infinite samples (first at {first:.3f} s); repair or drop it")


def resample(samples: np.ndarray, rate_from: float, rate_to: float) -> np.ndarray:
    """Samples `(S,)` at `rate_from` Hz as samples at `rate_to` Hz, at least one, by soxr's high quality."""
    resampled = soxr.resample(samples, rate_from, rate_to)
    # A clip shorter than half an output sample resamples to nothing; it stays one sample.
    return resampled if resampled.size else samples[:1]


def audio_duration(source: AudioFile) -> float:
    """Seconds of sound in a file, from its header, without decoding it; of an `Excerpt`, as it says.

    Raises:
        EchoError: in one line, for a file that is missing, a folder, empty, not sound or without samples.
    """
    stretch = _as_excerpt(source)
    if stretch.duration is not None:
        return stretch.duration
    if stretch.start:
        rest = audio_duration(stretch.path) - stretch.start
        if rest <= 0:
            raise EchoError(f"{stretch}: begins after the end of that file; correct its times")
        return rest
    file = stretch.path
    head = _checked_head(file)
    if _needs_av(file, head):
        return _av_duration(file)
    _refuse_cut_off(file, head)
    with _hushed(head), _open(file) as sound:
        if sound.frames <= 0:
            raise EchoError(f"{file}: holds no samples; give a recording of at least one sample")
        return sound.frames / sound.samplerate


def _as_excerpt(source: AudioFile) -> Excerpt:
    return source if isinstance(source, Excerpt) else Excerpt(Path(source))


def _read(stretch: Excerpt) -> tuple[Iterator[np.ndarray], int]:
    """Mono samples `(S,)` float32 of a stretch of any file, in pieces, and their rate in Hz."""
    path = stretch.path
    head = _checked_head(path)
    if _needs_av(path, head):
        return _av_read(stretch)
    _refuse_cut_off(path, head)
    with _hushed(head):
        sound = _open(path)
    return _sound_blocks(stretch, head, sound), sound.samplerate


def _sound_blocks(stretch: Excerpt, head: bytes, sound: soundfile.SoundFile) -> Iterator[np.ndarray]:
    path, read = stretch.path, 0
    with sound:
        whole = stretch.start == 0 and stretch.duration is None
        first, stop = (0, sound.frames) if whole else stretch.samples(sound.samplerate, sound.frames)
        while whole or read < stop - first:
            try:
                with _hushed(head):
                    at = first + read
                    lead = _lead(sound, path, at)
                    if sound.tell() != at - lead:
                        sound.seek(at - lead)
                    wanted = BLOCK if whole else min(BLOCK, stop - at)
                    block = sound.read(lead + wanted, dtype="float32", always_2d=True)[lead:]
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise _truncated(path, f"it cannot be decoded to its end: {error}") from None
            if not len(block):
                break
            read += len(block)
            yield _to_mono(block, stretch)
        if stop - first - read > (MP3_SLACK if sound.format == "MP3" else 0):
            raise _truncated(path, f"its header says {sound.frames} samples, it holds {first + read}")


def _lead(sound: soundfile.SoundFile, path: Path, at: int) -> int:
    """How many samples to read and drop before sample `at`, which would otherwise not be what the whole file has."""
    if sound.format == "MP3":
        return min(at, MP3_LEAD)
    if sound.subtype == "VORBIS" and sound.tell() != at:
        return max(0, at - max(0, last_ogg_page(path) - 1))
    return 0


def _to_mono(block: np.ndarray, stretch: Excerpt) -> np.ndarray:
    """One channel `(S,)` of a block `(S, channels)`, or the mean of all."""
    channels = block.shape[1]
    if stretch.channel is None:
        mono: np.ndarray = block[:, 0] if channels == 1 else block.mean(axis=1, dtype=np.float32)
        return mono
    if not 0 <= stretch.channel < channels:
        raise EchoError(f"{stretch}: has {channels} channel{'s' * (channels > 1)}, counted from 0; correct the channel")
    return block[:, stretch.channel]


def _checked_head(path: Path) -> bytes:
    """The first 4 KiB of a file that exists and is not text."""
    try:
        if path.is_dir():
            raise EchoError(f"{path}: is a folder; name one sound file in it")
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        raise EchoError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise EchoError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if not head:
        raise EchoError(f"{path}: is an empty file (0 bytes); record or copy it again")
    # Every sound format has a zero byte early on; text has none. libsndfile would search text for MP3 frames
    # and print to stderr while it does.
    if 0 not in head:
        raise _not_sound(path)
    return head


def _needs_av(path: Path, head: bytes) -> bool:
    if head[:4] in (b"RIFF", b"OggS", b"fLaC", b"FORM") or head[:3] == b"ID3":
        return False
    return head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3" or path.suffix.lower() in AV_SUFFIXES


@contextmanager
def _hushed(head: bytes) -> Iterator[None]:
    """Keep the MP3 decoder beneath libsndfile from writing warnings to standard error, past Python; a file's first
    bytes say whether it may be an MP3."""
    if head[:4] in (b"RIFF", b"FORM", b"fLaC", b"OggS"):
        yield
        return
    with _HUSH:  # one at a time, or the second would put back what the first put there
        try:
            kept = os.dup(2)
        except OSError:  # a process without standard error
            yield
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nothing, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nothing)


def _open(path: Path) -> soundfile.SoundFile:
    try:
        # As bytes, names that are no UTF-8 open too; Windows has none, and takes no bytes.
        return soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless (.raw), its rate unknown
        if "malformed" in str(error):
            raise _truncated(path, "its container is malformed") from None
        raise _not_sound(path) from None


def _refuse_cut_off(path: Path, head: bytes) -> None:
    if why := cut_off(path, head):
        raise _truncated(path, why)


def _truncated(path: Path, why: str) -> EchoError:
    return EchoError(f"{path}: is truncated or damaged ({why}); copy or record it again")


def _not_sound(path: Path) -> EchoError:
    return EchoError(f"{path}: is not a sound file Echo can read; expected wav, flac, ogg, opus, mp3 or m4a")


def _checked_rate(rate: Any) -> int:
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or rate <= 0:
        raise EchoError(f"sampling_rate: expected a positive whole number of Hz, got {rate!r}")
    return int(rate)


def _array_to_mono(source: Any, name: str) -> np.ndarray:
    """Mono float32 `(S,)` from an array or tensor of one or two dimensions."""
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu()
        source = (source.float() if source.is_floating_point() else source).numpy()
    if not isinstance(source, np.ndarray):
        raise EchoError(f"{name}: expected a path, a numpy array or a torch tensor")
    if source.ndim not in (1, 2):
        raise EchoError(f"{name}: expected shape (S,), (channels, S) or (S, channels); got {source.shape}")
    if source.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused as such
            samples = source.astype(np.float32)
    elif source.dtype in (np.int8, np.int16, np.int32, np.uint8):
        full_scale = 2.0 ** (8 * source.dtype.itemsize - 1)
        offset = full_scale if source.dtype == np.uint8 else 0.0  # 8-bit wav is unsigned, silence at 128
        samples = ((source - offset) / full_scale).astype(np.float32)
    else:
        raise EchoError(f"{name}: expected float, int8, int16, int32 or uint8; convert the {source.dtype}")
    if samples.ndim == 2:
        samples = samples.mean(axis=0 if samples.shape[0] <= samples.shape[1] else 1, dtype=np.float32)
    return samples


def _import_av(path: Path) -> Any:
    try:
        import av
    except ImportError:
        kind = path.suffix or "this format"
        raise EchoError(f"{path}: {kind} needs the optional PyAV; {AV_HINT}") from None
    return av


def _av_read(stretch: Excerpt) -> tuple[Iterator[np.ndarray], int]:
    path = stretch.path
    av = _import_av(path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise EchoError(f"{path}: has no sound track; give a file that has one")
            rate = container.streams.audio[0].codec_context.sample_rate or SAMPLE_RATE
    except av.FFmpegError as error:
        raise _truncated(path, f"it cannot be decoded to its end: {error.strerror}") from None
    blocks = _av_blocks(av, stretch, rate)
    return (blocks if stretch == Excerpt(path, channel=stretch.channel) else _part(blocks, stretch, rate)), rate


def _part(blocks: Iterator[np.ndarray], stretch: Excerpt, rate: int) -> Iterator[np.ndarray]:
    """The stretch of a file of which all is decoded from the beginning."""
    first = round(stretch.start * rate)
    stop = None if stretch.duration is None else first + round(stretch.duration * rate)
    read = 0
    for block in blocks:
        part = block[max(0, first - read) : None if stop is None else max(0, stop - read)]
        read += len(block)
        if len(part):
            yield part
        if stop is not None and read >= stop:
            return
    stretch.samples(rate, read)  # it reaches beyond the end: further than is let pass?


def _av_blocks(av: Any, stretch: Excerpt, rate: int) -> Iterator[np.ndarray]:
    path, read = stretch.path, 0
    try:
        with av.open(str(path)) as container:
            # Seconds; a film's sound may be shorter than the film: only a lone track is held to the header.
            stated = (container.duration or 0) / av.time_base if len(container.streams) == 1 else 0.0
            waiting: list[np.ndarray] = []
            resampler = None
            for frame in itertools.chain(container.decode(audio=0), [None]):
                if resampler is None:
                    if frame is None:
                        break
                    # Converts the sample type alone; the rate stays for soxr.
                    resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
                waiting += [_to_mono(part.to_ndarray().T, stretch) for part in resampler.resample(frame)]
                if frame is None or sum(map(len, waiting)) >= BLOCK:
                    block = np.concatenate(waiting) if waiting else np.zeros(0, np.float32)
                    read += len(block)
                    waiting = []
                    yield block
    except av.FFmpegError as error:
        raise _truncated(path, f"it cannot be decoded to its end: {error.strerror}") from None
    if read / rate < stated - AV_SLACK:
        raise _truncated(path, f"its header says {stated:.2f} s, it holds {read / rate:.2f} s")


def _av_duration(path: Path) -> float:
    av = _import_av(path)
    try:
        with av.open(str(path)) as container:
            if not container.duration:
                raise EchoError(f"{path}: its header states no duration; convert it to wav or flac")
            return container.duration / av.time_base
    except av.FFmpegError:
        raise _not_sound(path) from None
