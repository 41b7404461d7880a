"""Audio of videos, telephones and browsers (m4a, mp4, webm, mkv, ...), by the optional PyAV.

Their packets carry time stamps, whose gaps are filled with silence: a time in the audio is the time in the video.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from echo_asr.audio.blocks import Blocks, Recording, cut_blocks
from echo_asr.audio.containers import refuse_truncated_video
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.files import not_audio, truncated
from echo_asr.audio.limits import BLOCK, LONGEST_RECORDING, refuse_rate
from echo_asr.audio.segment import AudioSegment
from echo_asr.errors import EchoError

SUFFIXES = frozenset({".m4a", ".mp4", ".aac", ".webm", ".mkv", ".mov", ".wma", ".amr", ".3gp"})
HINT = "install the extra for it (pip install 'echo-asr[av]') or convert it to wav or flac"
# The demuxers of ffmpeg that are allowed: others (playlists, lists of files) open what a file names, also URLs.
DEMUXERS = "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,aac,asf,amr,amrnb,amrwb,mp3,flac,ogg,wav"
SLACK = 0.25  # seconds that may be missing of what a header states; codecs' delays and round header values
JITTER = 0.05  # seconds by which time stamps may be off before samples are moved; they are rounded, and clocks drift
RESTART = 1.0  # seconds; time stamps that go back further are those of another recording, appended


def needs_pyav(path: Path, head: bytes) -> bool:
    """Whether a file of this name that begins with the bytes `head` cannot be read by libsndfile."""
    if head[:4] in (b"RIFF", b"OggS", b"fLaC", b"FORM") or head[:3] == b"ID3":
        return False
    return _known(head) or path.suffix.lower() in SUFFIXES


def _known(head: bytes) -> bool:
    """Whether a file begins as mp4 or Matroska does."""
    return head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3"


def open_audio(segment: AudioSegment, head: bytes) -> Recording:
    """Open a segment of the first audio track of a file.

    Raises:
        EchoError: it cannot be read, now or when its blocks are.
    """
    path = segment.path
    with _opened(path, head) as (av, container):
        rate = int(container.streams.audio[0].codec_context.sample_rate or SAMPLE_RATE)
        seconds = _stated_end(container, av, _origin(container, av)) or 0.0
    refuse_rate(str(path), rate)

    def blocks() -> Blocks:
        decoded = _blocks(path, head, rate)
        return decoded if segment.whole else cut_blocks(decoded, segment, rate)

    return Recording(rate, blocks, seconds if segment.whole else 0.0)


def duration(path: Path, head: bytes) -> float:
    """Seconds from the beginning of the video to the end of its audio, without decoding it.

    Raises:
        EchoError: it cannot be read, or holds no audio.
    """
    with _opened(path, head) as (av, container):
        origin = _origin(container, av)
        end = _stated_end(container, av, origin)
        if end is None:
            packets = (p for p in container.demux(container.streams.audio[0]) if p.pts is not None)
            ends = (float((p.pts + (p.duration or 0)) * p.time_base) - origin for p in packets)
            end = max(ends, default=0.0)
    if not 0 < end < LONGEST_RECORDING:
        raise EchoError(f"{path}: states an impossible duration; convert it to wav or flac")
    return end


@contextmanager
def _opened(path: Path, head: bytes) -> Iterator[tuple[Any, Any]]:
    """PyAV, and the file as it opens it: from a file object, since ffmpeg takes a colon in a name for a protocol."""
    try:
        import av
    except ImportError:
        raise EchoError(f"{path}: {path.suffix or 'this format'} needs the optional PyAV; {HINT}") from None
    refuse_truncated_video(path, head)
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
    opened = False
    try:
        with path.open("rb") as file, av.open(file, options=options, metadata_errors="replace") as container:
            opened = True
            if not container.streams.audio:
                raise EchoError(f"{path}: has no audio track; give a file that has one")
            if container.streams.audio[0].codec_context is None:
                raise EchoError(f"{path}: its audio codec is unknown to PyAV; convert it to wav or flac")
            yield av, container
    except (av.FFmpegError, OSError, ValueError, ArithmeticError, LookupError, RuntimeError, AssertionError) as error:
        if not opened and not _known(head):
            raise not_audio(path) from None
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise truncated(path, f"it cannot be decoded to its end: {reason}") from None


def _origin(container: Any, av: Any) -> float:
    """The time stamp, in seconds, at which the video begins.

    It is 0 where the clock begins with the video, even if its audio starts late. It is the first time stamp where the
    clock of a stream went on: in other containers, and where the time stamp is after the end that is stated.
    """
    start = (container.start_time or 0) / av.time_base
    end = (container.duration or 0) / av.time_base or LONGEST_RECORDING
    name = container.format.name
    return 0.0 if name.startswith("mov") or (name.startswith("matroska") and start <= end) else start


def _stated_end(container: Any, av: Any, origin: float) -> float | None:
    """Where the audio ends, in seconds from the beginning of the video; None where that is not stated, since the audio
    may be shorter than the video."""
    stream = container.streams.audio[0]
    if stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - origin
    if container.duration and len(container.streams) == 1:
        return float(container.duration) / av.time_base
    return None


def _blocks(path: Path, head: bytes, rate: int) -> Blocks:
    """Blocks `(S, channels)` from the beginning of the video on."""
    with _opened(path, head) as (av, container):
        stated = _stated_end(container, av, _origin(container, av)) or 0.0
        written, held, waiting = 0, 0, list[np.ndarray]()
        for part in _placed(path, container, av, rate):
            waiting.append(part)
            held += len(part)
            if held * part.shape[1] >= BLOCK:
                yield np.concatenate(waiting)
                written, held, waiting = written + held, 0, []
        if waiting:
            yield np.concatenate(waiting)
        written += held
    if written / rate < stated - SLACK:
        raise truncated(path, f"its header states {stated:.2f} s, it holds {written / rate:.2f} s")


def _placed(path: Path, container: Any, av: Any, rate: int) -> Blocks:
    """Frame after frame as `(S, channels)`, with silence between them, or less of them, where time stamps demand it."""
    origin, at = _origin(container, av), 0
    for time, samples in _converted(container, av, rate):
        if time is not None:
            seconds = time - origin
            if abs(seconds) > LONGEST_RECORDING:
                raise truncated(path, f"a time stamp is {seconds:.0f} s")
            gap = round(seconds * rate) - at
            if at and gap < -RESTART * rate:
                origin += gap / rate
            elif not at or abs(gap) > JITTER * rate:
                for start in range(0, gap, BLOCK):
                    yield np.zeros((min(BLOCK, gap - start), samples.shape[1]), np.float32)
                at += max(0, gap)
                samples = samples[max(0, -gap) :]
        at += len(samples)
        if len(samples):
            yield samples


def _converted(container: Any, av: Any, rate: int) -> Iterator[tuple[float | None, np.ndarray]]:
    """The time stamp of each frame in seconds, where it has one, and its samples `(S, channels)` float32; all with the
    channels of the first, and at one rate."""
    resampler: Any = None
    kind, layout = None, None
    for frame in itertools.chain(container.decode(audio=0), [None]):
        new = frame and (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is not None and new != kind:
            for rest in resampler.resample(None):
                yield None, rest.to_ndarray().T
        if frame is None:
            return
        if new != kind:
            layout, kind = layout or frame.layout, new
            resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        time = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else None
        parts = [part.to_ndarray().T for part in resampler.resample(frame)]
        if parts:
            yield time, np.concatenate(parts)
