"""Live text over a WebSocket. The messages are described in docs/serving.md.

A client sends a text message `{"type": "start", ...}`, then its microphone as binary messages (16-bit samples, little
endian, one channel), and `{"type": "end"}`. It gets `ready`, then `partial` and `settled` texts, and `done`.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.serve.access import BEARER, SUBPROTOCOL
from echo_asr.serve.errors import RequestError
from echo_asr.serve.guard import bearer_token
from echo_asr.serve.service import Service
from echo_asr.serve.session import LiveSession, Socket, Start, send_message

LOWEST_RATE, HIGHEST_RATE = 8_000, 96_000  # Hz, of a microphone
START_SECONDS = 10.0  # in which the first message has to come
IDLE_SECONDS = 60.0  # without a message, after which a session ends
MOST_PENDING = 2**22  # bytes of sound that wait; then no more is received for a while
NORMAL, REFUSED, BUSY, BROKEN = 1000, 1008, 1013, 1011  # codes with which a WebSocket is closed


async def converse(service: Service, socket: Socket) -> None:
    """Serve one session from its beginning to its end."""
    offered = [name.strip() for name in socket.headers.get("sec-websocket-protocol", "").split(",")]
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
    tokens = [bearer_token(socket.headers.get("authorization", ""))]
    tokens += [name.removeprefix(BEARER) for name in offered if name.startswith(BEARER)]
    try:
        start = _read_start(service, await _next(socket, START_SECONDS), tokens)
        with service.sessions.take(), service.batcher.live():
            await send_message(socket, {"type": "ready", "model": start.model, "sample_rate": start.sample_rate})
            await _listen(service, socket, start)
        await socket.close(NORMAL)
    except _Gone:
        return
    except RequestError as error:
        service.metrics.refused(error.code or error.kind)
        codes = {429: BUSY, 500: BROKEN, 503: BUSY}
        with suppress(RuntimeError, OSError):  # it is closed already
            await send_message(socket, {"type": "error", **error.body})
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
    session = LiveSession(service, start)
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
