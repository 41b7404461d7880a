"""The exception for mistakes that a user can correct."""

from __future__ import annotations

import re

LONGEST = 4_000  # characters of a message


class EchoError(Exception):
    """A mistake that the user can correct, described in one line: where, what, and what to do.

    Commands print the message on stderr and end with status 1; Python callers catch it. Any other
    exception is a defect of Echo and keeps its traceback.
    """

    def __init__(self, message: str) -> None:
        message = re.sub(r"\s*[\r\n]+\s*", " ", message)  # names from files may have line breaks
        if len(message) > LONGEST:  # values from files may have any length
            message = f"{message[: LONGEST // 2]} ... {message[-LONGEST // 2 :]}"
        super().__init__(message)
