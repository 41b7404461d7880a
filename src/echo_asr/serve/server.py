"""The server of a service, and the address that it listens on."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from echo_asr.errors import EchoError
from echo_asr.serve.app import make_app
from echo_asr.serve.service import Service
from echo_asr.serve.wyoming.connection import Network
from echo_asr.serve.wyoming.server import wyoming_server

ENDING_SECONDS = 10  # in which requests in progress can end
EXTRA = ("fastapi", "uvicorn", "python_multipart", "websockets", "prometheus_client")
WYOMING_EXTRA = ("wyoming",)
MESSAGE_BYTES = 2**20  # of a WebSocket, at most


@dataclass(frozen=True)
class Certificate:
    """A certificate for HTTPS and its key, files in PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Wyoming:
    """A Wyoming server beside the other: the socket that it listens on, and who may connect besides this machine."""

    bound: socket.socket
    allowed: tuple[Network, ...] = ()


def require_extra(wyoming: bool = False) -> None:
    """Refuse to go on without the libraries of the extra, and with `wyoming` that of its own.

    Raises:
        EchoError: one is not installed.
    """
    for extra, names in (("serve", EXTRA), ("wyoming", WYOMING_EXTRA if wyoming else ())):
        missing = [name for name in names if find_spec(name) is None]
        if missing:
            raise EchoError(f"serve needs {', '.join(missing)}; install the extra: pip install 'echo-asr[{extra}]'")


def listen(host: str, port: int, mend: str = "take another --port or --host") -> socket.socket:
    """A socket that listens on an address; on any free port for port 0.

    Args:
        mend: what to do if it cannot.

    Raises:
        EchoError: the address cannot be listened on.
    """
    if not 0 <= port <= 65_535:  # others would be taken modulo 65,536
        raise EchoError(f"--port: expected 0 to 65535, got {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(128)
        except OSError:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EchoError(f"{host}, port {port}: cannot be listened on ({reason}); {mend}") from None
    bound.set_inheritable(True)
    return bound


def make_server(service: Service, certificate: Certificate | None = None, wyoming: Wyoming | None = None) -> Any:
    """The server of a service, as uvicorn has it, and a Wyoming server with it. Its `run(sockets=[...])` serves until
    SIGINT or SIGTERM, or until `should_exit` is set, and then lets requests in progress end.

    Raises:
        EchoError: the certificate cannot be used.
    """
    import uvicorn

    beside = None if wyoming is None else lambda _: wyoming_server(service, wyoming.bound, wyoming.allowed)
    config = uvicorn.Config(
        make_app(service, beside),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on" if beside else "off",
        timeout_graceful_shutdown=ENDING_SECONDS,
        ws_max_size=MESSAGE_BYTES,
        ssl_certfile=certificate.certificate if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or str(error)
        raise EchoError(f"--certificate, --key: cannot be used ({reason}); expected files in PEM") from None
    return uvicorn.Server(config)
