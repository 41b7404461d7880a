"""One client of a Wyoming server."""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.serve.errors import DENIED, RequestError
from echo_asr.serve.service import Places, Service
from echo_asr.serve.session import IDLE_SECONDS, Start, run_session
from echo_asr.serve.wyoming.events import EventReader, make_info, read_word, read_words, wrong
from echo_asr.text.normalize import join_texts

OPEN_SECONDS = 600.0  # that a connection stays open without an event
LONGEST = 3600.0  # seconds of sound up to audio-stop
REFUSED_SECONDS = 2.0  # for which what a refused client sends is dropped, so that it gets to read why
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass
class _Wanted:
    """What a client has asked for, until the next text."""

    name: str = ""
    language: str = ""
    terms: list[str] = field(default_factory=list)


class Connection:
    """Serves one client.

    Args:
        busy: connections whose sound is being recognised; this one is among them while its is.
    """

    def __init__(
        self,
        service: Service,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        busy: set[Connection],
    ) -> None:
        self._service, self._stream, self._writer, self._busy = service, reader, writer, busy
        self._reader = EventReader(reader)
        self._wanted = _Wanted()
        self._texts: list[str] = []

    async def run(self, connections: Places, allowed: tuple[Network, ...]) -> None:
        """Answer events until the client goes, or sends what cannot be answered."""
        from wyoming.error import Error

        try:
            self._check_peer(allowed)
            with connections.take():
                while (event := await self._reader.next(OPEN_SECONDS)) is not None:
                    await self._answer(event)
        except RequestError as error:
            self._service.metrics.refused(error.code or error.kind)
            await self._write(Error(str(error), error.code))
            await self._drop()

    async def _drop(self) -> None:
        self._writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(REFUSED_SECONDS):
                while await self._stream.read(2**16):
                    pass

    def _check_peer(self, allowed: tuple[Network, ...]) -> None:
        address = ipaddress.ip_address(str(self._writer.get_extra_info("peername")[0]).partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if not address.is_loopback and not any(address in network for network in allowed):
            text = f"{address} may not use this service; start it with --wyoming-allow {address}"
            raise RequestError(403, text, kind=DENIED, code="address_not_allowed")

    async def _answer(self, event: Any) -> None:
        from wyoming.ping import Ping, Pong

        if event.type == "describe":
            await self._write(make_info(self._service))
        elif event.type == "ping":
            await self._write(Pong(Ping.from_event(event).text))
        elif event.type == "transcribe":
            terms = [*read_words(event, "transcript_names"), *read_words(event, "transcript_terms")]
            self._wanted = _Wanted(read_word(event, "name"), read_word(event, "language"), terms)
            self._model(self._wanted)
        elif event.type == "audio-start":
            await self._transcribe(event)
        elif event.type in ("audio-chunk", "audio-stop"):
            raise wrong(f"{event.type} came before audio-start")
        # Others are for other services, and make no difference.

    async def _transcribe(self, start: Any) -> None:
        """Take the sound that follows, and answer with its text: that of each segment once it is known, and all of
        it."""
        wanted, self._wanted = self._wanted, _Wanted()
        name = self._model(wanted)
        language = wanted.language or next(iter(self._service.languages.get(name, ())), None)
        recognizer = await asyncio.to_thread(_expecting, self._service.recognizer(name), wanted.terms)
        begun = Start(recognizer, name, *(start.data.get(key) for key in ("rate", "width", "channels")))
        left = round(LONGEST * begun.sample_rate) * begun.width * begun.channels
        self._texts = []

        async def receive() -> bytes | None:
            nonlocal left
            while True:
                event = await self._reader.next(IDLE_SECONDS)
                if event is None:
                    raise EOFError
                if event.type == "audio-stop":
                    return None
                if event.type == "audio-chunk":
                    for key in ("rate", "width", "channels"):
                        if event.data.get(key) != start.data[key]:
                            raise wrong(f"{key} of an audio-chunk is not that of audio-start")
                    left -= len(event.payload or b"")
                    if left < 0:
                        raise wrong(f"the sound lasts more than {LONGEST:.0f} s; send it in parts", "audio_too_long")
                    return event.payload or b""
                if event.type in ("audio-start", "transcribe"):
                    raise wrong(f"{event.type} came before audio-stop")
                await self._answer(event)

        async def gone() -> None:
            while not (self._stream.at_eof() or self._writer.is_closing()):
                await asyncio.sleep(0.1)
            raise EOFError

        async def send(message: dict[str, Any]) -> None:
            await self._tell(message, language)

        with self._service.sessions.take(), self._service.batcher.live():
            self._busy.add(self)
            try:
                await run_session(self._service, begun, receive, send, gone)
            finally:
                self._busy.remove(self)

    async def _tell(self, message: dict[str, Any], language: str | None) -> None:
        from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart, TranscriptStop

        if message["type"] == "settled" and message["text"]:
            if not self._texts:
                await self._write(TranscriptStart(language=language))
            before = join_texts(self._texts)
            self._texts.append(message["text"])
            await self._write(TranscriptChunk(join_texts(self._texts)[len(before) :]))
        elif message["type"] == "done":
            if not self._texts:
                await self._write(TranscriptStart(language=language))
            await self._write(Transcript(message["text"], language=language))
            await self._write(TranscriptStop())

    def _model(self, wanted: _Wanted) -> str:
        """The id of the model that is asked for by its id, or else by its language, or else the first one.

        Raises:
            RequestError: there is none of that id.
        """
        if wanted.name:
            self._service.recognizer(wanted.name)
            return wanted.name
        languages = {name: [tag.lower() for tag in own] for name, own in self._service.languages.items()}
        asked = wanted.language.lower()
        exact = (name for name, own in languages.items() if asked in own)
        close = (name for name, own in languages.items() if any(_same_language(asked, tag) for tag in own))
        return next(exact, None) or next(close, None) or next(iter(self._service.models))

    async def _write(self, event: Any) -> None:
        from wyoming.event import async_write_event

        await async_write_event(event.event(), self._writer)


def _same_language(one: str, other: str) -> bool:
    return one.partition("-")[0] == other.partition("-")[0]


def _expecting(recognizer: Recognizer, terms: list[str]) -> Recognizer:
    """A recogniser that expects these words, too; those that the model cannot spell are left out, since they are hints
    that a house gives to any recogniser."""
    if not terms:
        return recognizer
    spelt = []
    for term in terms:
        with suppress(EchoError):
            recognizer.with_hotwords([term])
            spelt.append(term)
    return recognizer.with_hotwords(spelt) if spelt else recognizer
