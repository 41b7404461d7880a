"""A service on a free port of this machine, for as long as a test takes."""

from __future__ import annotations

import http.client
import io
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.decode.load import load_recognizer
from echo_asr.decode.transcribe import Recognizer
from echo_asr.serve.access import make_access
from echo_asr.serve.server import Certificate, Wyoming, listen, make_server
from echo_asr.serve.service import Limits, Service
from tests.helpers.tone_corpus import tone

PAUSE = np.zeros(SAMPLE_RATE, np.float32)
SPOKEN = np.concatenate((PAUSE, tone("a b"), PAUSE, tone("b"), PAUSE, tone("a c"), PAUSE))  # three segments


class Served:
    """A running service and its address."""

    def __init__(self, service: Service, port: int, wyoming_port: int = 0) -> None:
        self.service, self.port, self.wyoming_port = service, port, wyoming_port
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}"


@contextmanager
def serving(
    models: Mapping[str, Recognizer | Path],
    token: str = "",
    limits: Limits | None = None,
    hosts: tuple[str, ...] = (),
    origins: tuple[str, ...] = (),
    certificate: Certificate | None = None,
    languages: Mapping[str, tuple[str, ...]] | None = None,
    networks: tuple[Any, ...] | None = None,
    corpus: Path | None = None,
) -> Iterator[Served]:
    """A service of models, which ends with the block; with `networks` it serves Wyoming's protocol, too."""
    loaded = {
        name: load_recognizer(model, "cpu") if isinstance(model, Path) else model for name, model in models.items()
    }
    service = Service(loaded, make_access("127.0.0.1", token, hosts, origins), limits, languages or {}, corpus)
    bound = listen("127.0.0.1", 0)
    wyoming = None if networks is None else Wyoming(listen("127.0.0.1", 0), networks)
    server = make_server(service, certificate, wyoming)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield Served(service, bound.getsockname()[1], wyoming.bound.getsockname()[1] if wyoming else 0)
    finally:
        server.should_exit = True
        thread.join()
        service.close()


@dataclass(frozen=True)
class Answer:
    """A response: its status, its headers in lower case, and its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error that it holds, which has all that OpenAI's have."""
        (error,) = json.loads(self.body).values()
        assert set(error) == {"message", "type", "param", "code"} and "\n" not in error["message"]
        return error  # type: ignore[no-any-return]


def ask(
    served: Served, path: str, method: str = "GET", body: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """The answer to a request; a body that is an iterator is sent in chunks, without its length."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    try:
        connection.request(method, path, body, dict(headers or {}))
        got = connection.getresponse()
        return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
    finally:
        connection.close()


BOUNDARY = "5e1f"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(content: bytes | None, name: str = "a.wav", **fields: str) -> bytes:
    """The body of a form with a file, if one is given."""
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
    if content is None:
        return "".join([*parts, f"--{BOUNDARY}--\r\n"]).encode()
    parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n')
    return "".join(parts).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def send(served: Served, content: bytes, name: str = "a.wav", headers: Mapping[str, str] | None = None) -> Answer:
    """The answer to a request for the transcription of a file."""
    path = "/v1/audio/transcriptions"
    return ask(served, path, "POST", form(content, name, model="mine"), {**FORM, **(headers or {})})


def wav(audio: np.ndarray, rate: int = SAMPLE_RATE) -> bytes:
    """Samples as a file."""
    file = io.BytesIO()
    soundfile.write(file, audio, rate, format="WAV")
    return file.getvalue()
