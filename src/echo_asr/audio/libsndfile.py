"""Audio of files that libsndfile reads: wav, flac, ogg, opus, mp3 and more."""

from __future__ import annotations

import errno
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import soundfile

from echo_asr.audio import containers, mpeg, ogg
from echo_asr.audio.blocks import Blocks, Recording, cut_blocks
from echo_asr.audio.files import not_audio, truncated
from echo_asr.audio.limits import BLOCK, refuse_rate
from echo_asr.audio.resampling import resample_blocks
from echo_asr.audio.segment import AudioSegment
from echo_asr.audio.splice import Part, open_part
from echo_asr.errors import EchoError
from echo_asr.output import silenced_stderr

ENDLESS = 1 << 60  # samples; a header with more states no length, as in FLAC that was written into a pipe
DEEP = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32", "DWVW_24")  # over 16 bits
SOFT = 0.05  # of full scale; at lower peaks, noise of 16 bits is less than 70 dB below
MP3_SLACK = 2 * 1152  # samples; two MPEG frames, by which MP3 headers often overstate the length
MP3_UNSTATED_SLACK = 10 * 1152  # samples; frames that depend on others that were cut away decode to nothing
MP3_LEAD = 12 * 1152  # samples read before each block and dropped: bits of a frame may lie in 23 small ones before it


class _SoundFile(soundfile.SoundFile):
    """A sound file that is not seekable where its header states no length."""

    def seekable(self) -> bool:
        return self.frames < ENDLESS and bool(super().seekable())


def open_audio(segment: AudioSegment, head: bytes) -> Recording:
    """Open a segment of a file.

    Args:
        head: the first bytes of the file.

    Raises:
        EchoError: it cannot be read, now or when its blocks are.
    """
    path = segment.path
    parts = _find_parts(path, head)
    with _opened(path, parts[0], head) as file:
        rate: int = file.samplerate
        seconds = file.frames / rate if segment.whole and file.frames < ENDLESS else 0.0
        bits = 24 if file.subtype in DEEP else 16
    if stray := sum(part.stray for part in parts):
        what = f"its header leaves out the last {stray} bytes; they are read as audio, too"
        warnings.warn(f"{path}: {what}: check how it ends", stacklevel=2)
    return Recording(rate, lambda: _blocks(segment, head, parts, rate), seconds, bits)


def duration(path: Path, head: bytes) -> float:
    """Seconds of a whole file, without decoding it where its header states them.

    Raises:
        EchoError: it cannot be read, or holds no samples.
    """
    seconds = 0.0
    for part in _find_parts(path, head):
        with _opened(path, part, head) as file:
            known = file.frames < ENDLESS
            samples = file.frames if known else sum(map(len, _part_blocks(file, path, part, head)))
            seconds += samples / file.samplerate
    if seconds <= 0:
        raise EchoError(f"{path}: holds no samples; give a recording of at least one sample")
    return seconds


def _find_parts(path: Path, head: bytes) -> list[Part]:
    try:
        if head[:4] == b"OggS":
            if ogg.ends_within_a_page(path):
                raise truncated(path, "it ends in the middle of an Ogg page")
            return ogg.find_parts(path)
        if _may_be_mp3(head):
            with _opened(path, Part(), head) as file:
                mp3 = file.format == "MP3"
            if mp3:
                return mpeg.find_parts(path)
        return containers.find_parts(path, head)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError from None
        raise EchoError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _blocks(segment: AudioSegment, head: bytes, parts: list[Part], rate: int) -> Blocks:
    path = segment.path
    if len(parts) == 1 and not segment.whole:
        with _opened(path, parts[0], head) as file:
            if file.seekable():
                yield from _part_blocks(file, path, parts[0], head, *segment.samples(rate, file.frames))
                return

    def decoded() -> Blocks:
        for part in parts:
            with _opened(path, part, head) as file:
                yield from resample_blocks(_part_blocks(file, path, part, head), file.samplerate, rate)

    yield from decoded() if segment.whole else cut_blocks(decoded(), segment, rate)


