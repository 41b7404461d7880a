"""The transcription of one upload in a thread, awaited by the event loop that answers the request."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from echo_asr.decode.results import Transcription
from echo_asr.errors import EchoError
from echo_asr.serve.errors import FAILED, RequestError, about_to_end
from echo_asr.serve.fields import TranscriptionFields
from echo_asr.serve.replies import delta_event, done_event, to_json
from echo_asr.serve.uploads import Abandoned, FoundSegment, Upload, safe_suffix, shown_name
from echo_asr.text.normalize import join_texts

CHUNK = 2**20  # bytes of an upload that are copied at a time
ALIVE_SECONDS = 10.0  # between comments that keep a stream of events open

Transcribe = Callable[[Upload, Callable[[FoundSegment], object]], Transcription]


class SentFile(Protocol):
    """A file in a form, as Starlette reads it."""

    filename: str | None

    async def read(self, size: int = -1) -> bytes:
        """The next bytes."""


class Work:
    """Transcribes an upload.

    Args:
        folder: of the file, removed when the work has ended.
        upload: in that folder.
    """

    def __init__(self, folder: tempfile.TemporaryDirectory[str], upload: Upload) -> None:
        self.upload = upload
        self._folder = folder
        self._results: asyncio.Queue[FoundSegment | Transcription | BaseException] = asyncio.Queue()

    def start(self, transcribe: Transcribe, threads: Executor) -> None:
        """Begin, in one of the threads."""
        loop = asyncio.get_running_loop()

        def tell(result: FoundSegment | Transcription | BaseException) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._results.put_nowait, result)

        def work() -> None:
            try:
                tell(transcribe(self.upload, tell))
            except BaseException as error:
                tell(error)
            finally:
                self._folder.cleanup()

        threads.submit(work)

    async def next(self) -> FoundSegment | Transcription:
        """The next segment, and after the last one the transcription.

        Raises:
            RequestError: the file cannot be read, or the service is about to end.
        """
        result = await self._results.get()
        if isinstance(result, EchoError):
            raise RequestError(400, str(result), param="file", code="invalid_file") from None
        if isinstance(result, Abandoned):
            raise about_to_end()
        if isinstance(result, MemoryError):
            raise RequestError(503, "the service is out of memory; send a shorter recording", kind=FAILED)
        if isinstance(result, BaseException):
            raise result
        return result

    async def next_unless(self, gone: Awaitable[None]) -> FoundSegment | Transcription | None:
        """The next result, or None if `gone` comes first, and with it nobody who waits."""
        waiting = asyncio.ensure_future(self.next())
        other = asyncio.ensure_future(gone)
        await asyncio.wait({waiting, other}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            return None
        return waiting.result()

    async def events(self, first: FoundSegment | Transcription, fields: TranscriptionFields) -> AsyncIterator[str]:
        """Server-sent events: the text of each segment, and at the end all of it."""
        result, texts = first, list[str]()
        while isinstance(result, FoundSegment):
            before = join_texts(texts)
            texts.append(result.segment.text)
            delta = join_texts(texts)[len(before) :]
            yield _event(delta_event(delta, result.segment, result.f0, fields))
            waiting = asyncio.ensure_future(self.next())
            try:
                while not (await asyncio.wait({waiting}, timeout=ALIVE_SECONDS))[0]:
                    yield ": still at work\n\n"
                result = waiting.result()
            except RequestError as error:
                yield _event(error.body)
                return
            finally:
                waiting.cancel()
        yield _event(done_event(result, fields))


def _event(body: object) -> str:
    return f"data: {to_json(body)}\n\n"


async def save_upload(file: SentFile) -> tuple[tempfile.TemporaryDirectory[str], Upload]:
    """Copy a sent file to one with its ending, since some formats are known by that, in a folder of its own.

    Raises:
        RequestError: there is no room for it.
    """
    name = shown_name(file.filename)
    try:
        folder = tempfile.TemporaryDirectory(prefix="echo-asr-", ignore_cleanup_errors=True)
        path = Path(folder.name, f"recording{safe_suffix(name)}")
        with path.open("wb") as copy:
            while chunk := await file.read(CHUNK):
                await asyncio.to_thread(copy.write, chunk)
    except OSError as error:
        text = f"the service has no room for the recording ({error.strerror}); try again later"
        raise RequestError(503, text, kind=FAILED, code="no_room") from None
    return folder, Upload(path, name, threading.Event())
