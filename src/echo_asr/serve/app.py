"""The routes of a service, by FastAPI, which reads their annotations: they are not strings here, as elsewhere."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from echo_asr import __version__
from echo_asr.decode.results import Transcription
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.serve.corrected import ADDED, add_corrected, annotation_file
from echo_asr.serve.errors import DENIED, FAILED, RequestError, too_large
from echo_asr.serve.fields import FIELDS, TranscriptionFields, read_fields
from echo_asr.serve.forms import described_form, read_form, sent_file
from echo_asr.serve.guard import App, Guard
from echo_asr.serve.live import converse
from echo_asr.serve.replies import reply
from echo_asr.serve.service import Service
from echo_asr.serve.uploads import FoundSegment, Upload
from echo_asr.serve.work import Work, save_upload

MOST_CORRECTED = 2**24  # bytes of corrected segments
PAGE = Path(__file__).parent / "page"
# Files of the page and their types, which on some systems would be those of the registry.
PARTS = {
    "style.css": "text/css",
    "words.json": "application/json",
    "main.js": "text/javascript",
    "microphone.js": "text/javascript",
    "service.js": "text/javascript",
    "spectrogram.js": "text/javascript",
    "view.js": "text/javascript",
    "worklet.js": "text/javascript",
}
IGNORED = "X-Echo-Ignored"  # header that names the fields that made no difference


Beside = Callable[[Any], AbstractAsyncContextManager[None]]


def make_app(service: Service, beside: Beside | None = None) -> App:
    """The service as an ASGI application, with all checks before it.

    Args:
        beside: makes a context in which something else is served as long as this is.
    """
    from fastapi import FastAPI, Request, WebSocket
    from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
    from starlette.exceptions import HTTPException

    app = FastAPI(title="Echo", version=__version__, docs_url=None, redoc_url=None, lifespan=beside)

    class Events(StreamingResponse):
        """Events, after which something is closed, also when nobody reads them to their end."""

        def __init__(self, content: Any, after: ExitStack, **options: Any) -> None:
            super().__init__(content, media_type="text/event-stream", **options)
            self._after = after

        async def __call__(self, *arguments: Any) -> None:
            with self._after:
                await super().__call__(*arguments)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the service runs."""
        return {"status": "ok"}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Counters for Prometheus."""
        content, media_type = service.metrics.render()
        return Response(content, media_type=media_type)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The models of the service."""
        return {"object": "list", "data": [service.described(name) for name in service.models]}

    @app.get("/v1/models/{model:path}")
    async def one_model(model: str) -> dict[str, Any]:
        """One of the models."""
        return service.described(model)

    @app.post("/v1/audio/transcriptions", openapi_extra={"requestBody": described_form(FIELDS, ("file", "model"))})
    async def transcriptions(request: Request) -> Response:
        """The transcription of a recording."""
        began = time.monotonic()
        with ExitStack() as stack:
            stack.enter_context(service.requests.take())
            async with read_form(request) as form:
                given = [(n, v) for n, v in form.multi_items() if isinstance(v, str)]
                fields, recognizer = await asyncio.to_thread(_asked, service, given)
                work = Work(*await save_upload(sent_file(form)))
            stack.callback(work.upload.abandoned.set)
            segments = fields.segments or recognizer.decode.segments

            def transcribe(upload: Upload, tell: Callable[[FoundSegment], object]) -> Transcription:
                found = service.uploads.transcribe(upload, recognizer, segments, tell)
                service.metrics.transcribed("file", found.duration, time.monotonic() - began)
                return found

            work.start(transcribe, service.threads)
            gone = asyncio.ensure_future(_disconnected(request))
            stack.callback(gone.cancel)
            result = await work.next_unless(gone)
            headers = {IGNORED: ", ".join(fields.ignored)} if fields.ignored else {}
            if fields.stream and result is not None:
                gone.cancel()  # the response watches by itself
                return Events(work.events(result, fields), stack.pop_all(), headers=headers)
            while result is not None and not isinstance(result, Transcription):
                result = await work.next_unless(gone)
            if result is None:
                return Response(status_code=499)  # which nobody reads
            content, media_type = reply(result, fields, work.upload.name, recognizer.bundle.tokenizer)
            return Response(content, media_type=media_type, headers=headers)

    @app.post("/v1/annotations/{form}")
    async def annotations(form: str, request: Request) -> Response:
        """A file of corrected segments."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_CORRECTED:
                raise too_large(MOST_CORRECTED)
        content = await asyncio.to_thread(annotation_file, bytes(body), form)
        return Response(content, media_type="application/octet-stream")

    @app.get("/v1/corpus")
    async def corpus() -> dict[str, Any]:
        """The name of the corpus to which corrected recordings can be added; null for none."""
        return {"name": service.corpus.resolve().name if service.corpus else None}

    added = {"requestBody": described_form(ADDED, ("file", "segments"))}

    @app.post("/v1/corpus", status_code=201, openapi_extra=added)
    async def add(request: Request) -> dict[str, Any]:
        """Add a corrected recording to the corpus."""
        if service.corpus is None:
            text = "this service adds to no corpus; start it with --corpus FOLDER"
            raise RequestError(403, text, kind=DENIED, code="no_corpus")
        with service.requests.take():
            async with read_form(request, MOST_CORRECTED) as form:
                segments, speaker = (str(form.get(name, "")) for name in ("segments", "speaker"))
                folder, upload = await save_upload(sent_file(form))
            with folder:
                loop = asyncio.get_running_loop()
                clips = await loop.run_in_executor(
                    service.threads, add_corrected, service.corpus, upload, segments, speaker
                )
        return {"clips": clips}

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        """The page."""
        return FileResponse(PAGE / "index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        """A part of the page."""
        if name not in PARTS:
            raise HTTPException(404)
        return FileResponse(PAGE / name, media_type=PARTS[name])

    @app.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        """Live text of a microphone."""
        await converse(service, socket)

    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> Response:
        service.metrics.refused(error.code or error.kind)
        return JSONResponse(error.body, error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def not_found(request: Request, error: HTTPException) -> Response:
        return JSONResponse(
            RequestError(error.status_code, _what(error, request)).body, error.status_code, error.headers
        )

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        text = "the service failed, and has written what happened to its standard error"
        return JSONResponse(RequestError(500, text, kind=FAILED).body, 500)

    async def _disconnected(request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return Guard(app, service.access, service.limits.upload_bytes, service.metrics)


def _what(error: Any, request: Any) -> str:
    """What is wrong with a request that no route takes, or whose form cannot be read."""
    if error.status_code in (404, 405):
        return f"{request.method} {request.url.path[:200]}: there is nothing here; see /openapi.json"
    return str(error.detail)


def _asked(service: Service, items: Sequence[tuple[str, str]]) -> tuple[TranscriptionFields, Recognizer]:
    """What a form asks for, and the recogniser for that.

    Raises:
        RequestError: it cannot be done.
    """
    name = dict(items).get("model", "")
    recognizer = service.recognizer(name) if name else next(iter(service.models.values()))
    fields = read_fields(items, recognizer.decode.segments)
    known = service.languages.get(fields.model)
    if known and not fields.language:
        fields = replace(fields, language=known[0])
    try:
        if fields.grammar.strip():
            return fields, service.listening(recognizer, fields.grammar)
        return fields, recognizer.with_hotwords(fields.keywords) if fields.keywords else recognizer
    except EchoError as error:
        param = "grammar" if fields.grammar.strip() else "keywords"
        raise RequestError(400, str(error), param=param, code="invalid_value") from None