def _part_blocks(
    file: _SoundFile, path: Path, part: Part, head: bytes, first: int = 0, stop: int | None = None
) -> Blocks:
    """Blocks of a recording, from sample `first` to before `stop`, or to its end."""
    read, size = 0, max(1, BLOCK // file.channels)
    known, seekable = file.frames < ENDLESS, file.seekable()
    last_page = _last_page(path, part) if file.subtype == "VORBIS" and first else 0
    while stop is None or read < stop - first:
        at = first + read
        try:
            with _quiet(head):
                lead = 0
                if file.format == "MP3":
                    lead = min(at, MP3_LEAD)
                elif file.subtype == "VORBIS" and file.tell() != at:
                    lead = max(0, at - max(0, last_page - 1))
                if seekable and file.tell() != at - lead:
                    file.seek(at - lead)
                wanted = size if stop is None else min(size, stop - at)
                block = file.read(lead + wanted, dtype="float32", always_2d=True)[lead:]
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise truncated(path, f"it cannot be decoded to its end: {error}") from None
        if not len(block):
            break
        read += len(block)
        yield block
    missing = (file.frames if stop is None else stop) - first - read if known else 0
    slack = 0 if file.format != "MP3" else MP3_SLACK if part.stated else MP3_UNSTATED_SLACK
    if missing > slack:
        raise truncated(path, f"its header states {file.frames} samples, it holds {first + read}")


def _last_page(path: Path, part: Part) -> int:
    with open_part(path, part) as file:
        return ogg.last_page(file)


@contextmanager
def _opened(path: Path, part: Part, head: bytes) -> Iterator[_SoundFile]:
    """A recording, opened by libsndfile.

    Raises:
        EchoError: libsndfile cannot read it.
    """
    with ExitStack() as stack:
        try:
            with _quiet(head):
                if part.spans:
                    file = _SoundFile(stack.enter_context(open_part(path, part)))
                else:  # as bytes, names that are no UTF-8 open too; Windows has none, and takes no bytes
                    file = _SoundFile(path if os.name == "nt" else os.fsencode(path))
            stack.enter_context(file)
        except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless (.raw), its rate unknown
            if "malformed" in str(error):
                raise truncated(path, "its container is malformed") from None
            raise not_audio(path) from None
        refuse_rate(str(path), file.samplerate)
        yield file


def _may_be_mp3(head: bytes) -> bool:
    """Whether a file with these first bytes may be MP3, which has no certain mark of its own."""
    return head[:4] not in (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS", b"caff", b".snd", b"NIST")


def _quiet(head: bytes) -> AbstractContextManager[None]:
    """Keeps the MP3 decoder of libsndfile from writing warnings to standard error."""
    return silenced_stderr() if _may_be_mp3(head) else nullcontext()


def has_flac(rate: int) -> bool:
    """Whether FLAC can have a sample rate, in Hz: up to 65,535, and multiples of 10 up to 655,350."""
    return rate <= 65_535 or (rate <= 655_350 and rate % 10 == 0)


def encode_flac(samples: np.ndarray, rate: int, bits: int = 16) -> bytes:
    """Mono samples `(S,)` float32 as a FLAC file of 16 bits if these have the samples without loss, or if `bits` is 16
    and the samples are not soft, as those of recorders that have no gain; else of 24 bits. Samples that exceed full
    scale are made as loud as FLAC can be.
    """
    peak = float(np.abs(samples).max(initial=0.0))
    scaled = samples.astype(np.float64) * (2.0**15 / max(peak, 1.0))
    if (bits == 16 and peak >= SOFT) or not (scaled % 1).any():
        data, subtype = np.rint(scaled).clip(-(2**15), 2**15 - 1).astype(np.int16), "PCM_16"
    else:
        data = np.rint(scaled * 2**8).clip(-(2**23), 2**23 - 1).astype(np.int32) << 8
        subtype = "PCM_24"
    file = io.BytesIO()  # libsndfile reports no full disk when it closes a file
    soundfile.write(file, data, rate, subtype, format="FLAC")
    return file.getvalue()
