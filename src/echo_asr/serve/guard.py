"""Checks every request before the service sees it: `Host`, `Origin`, token, and the size of its body (ASGI)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from echo_asr.serve.access import Access
from echo_asr.serve.errors import DENIED, RequestError, too_large
from echo_asr.serve.metrics import Metrics
from echo_asr.serve.replies import to_json

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/", "/health")  # need no token, and so do those below /page/
DRAINED = 64 * 2**20  # bytes of a body that are read and dropped, so that the client gets to read why it was refused
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
}


class Guard:
    """Passes on the requests that are allowed, and answers the others.

    Args:
        app: the service.
        access: who may use it.
        most_bytes: of a request's body.
        metrics: count responses and refusals.
    """

    def __init__(self, app: App, access: Access, most_bytes: int, metrics: Metrics) -> None:
        self._app, self._access, self._most, self._metrics = app, access, most_bytes, metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        error = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if error is not None:
                self._metrics.refused(error.code or error.kind)
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": str(error)[:120]})
            else:
                await self._app(scope, receive, send)
            return
        body, send = _Body(receive, self._most), self._counted(scope["path"], send)
        stated = headers.get("content-length", "0")
        if error is None and stated.isdigit() and int(stated) > self._most:
            error = too_large(self._most)
        if error is not None:
            self._metrics.refused(error.code or error.kind)
            if "100-continue" not in headers.get("expect", ""):
                await body.drain()
            await respond(send, error)
            return
        answer = _Answer(send, body)
        try:
            await self._app(scope, body.receive, answer.send)
        except _TooLarge:
            pass
        if body.exceeded and not answer.begun:
            self._metrics.refused("file_too_large")
            await body.drain()
            await respond(send, too_large(self._most))

    def _counted(self, path: str, send: Send) -> Send:
        """Counts a response, and adds `HEADERS` to it, unless it has its own."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.responded(path, message["status"])
                own = {name.lower() for name, _ in message.get("headers", ())}
                new = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in own]
                message = {**message, "headers": [*message.get("headers", ()), *new]}
            await send(message)

        return sending

    def _refusal(self, scope: Message, headers: dict[str, str]) -> RequestError | None:
        """Why a request is refused, by its headers; the token of a WebSocket may come later."""
        host = headers.get("host", "")
        if not self._access.host_allowed(host):
            text = f"the service does not go by the name {host[:80]!r}; start it with --allow-host NAME"
            return RequestError(403, text, kind=DENIED, code="host_not_allowed")
        if not self._access.origin_allowed(headers.get("origin"), host):
            text = "pages of other sites may not use this service; start it with --allow-origin ADDRESS"
            return RequestError(403, text, kind=DENIED, code="origin_not_allowed")
        if scope["type"] == "websocket" or scope["path"] in OPEN_PATHS or scope["path"].startswith("/page/"):
            return None
        if not self._access.token_valid(bearer_token(headers.get("authorization", ""))):
            text = "expected the token of this service, as Authorization: Bearer TOKEN"
            wanted = {"WWW-Authenticate": "Bearer"}
            return RequestError(401, text, code="invalid_api_key", headers=wanted)
        return None


def bearer_token(header: str) -> str:
    """The token in an `Authorization` header; empty where there is none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class _TooLarge(Exception):
    """A body has more bytes than are taken."""


class _Body:
    """The body of a request, of which at most so many bytes are passed on."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left = receive, most
        self.complete = self.exceeded = False

    async def receive(self) -> Message:
        """The next message, as ASGI has it."""
        message = await self._receive()
        if message["type"] != "http.request":
            self.complete = True
            return message
        self._left -= len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        if self._left < 0:
            self.exceeded = True
            raise _TooLarge
        return message

    async def drain(self) -> None:
        """Read and drop what is left of the body, up to a bound."""
        dropped = 0
        while not self.complete and dropped < DRAINED:
            message = await self._receive()
            dropped += len(message.get("body", b""))
            self.complete = message["type"] != "http.request" or not message.get("more_body", False)


class _Answer:
    """Sends a response once the body of the request has been read: a client that is still sending would not read it."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send, self._body = send, body
        self.begun = False

    async def send(self, message: Message) -> None:
        if self._body.exceeded and not self.begun:
            return  # the framework's own answer to a body that broke off
        if message["type"] == "http.response.start":
            await self._body.drain()
            self.begun = True
        await self._send(message)


async def respond(send: Send, error: RequestError) -> None:
    """Send a refusal as a response of HTTP."""
    body = to_json(error.body).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
