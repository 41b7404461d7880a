"""The events of the Wyoming protocol: a JSON object on a line, and the bytes that it says follow."""

from __future__ import annotations

import asyncio
from typing import Any

from echo_asr import __version__
from echo_asr.serve.errors import RequestError
from echo_asr.serve.service import Service

PART_BYTES = 2**20  # that may follow the line of an event as data, and as sound, at most
LINE_BYTES = 2**16
MOST_TERMS = 1000  # words to expect
ABOUT = "https://github.com/OHF-Voice/wyoming"


class EventReader:
    """The events that a client sends, in bounds: the library reads as many bytes as an event says that it has."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._line = b""

    async def readline(self) -> bytes:
        """For the library."""
        try:
            self._line = await self._stream.readline()
        except ValueError:
            raise wrong(f"the line of an event has at most {LINE_BYTES} bytes", "event_too_large") from None
        return self._line

    async def readexactly(self, count: int) -> bytes:
        """For the library."""
        if type(count) is not int or count > PART_BYTES:
            raise wrong(f"a part of an event has at most {PART_BYTES} bytes", "event_too_large")
        return await self._stream.readexactly(count)

    async def next(self, seconds: float) -> Any:
        """The next event, or None when the client has gone.

        Raises:
            RequestError: none came in time, or it is none.
            EOFError: the client has gone in the middle of one.
        """
        from wyoming.event import async_read_event

        try:
            event = await asyncio.wait_for(async_read_event(self), seconds)  # type: ignore[arg-type]
        except TimeoutError:
            raise RequestError(408, f"nothing was sent for {seconds:.0f} s", code="idle") from None
        except (TypeError, AttributeError, KeyError, RecursionError):
            raise _no_event() from None
        if event is None and not self._line and self._stream.at_eof():
            return None
        if event is None or not isinstance(event.type, str) or not isinstance(event.data, dict):
            raise _no_event()
        return event


def wrong(text: str, code: str = "invalid_message") -> RequestError:
    """The refusal of an event."""
    return RequestError(400, text, code=code)


def _no_event() -> RequestError:
    return wrong("expected an event of the Wyoming protocol: a JSON object on a line, and what it announces")


def read_word(event: Any, name: str) -> str:
    """The text of a field of an event; empty where there is none.

    Raises:
        RequestError: it is none.
    """
    value = event.data.get(name)
    if value is not None and not isinstance(value, str):
        raise wrong(f"{name}: expected a text")
    return value or ""


def read_words(event: Any, name: str) -> list[str]:
    """The texts of a list in an event; none where there is no list.

    Raises:
        RequestError: it is no list of texts, or a very long one.
    """
    value = event.data.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value) or len(value) > MOST_TERMS:
        raise wrong(f"{name}: expected at most {MOST_TERMS} texts")
    return [one for one in value if one.strip()]


def make_info(service: Service) -> Any:
    """What the service is, for `describe`."""
    from wyoming.info import AsrModel, AsrProgram, Attribution, Info

    own: Any = {"attribution": Attribution("Echo", ABOUT), "installed": True, "version": __version__}
    models = [
        AsrModel(name=name, description=name, languages=list(service.languages.get(name, ())), **own)
        for name in service.models
    ]
    about = "Speech recognition by models trained with Echo"
    return Info([AsrProgram(name="Echo", description=about, models=models, supports_transcript_streaming=True, **own)])
