"""Transcribes an uploaded recording."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echo_asr.audio import stream_audio
from echo_asr.audio.convert import samples_to_seconds
from echo_asr.decode.heard_voice import HeardVoice
from echo_asr.decode.results import Segment, Transcription, made_of, placed
from echo_asr.decode.segments import SegmentConfig, SpeechSegment, cut
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features import Features
from echo_asr.serve.batcher import Batcher

AHEAD_SECONDS = 120.0  # of speech that wait to be decoded, of one recording
LONGEST_NAME = 100  # characters


class Abandoned(Exception):
    """Nobody waits for the transcription any more."""


@dataclass(frozen=True)
class FoundSegment:
    """A segment of an upload, and its F0 in Hz, a value each 10 ms from its start, 0 where unvoiced."""

    segment: Segment
    f0: tuple[float, ...]


@dataclass(frozen=True)
class Upload:
    """A recording in a temporary file.

    Attributes:
        name: of the file that was sent, for messages.
        abandoned: set when nobody waits for it any more.
    """

    path: Path
    name: str
    abandoned: threading.Event


def shown_name(name: str | None) -> str:
    """The name of an uploaded file on one line, without its folders."""
    last = re.split(r"[/\\]", name or "")[-1]
    clean = "".join(c if c.isprintable() else "?" for c in last).strip()
    return clean[-LONGEST_NAME:] or "the recording"


def safe_suffix(name: str) -> str:
    """The ending of a file name, if it is a plain one: `.m4a`."""
    suffix = Path(name).suffix
    return suffix.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", suffix) else ""


class UploadTranscriber:
    """Reads recordings, cuts them at their pauses, measures what is between, and has it decoded with that of others.

    Args:
        batcher: decodes.
    """

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._measuring = threading.BoundedSemaphore(os.cpu_count() or 1)

    def transcribe(
        self,
        upload: Upload,
        recognizer: Recognizer,
        segments: SegmentConfig,
        on_segment: Callable[[FoundSegment], object] = lambda segment: None,
    ) -> Transcription:
        """The transcription of a recording; each of its segments is handed on as soon as it is known. Blocks.

        Raises:
            Abandoned: `upload.abandoned` was set.
            EchoError: the recording cannot be read; the message has the name that it was sent under.
        """
        seconds = 0.0
        pending = deque[tuple[SpeechSegment, Features, Future[Segment]]]()
        found: list[Segment] = []

        def counted() -> Iterator[np.ndarray]:
            nonlocal seconds
            for block in stream_audio(upload.path):
                seconds += samples_to_seconds(len(block))
                if upload.abandoned.is_set():
                    raise Abandoned
                yield block

        def collect(most: float) -> None:
            """Take what is decoded, and wait until at most so many seconds of speech are pending."""
            while pending and (pending[0][2].done() or _speech(pending) > most):
                piece, clip, future = pending.popleft()
                segment = placed(decoded(future), piece.start, piece.seconds)
                if segment.text or segment.sentence:
                    found.append(segment)
                if segment.text:
                    on_segment(FoundSegment(segment, tuple(clip.pitch[0].tolist())))

        pieces, heard = cut(counted(), segments), HeardVoice(recognizer.extractor, recognizer.pitch_by_speaker)
        try:
            while (measured := self._next(pieces, heard)) is not None:
                if upload.abandoned.is_set():
                    raise Abandoned
                piece, clip = measured
                pending.append((piece, clip, self._batcher.submit(recognizer, clip, upload.abandoned)))
                collect(AHEAD_SECONDS)
            collect(0.0)
        except EchoError as error:
            raise EchoError(str(error).replace(str(upload.path), upload.name)) from None
        return made_of(found, seconds)

    def _next(self, pieces: Iterator[SpeechSegment], heard: HeardVoice) -> tuple[SpeechSegment, Features] | None:
        """The next segment of a recording and its features; as many threads do that at once as there are cores."""
        with self._measuring:
            piece = next(pieces, None)
            return None if piece is None else (piece, heard.features(piece))


def _speech(pending: Iterable[tuple[SpeechSegment, object, object]]) -> float:
    return sum(piece.seconds for piece, _, _ in pending)


def decoded(future: Future[Segment]) -> Segment:
    """What a `Batcher` found in a clip; blocks.

    Raises:
        Abandoned: it was cancelled.
    """
    try:
        return future.result()
    except CancelledError:
        raise Abandoned from None
