"""Who may connect to a Wyoming server, which has no token, and the server."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from echo_asr.errors import EchoError
from echo_asr.serve.access import is_loopback
from echo_asr.serve.service import Places, Service
from echo_asr.serve.wyoming.connection import Connection, Network
from echo_asr.serve.wyoming.events import LINE_BYTES

PORT = 10300  # of speech recognition, by custom
CONNECTIONS = 64  # at once
ENDING_SECONDS = 10.0  # in which texts can be finished when the service ends


def read_address(address: str) -> tuple[str, int]:
    """The host and port of an address such as `tcp://127.0.0.1:10300`.

    Raises:
        EchoError: it is none.
    """
    with suppress(ValueError):
        parts = urlsplit(address)
        if parts.scheme == "tcp" and parts.hostname and not parts.path.strip("/"):
            return parts.hostname, PORT if parts.port is None else parts.port
    raise EchoError(f"--wyoming {address}: expected an address such as tcp://127.0.0.1:{PORT}")


def read_networks(host: str, given: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks whose machines may connect, besides this one.

    Raises:
        EchoError: one is none, or the service listens to other machines and none is given.
    """
    if not given and not is_loopback(host):
        what = f"--wyoming on {host}: this protocol has no token; name the machines that may connect"
        raise EchoError(f"{what}, as --wyoming-allow 192.168.1.10 (Home Assistant) or --wyoming-allow 192.168.1.0/24")
    try:
        return tuple(ipaddress.ip_network(one, strict=False) for one in given)
    except ValueError as error:
        raise EchoError(f"--wyoming-allow: {error}; expected an address or a network, as 192.168.1.0/24") from None


@asynccontextmanager
async def wyoming_server(service: Service, bound: socket.socket, allowed: tuple[Network, ...]) -> AsyncIterator[None]:
    """Serves on a bound socket until the context ends; what is being recognised then has some seconds to end.

    Args:
        allowed: networks whose machines may connect, besides this one.
    """
    connections, busy = Places(CONNECTIONS, "connections"), set[Connection]()
    tasks: dict[asyncio.Task[None], Connection] = {}

    async def serve(connection: Connection, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, EOFError):  # the client has gone
                await connection.run(connections, allowed)
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(service, reader, writer, busy)
        task = asyncio.ensure_future(serve(connection, writer))
        tasks[task] = connection
        task.add_done_callback(tasks.pop)

    server = await asyncio.start_server(connected, sock=bound, limit=LINE_BYTES)
    try:
        yield
    finally:
        server.close()
        for task, connection in tasks.items():
            if connection not in busy:
                task.cancel()
        if tasks:
            await asyncio.wait(set(tasks), timeout=ENDING_SECONDS)
        for task in list(tasks):
            task.cancel()
