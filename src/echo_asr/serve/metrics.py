"""What a service counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ROUTES = (
    "/",
    "/health",
    "/metrics",
    "/v1/models",
    "/v1/audio/transcriptions",
    "/v1/corpus",
)  # others are counted together


class Metrics:
    """Counters of one service, in a registry of their own. Names begin with `echo_asr_`."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        into: dict[str, Any] = {"registry": self._registry, "namespace": "echo_asr"}
        seconds = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
        self._responses = Counter("responses", "Responses, by route and status", ["route", "status"], **into)
        self._refused = Counter("refused", "Requests refused before they were worked on, by reason", ["reason"], **into)
        self._took = Histogram("request_seconds", "Seconds from upload to response", buckets=seconds, **into)
        self._audio = Counter("audio_seconds", "Seconds of audio transcribed, by source", ["source"], **into)
        self._clips = Histogram("batch_clips", "Clips decoded together", buckets=(1, 2, 4, 8, 16, 32), **into)
        self._speech = Counter("speech_seconds", "Seconds of speech decoded", **into)
        self._busy = Counter("decoding_seconds", "Seconds spent on decoding", **into)
        self._queued = Gauge("queued_clips", "Clips that wait to be decoded", **into)
        self._requests = Gauge("requests", "Requests in progress", **into)
        self._sessions = Gauge("live_sessions", "Sessions of live text", **into)

    def watch(self, queued: Callable[[], int], requests: Callable[[], int], sessions: Callable[[], int]) -> None:
        """Where the values of gauges come from."""
        self._queued.set_function(queued)
        self._requests.set_function(requests)
        self._sessions.set_function(sessions)

    def responded(self, path: str, status: int) -> None:
        """A response was begun."""
        self._responses.labels(path if path in ROUTES else "other", str(status)).inc()

    def refused(self, reason: str) -> None:
        """A request was refused."""
        self._refused.labels(reason).inc()

    def transcribed(self, source: str, audio: float, took: float | None = None) -> None:
        """So many seconds of audio were transcribed, of `file` or `live`, in so many seconds."""
        self._audio.labels(source).inc(audio)
        if took is not None:
            self._took.observe(took)

    def decoded(self, clips: int, speech: float, took: float) -> None:
        """A batch was decoded."""
        self._clips.observe(clips)
        self._speech.inc(speech)
        self._busy.inc(took)

    def render(self) -> tuple[bytes, str]:
        """All values in Prometheus's text format, and its media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST
