"""Refusals of a request, with the body that OpenAI's API gives them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

INVALID, LIMITED, DENIED, FAILED = "invalid_request_error", "requests", "permission_error", "server_error"  # types


class RequestError(Exception):
    """A request that is refused.

    Args:
        status: of HTTP, 400 to 599.
        message: what is wrong and what to do, in one line.
        kind: one of the types above.
        param: the field of the request that is wrong.
        code: a short name of the error, for programs.
        headers: of the response, such as `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.param, self.code, self.headers = status, kind, param, code, dict(headers)

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object of the response: `{"error": {"message", "type", "param", "code"}}`."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}


def too_large(most: int) -> RequestError:
    """The refusal of an upload of more than `most` bytes."""
    text = f"the upload has more than {most / 2**20:.3g} MiB, the most that this service takes; send it in parts"
    return RequestError(413, text, param="file", code="file_too_large")


def about_to_end() -> RequestError:
    """The refusal of a request whose work the end of the service breaks off."""
    return RequestError(503, "the service is about to end; try again later", kind=FAILED, code="ending")


def too_busy(what: str, seconds: int = 2) -> RequestError:
    """The refusal of a request for which there is no place now, but perhaps in some seconds."""
    wait = {"Retry-After": str(seconds)}
    return RequestError(429, f"{what}; try again later", kind=LIMITED, code="rate_limit_exceeded", headers=wait)
