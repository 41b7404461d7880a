"""One session of live text: sound goes in as it is recorded, and texts come out."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.audio.resampling import BlockResampler
from echo_asr.decode.live import LiveEvent, LiveText
from echo_asr.decode.results import Segment
from echo_asr.decode.segments import SpeechSegment
from echo_asr.decode.transcribe import Recognizer, placed
from echo_asr.serve.errors import FAILED, RequestError, about_to_end
from echo_asr.serve.replies import to_json, words_of
from echo_asr.serve.service import Service
from echo_asr.serve.uploads import Abandoned, decoded
from echo_asr.text.normalize import join_texts


class Socket(Protocol):
    """A WebSocket, as Starlette has it."""

    @property
    def headers(self) -> Any:
        """Of the request, by their names in lower case."""

    async def accept(self, subprotocol: str | None = None) -> None:
        """Open it."""

    async def receive(self) -> Any:
        """The next message, as ASGI has it."""

    async def send_text(self, data: str) -> None:
        """Send a text message."""

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close it."""


@dataclass(frozen=True)
class Start:
    """The first message of a session."""

    recognizer: Recognizer
    model: str
    sample_rate: int  # Hz


async def send_message(socket: Socket, body: dict[str, Any]) -> None:
    """Send an object as a text message."""
    await socket.send_text(to_json(body))


class LiveSession:
    """Recognises what is put into it, in a thread."""

    def __init__(self, service: Service, start: Start) -> None:
        self.abandoned = threading.Event()
        self._taken = self._given = 0  # bytes: one thread counts each
        self._service, self._start = service, start
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

    async def send(self, socket: Socket) -> None:
        """Send each text as soon as it is known, and `done` last.

        Raises:
            RequestError: the service is about to end.
        """
        while True:
            found = await self._texts.get()
            if isinstance(found, Abandoned):
                raise about_to_end()
            if isinstance(found, BaseException):
                raise RequestError(500, "the service failed", kind=FAILED) from found
            await send_message(socket, found)
            if found["type"] == "done":
                return

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
        while (sound := self._sound.get()) is not None and not self.abandoned.is_set():
            self._taken += len(sound)
            whole = odd + sound
            odd = whole[len(whole) // 2 * 2 :]
            samples = np.frombuffer(whole[: len(whole) // 2 * 2], "<i2").astype(np.float32) / 32_768
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
        clip = recognizer.extractor(piece.samples, piece.loudest)
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
