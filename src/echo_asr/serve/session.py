"""One session of live text: sound goes in as it is recorded, and texts come out."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.resampling import BlockResampler
from echo_asr.decode.heard_voice import HeardVoice
from echo_asr.decode.live import LiveEvent, LiveText
from echo_asr.decode.results import Segment, placed
from echo_asr.decode.segments import SpeechSegment
from echo_asr.decode.transcribe import Recognizer
from echo_asr.serve.errors import FAILED, RequestError, about_to_end
from echo_asr.serve.replies import words_of
from echo_asr.serve.service import Service
from echo_asr.serve.uploads import Abandoned, decoded
from echo_asr.text.normalize import join_texts

LOWEST_RATE, HIGHEST_RATE = 8_000, 96_000  # Hz, of a microphone
START_SECONDS = 10.0  # in which the first message has to come
IDLE_SECONDS = 60.0  # without a message, after which a session ends
MOST_PENDING = 2**22  # bytes of sound that wait; then no more is received for a while
SAMPLES = {1: ("u1", 128, 2**7), 2: ("<i2", 0, 2**15), 4: ("<i4", 0, 2**31)}  # by bytes: type, zero, full scale


@dataclass(frozen=True)
class Start:
    """What a session begins with.

    Raises:
        RequestError: sound in such a form is not taken.
    """

    recognizer: Recognizer
    model: str
    sample_rate: int  # Hz
    width: int = 2  # bytes of a sample
    channels: int = 1

    def __post_init__(self) -> None:
        rates, widths = f"a whole number of {LOWEST_RATE} to {HIGHEST_RATE} Hz", ", ".join(map(str, SAMPLES))
        for name, given, possible, expected in (
            ("sample_rate", self.sample_rate, range(LOWEST_RATE, HIGHEST_RATE + 1), rates),
            ("width", self.width, SAMPLES, f"one of {widths} bytes a sample"),
            ("channels", self.channels, range(1, 17), "1 to 16"),
        ):
            if type(given) is not int or given not in possible:
                raise RequestError(400, f"{name}: expected {expected}", param=name, code="invalid_value")


async def run_session(
    service: Service,
    start: Start,
    receive: Callable[[], Awaitable[bytes | None]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
    gone: Callable[[], Awaitable[None]],
) -> None:
    """Take sound and send texts until the end, or until the client goes.

    Args:
        receive: the next samples, or None at their end; it raises when the client has gone.
        send: is given each message.
        gone: returns, or raises, when the client goes after the end of its sound.

    Raises:
        RequestError: the service is about to end, or has failed.
    """
    session = LiveSession(service, start)

    async def sending() -> None:
        async for message in session.messages():
            await send(message)

    sent = asyncio.ensure_future(sending())
    other: asyncio.Future[Any] = sent
    try:
        sound: bytes | None = b""
        while sound is not None and not sent.done():
            other = asyncio.ensure_future(receive())
            await asyncio.wait({sent, other}, return_when=asyncio.FIRST_COMPLETED)
            if not sent.done():
                sound = other.result()
                session.put(sound)
            while session.pending > MOST_PENDING and not sent.done():
                await asyncio.sleep(0.02)
        if not sent.done():
            other = asyncio.ensure_future(gone())
            await asyncio.wait({sent, other}, return_when=asyncio.FIRST_COMPLETED)
        if sent.done():
            sent.result()
        else:
            other.result()
    finally:
        session.abandoned.set()
        session.put(None)
        sent.cancel()
        other.cancel()


class LiveSession:
    """Recognises what is put into it, in a thread."""

    def __init__(self, service: Service, start: Start) -> None:
        self.abandoned = threading.Event()
        self._taken = self._given = 0  # bytes: one thread counts each
        self._service, self._start = service, start
        self._heard = HeardVoice(start.recognizer.extractor, start.recognizer.pitch_by_speaker)
        self._sound: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._texts: asyncio.Queue[dict[str, Any] | BaseException] = asyncio.Queue()
        service.threads.submit(self._work)

    @property
    def pending(self) -> int:
        """Bytes of sound that wait."""
        return self._given - self._taken

    def put(self, sound: bytes | None) -> None:
        """Further samples, or None at the end."""
        self._given += len(sound or b"")
        self._sound.put(sound)

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Each text as soon as it is known, and `done` last.

        Raises:
            RequestError: the service is about to end, or has failed.
        """
        kind = ""
        while kind != "done":
            found = await self._texts.get()
            if isinstance(found, Abandoned):
                raise about_to_end()
            if isinstance(found, BaseException):
                raise RequestError(500, "the service failed", kind=FAILED) from found
            yield found
            kind = found["type"]

    def _tell(self, found: dict[str, Any] | BaseException) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._texts.put_nowait, found)

    def _work(self) -> None:
        live = LiveText(self._recognize, self._start.recognizer.decode.segments)
        number, texts = 0, list[str]()
        try:
            for event in self._events(live):
                self._tell(_message(event, number))
                if event.settled:
                    number += 1
                    texts.append(event.segment.text)
            self._tell({"type": "done", "text": join_texts(texts), "duration": round(live.seconds, 3)})
        except BaseException as error:
            self._tell(error)
        self._service.metrics.transcribed("live", live.seconds)

    def _events(self, live: LiveText) -> Iterator[LiveEvent]:
        resampler, odd = BlockResampler(self._start.sample_rate, SAMPLE_RATE), b""
        kind, zero, full = SAMPLES[self._start.width]
        frame = self._start.width * self._start.channels
        while (sound := self._sound.get()) is not None and not self.abandoned.is_set():
            self._taken += len(sound)
            whole = odd + sound
            odd = whole[len(whole) // frame * frame :]
            frames = np.frombuffer(whole[: len(whole) // frame * frame], kind).reshape(-1, self._start.channels)
            samples = ((frames.astype(np.float32) - zero) / full).mean(axis=1)
            if len(samples):
                yield from live.feed(resampler.add(samples))
        if not self.abandoned.is_set():
            rest = resampler.finish()
            if rest is not None:
                yield from live.feed(rest)
            yield from live.finish()

    def _recognize(self, piece: SpeechSegment) -> Segment:
        if self.abandoned.is_set():
            raise Abandoned
        recognizer = self._start.recognizer
        clip = self._heard.features(piece)
        found = decoded(self._service.batcher.submit(recognizer, clip, self.abandoned, urgent=True))
        return placed(found, piece.start, piece.seconds)


def _message(event: LiveEvent, number: int) -> dict[str, Any]:
    segment = event.segment
    body: dict[str, Any] = {
        "type": "settled" if event.settled else "partial",
        "segment": number,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
    }
    return {**body, "words": words_of(segment)} if event.settled else body
