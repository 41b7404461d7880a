"""Live text over a WebSocket. The messages are described in docs/serving.md.

A client sends a text message `{"type": "start", ...}`, then its microphone as binary messages (16-bit samples, little
endian, one channel), and `{"type": "end"}`. It gets `ready`, then `partial` and `settled` texts, and `done`.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds
from echo_asr.audio.resampling import BlockResampler
from echo_asr.decode.live import LiveEvent, LiveText
from echo_asr.decode.results import Segment
from echo_asr.decode.segments import SpeechSegment
from echo_asr.decode.transcribe import Recognizer, placed
from echo_asr.serve.access import BEARER, SUBPROTOCOL
from echo_asr.serve.errors import FAILED, RequestError
from echo_asr.serve.guard import bearer_token
from echo_asr.serve.replies import to_json, words_of
from echo_asr.serve.service import Service
from echo_asr.serve.uploads import Abandoned
from echo_asr.text.normalize import join_texts

LOWEST_RATE, HIGHEST_RATE = 8_000, 96_000  # Hz, of a microphone
START_SECONDS = 10.0  # in which the first message has to come
IDLE_SECONDS = 60.0  # without a message, after which a session ends
MOST_PENDING = 2**22  # bytes of sound that wait; then no more is received for a while
NORMAL, REFUSED, BUSY, BROKEN = 1000, 1008, 1013, 1011  # codes with which a WebSocket is closed


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


async def converse(service: Service, socket: Socket) -> None:
    """Serve one session from its beginning to its end."""
    offered = [name.strip() for name in socket.headers.get("sec-websocket-protocol", "").split(",")]
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
    tokens = [bearer_token(socket.headers.get("authorization", ""))]
    tokens += [name.removeprefix(BEARER) for name in offered if name.startswith(BEARER)]
    try:
        start = _read_start(service, await _next(socket, START_SECONDS), tokens)
        with service.sessions.take(), service.batcher.live():
            await _send(socket, {"type": "ready", "model": start.model, "sample_rate": start.sample_rate})
            await _listen(service, socket, start)
        await socket.close(NORMAL)
    except _Gone:
        return
    except RequestError as error:
        service.metrics.refused(error.code or error.kind)
        codes = {429: BUSY, 500: BROKEN, 503: BUSY}
        with suppress(RuntimeError, OSError):  # it is closed already
            await _send(socket, {"type": "error", **error.body})
            await socket.close(codes.get(error.status, REFUSED), str(error).encode()[:120].decode("utf-8", "ignore"))


class _Gone(Exception):
    """The client has closed the connection."""


async def _next(socket: Socket, seconds: float) -> str | bytes:
    """The next message, text or binary.

    Raises:
        _Gone: the client has gone.
        RequestError: none came in time.
    """
    try:
        message = await asyncio.wait_for(socket.receive(), seconds)
    except TimeoutError:
        raise RequestError(408, f"nothing was sent for {seconds:.0f} s", code="idle") from None
    if message["type"] == "websocket.disconnect":
        raise _Gone
    content: str | bytes | None = message.get("text")
    return (message.get("bytes") or b"") if content is None else content


async def _send(socket: Socket, body: dict[str, Any]) -> None:
    await socket.send_text(to_json(body))


def _object(message: str | bytes, expected: str) -> dict[str, Any]:
    try:
        found = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RequestError(400, f"expected {expected}", code="invalid_message")
    return found


def _read_start(service: Service, message: str | bytes, tokens: list[str]) -> Start:
    """Check a first message.

    Args:
        tokens: that came with the request.

    Raises:
        RequestError: it is none, or without the token, or names what is not there.
    """
    found = _object(message, 'a text message {"type": "start"} first')
    given = [*tokens, *([found["token"]] if isinstance(found.get("token"), str) else [])]
    if not any(service.access.token_valid(token) for token in given):
        text = "expected the token of this service, in the first message or as the subprotocol bearer.TOKEN"
        raise RequestError(401, text, param="token", code="invalid_api_key")
    if found.get("type") != "start":
        raise RequestError(400, 'expected a text message {"type": "start"} first', param="type", code="invalid_message")
    name = found.get("model", next(iter(service.models)))
    rate = found.get("sample_rate", SAMPLE_RATE)
    if not isinstance(rate, int) or isinstance(rate, bool) or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        text = f"sample_rate: expected a whole number of {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        raise RequestError(400, text, param="sample_rate", code="invalid_value")
    return Start(service.recognizer(str(name)), str(name), rate)


async def _listen(service: Service, socket: Socket, start: Start) -> None:
    """Take sound and send texts until the end, or until the client goes."""
    session = _Session(service, start)
    sending = asyncio.ensure_future(session.send(socket))
    try:
        while not sending.done():
            receiving = asyncio.ensure_future(_next(socket, IDLE_SECONDS))
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                receiving.cancel()
                break
            message = receiving.result()
            if isinstance(message, bytes):
                session.put(message)
                while session.pending > MOST_PENDING and not sending.done():
                    await asyncio.sleep(0.02)
            elif _object(message, "a JSON object").get("type") == "end":
                session.put(None)
                break
            else:
                raise RequestError(400, 'expected sound, or {"type": "end"}', param="type", code="invalid_message")
        await sending
    finally:
        session.abandoned.set()
        session.put(None)
        sending.cancel()


class _Session:
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
                raise RequestError(503, "the service is about to end; try again later", kind=FAILED, code="ending")
            if isinstance(found, BaseException):
                raise RequestError(500, "the service failed", kind=FAILED) from found
            await _send(socket, found)
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
        try:
            found = self._service.batcher.submit(recognizer, clip, self.abandoned, urgent=True).result()
        except CancelledError:
            raise Abandoned from None
        return placed(found, piece.start, samples_to_seconds(len(piece.samples)))


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
