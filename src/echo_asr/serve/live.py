"""Live text over a WebSocket. The messages are described in docs/serving.md.

A client sends a text message `{"type": "start", ...}`, then its microphone as binary messages (16-bit samples, little
endian, one channel), and `{"type": "end"}`. It gets `ready`, then `partial` and `settled` texts, and `done`.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.serve.access import BEARER, SUBPROTOCOL
from echo_asr.serve.errors import RequestError
from echo_asr.serve.guard import bearer_token
from echo_asr.serve.replies import to_json
from echo_asr.serve.service import Service
from echo_asr.serve.session import IDLE_SECONDS, START_SECONDS, Start, run_session

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
            await run_session(service, start, partial(_sound, socket), partial(_send, socket), partial(_closed, socket))
        await socket.close(NORMAL)
    except _Gone:
        return
    except RequestError as error:
        service.metrics.refused(error.code or error.kind)
        codes = {429: BUSY, 500: BROKEN, 503: BUSY}
        with suppress(_Gone, RuntimeError, OSError):  # it is closed already
            await _send(socket, {"type": "error", **error.body})
            await socket.close(codes.get(error.status, REFUSED), str(error).encode()[:120].decode("utf-8", "ignore"))


class _Gone(Exception):
    """The client has closed the connection."""


async def _send(socket: Socket, body: dict[str, Any]) -> None:
    """Send an object as a text message.

    Raises:
        _Gone: the client has gone.
    """
    from starlette.websockets import WebSocketDisconnect

    try:
        await socket.send_text(to_json(body))
    except (WebSocketDisconnect, RuntimeError):
        raise _Gone from None


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
    return Start(service.recognizer(str(name)), str(name), rate)


async def _sound(socket: Socket) -> bytes | None:
    """The next samples, or None at their end."""
    message = await _next(socket, IDLE_SECONDS)
    if isinstance(message, bytes):
        return message
    if _object(message, "a JSON object").get("type") == "end":
        return None
    raise RequestError(400, 'expected sound, or {"type": "end"}', param="type", code="invalid_message")


async def _closed(socket: Socket) -> None:
    """Wait until the client goes; what else it sends after the end makes no difference."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    raise _Gone
