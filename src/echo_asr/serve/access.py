"""Who may use a service: which names it goes by, which pages may call it, and with which token."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from echo_asr.errors import EchoError

TOKEN_LENGTH = 16  # characters of a token, at least
SUBPROTOCOL = "echo-asr"  # of the WebSocket; a browser gives its token as another one, `bearer.TOKEN`
BEARER = "bearer."
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Access:
    """Rules of access.

    Attributes:
        hosts: names that the service goes by, in lower case; others are refused, so that a page cannot reach it under
            a name of its own (DNS rebinding). Addresses and `localhost` are always accepted.
        origins: pages of other sites that may call it, as `https://example.org`.
        token: that each request has to bring; empty where none is asked for.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    token: str = ""

    def host_allowed(self, host: str) -> bool:
        """Whether the `Host` of a request is a name of the service."""
        name = _name(host)
        return name is not None and (name == "localhost" or name in self.hosts or _is_address(name))

    def origin_allowed(self, origin: str | None, host: str) -> bool:
        """Whether a request may come from where its `Origin` is: no browser (None), the service's own page, or one that
        was allowed."""
        if origin is None or origin.rstrip("/").lower() in self.origins:
            return True
        try:
            parts = urlsplit(origin)
            scheme, netloc = parts.scheme, parts.netloc.lower()
        except ValueError:
            return False
        return scheme in ("http", "https") and netloc == host.lower()

    def token_valid(self, token: str) -> bool:
        """Whether a token is the one that is asked for; any is where none is."""
        return not self.token or hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode())


def make_access(host: str, token: str = "", hosts: tuple[str, ...] = (), origins: tuple[str, ...] = ()) -> Access:
    """The rules for a service that listens on `host`.

    Raises:
        EchoError: it listens to other machines without a token, or the token is short or not of ASCII characters.
    """
    if not token and not is_loopback(host):
        what = f"--host {host}: whoever reaches this machine could use the service; give a token"
        raise EchoError(f"{what} (--token-file FILE, or the variable ECHO_ASR_TOKEN), or listen on 127.0.0.1")
    if token and (len(token) < TOKEN_LENGTH or not all("!" <= c <= "~" for c in token)):
        what = f"the token must have at least {TOKEN_LENGTH} ASCII characters, without spaces"
        raise EchoError(f"{what}; make one: python3 -c 'import secrets; print(secrets.token_urlsafe())'")
    for origin in origins:
        if urlsplit(origin).scheme not in ("http", "https") or not urlsplit(origin).netloc:
            raise EchoError(f"--allow-origin {origin}: expected the address of a site, as https://example.org")
    own = {host, socket.gethostname(), *hosts}
    return Access(frozenset(map(str.lower, own)), frozenset(o.rstrip("/").lower() for o in origins), token)


def is_loopback(host: str) -> bool:
    """Whether an address is one that only this machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name(host: str) -> str | None:
    """The name in a `Host` header, in lower case, without its port; None where there is none."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return None
    return name.rstrip(".") if name and "@" not in host and "/" not in host else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
