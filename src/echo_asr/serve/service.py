"""What a service holds while it runs: its models, the thread that decodes, and how much it takes on at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from echo_asr.decode.transcribe import Recognizer
from echo_asr.serve.access import Access
from echo_asr.serve.batcher import Batcher
from echo_asr.serve.errors import RequestError, too_busy
from echo_asr.serve.metrics import Metrics
from echo_asr.serve.uploads import UploadTranscriber
from echo_asr.text.grammar import Grammar

GRAMMARS = 16  # that are kept compiled
MOST_STATES = 200_000  # of a grammar: 10,000 sentences of 20 different characters each


@dataclass(frozen=True)
class Limits:
    """How much a service takes on.

    Raises:
        ValueError: a limit below 1.
    """

    requests: int = 64  # uploads in progress at once, those that wait included
    upload_bytes: int = 512 * 2**20  # of one request
    sessions: int = 8  # of live text at once

    def __post_init__(self) -> None:
        for name, option in (("requests", "requests"), ("upload_bytes", "upload"), ("sessions", "live")):
            if getattr(self, name) < 1:
                raise ValueError(f"--max-{option} must be at least 1")


class Places:
    """Counts what is in progress, up to a limit."""

    def __init__(self, most: int, what: str) -> None:
        self.most, self.what, self.taken = most, what, 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            RequestError: all are taken.
        """
        if self.taken >= self.most:
            raise too_busy(f"the service has {self.taken} {self.what} in progress, and takes no more")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class Service:
    """The state of a service.

    Args:
        models: recognisers by the ids that requests name them by, at least one; the first is that of the page.
        access: who may use it.
        limits: how much it takes on.
        languages: tags of the languages that a model recognises, by its id; a model may have none.
        corpus: folder to which corrected recordings are added, as `open_additions` leaves it; None for none.
    """

    def __init__(
        self,
        models: Mapping[str, Recognizer],
        access: Access,
        limits: Limits | None = None,
        languages: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
        corpus: Path | None = None,
    ) -> None:
        self.models, self.access, self.limits = dict(models), access, limits or Limits()
        self.languages, self.corpus = dict(languages), corpus
        self.metrics = Metrics()
        self.batcher = Batcher(self.metrics.decoded)
        self.uploads = UploadTranscriber(self.batcher)
        self.requests = Places(self.limits.requests, "requests")
        self.sessions = Places(self.limits.sessions, "sessions of live text")
        self.threads = ThreadPoolExecutor(self.limits.requests + self.limits.sessions, "echo-asr request")
        self.metrics.watch(lambda: self.batcher.queued, lambda: self.requests.taken, lambda: self.sessions.taken)
        self.started = int(time.time())
        self.listening = lru_cache(GRAMMARS)(self._listening)  # the same one for requests that are decoded together

    def recognizer(self, name: str) -> Recognizer:
        """The model of an id.

        Raises:
            RequestError: there is none.
        """
        if name not in self.models:
            text = f"the model {name[:80]!r} does not exist here; expected one of {', '.join(self.models)}"
            raise RequestError(404, text, param="model", code="model_not_found")
        return self.models[name]

    def _listening(self, recognizer: Recognizer, grammar: str) -> Recognizer:
        """A recogniser that hears a sentence of a grammar, given as its lines, or nothing.

        Raises:
            EchoError: it is no grammar, or names files, or the model can write none of its sentences.
        """
        return recognizer.with_grammar(replace(Grammar.of(grammar.splitlines(), folder=None), most_states=MOST_STATES))

    def described(self, name: str) -> dict[str, Any]:
        """A model as OpenAI's API describes one."""
        self.recognizer(name)
        return {"id": name, "object": "model", "created": self.started, "owned_by": "echo-asr"}

    def close(self) -> None:
        """Cancel what waits and end all threads."""
        self.batcher.close()
        self.threads.shutdown(cancel_futures=True)
