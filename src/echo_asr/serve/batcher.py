"""Decodes clips of several requests together, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from echo_asr.audio.convert import frames_to_seconds
from echo_asr.decode.memory import release_memory
from echo_asr.decode.results import Segment
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import Features

BATCH_SECONDS = 60.0  # of speech decoded together, at most, unless one clip is longer
SHORT_BATCH_SECONDS = 10.0  # the same while somebody waits for live text
PATIENCE = 2.0  # seconds after which a clip goes before urgent ones, one batch in two
TRIM_SECONDS = 300.0  # of speech after which freed memory is returned to the system


@dataclass
class _Item:
    recognizer: Recognizer
    clip: Features
    abandoned: threading.Event
    future: Future[Segment] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return frames_to_seconds(self.clip.frames)


class Batcher:
    """Clips wait in a queue. A thread takes those for the same recogniser that came first, as many as make a batch, and
    decodes them together; what is found does not depend on what else is in the batch.

    Args:
        observe: is told of each batch: how many clips, seconds of speech, and seconds that it took.
    """

    def __init__(self, observe: Callable[[int, float, float], object] = lambda clips, speech, took: None) -> None:
        self._observe = observe
        self._waiting, self._urgent = deque[_Item](), deque[_Item]()
        self._live = 0  # sessions of live text
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="echo-asr decoding", daemon=True)
        self._thread.start()

    def submit(
        self, recognizer: Recognizer, clip: Features, abandoned: threading.Event, urgent: bool = False
    ) -> Future[Segment]:
        """The result of a clip, with its words, once it is decoded. It is cancelled if `abandoned` is set before.

        Args:
            urgent: goes before others, in short batches.
        """
        item = _Item(recognizer, clip, abandoned)
        with self._changed:
            if self._closed:
                item.future.cancel()
                return item.future
            (self._urgent if urgent else self._waiting).append(item)
            self._changed.notify()
        return item.future

    @contextmanager
    def live(self) -> Iterator[None]:
        """While somebody waits for live text batches are short."""
        with self._changed:
            self._live += 1
        try:
            yield
        finally:
            with self._changed:
                self._live -= 1

    @property
    def queued(self) -> int:
        """Clips that wait."""
        return len(self._waiting) + len(self._urgent)

    def close(self) -> None:
        """Cancel what waits, and end the thread once its batch is decoded."""
        with self._changed:
            self._closed = True
            for item in (*self._waiting, *self._urgent):
                item.future.cancel()
            self._waiting.clear()
            self._urgent.clear()
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        trimmed, urgent = 0.0, False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting or self._urgent)
                if self._closed:
                    return
                overdue = urgent and self._waiting and time.monotonic() - self._waiting[0].since > PATIENCE
                urgent = bool(self._urgent) and not overdue
                room = SHORT_BATCH_SECONDS if self._live else BATCH_SECONDS
                batch = _take(self._urgent if urgent else self._waiting, room)
            if batch:
                trimmed += self._decode(batch)
            if trimmed > TRIM_SECONDS:
                release_memory()
                trimmed = 0.0

    def _decode(self, batch: list[_Item]) -> float:
        """Decode clips together, or each by itself if that fails; returns seconds of speech."""
        began, seconds = time.monotonic(), sum(item.seconds for item in batch)
        try:
            found = batch[0].recognizer.recognize([item.clip for item in batch], words=True)
        except Exception as error:
            if len(batch) > 1:  # only the one that cannot be decoded fails
                return sum(self._decode([item]) for item in batch)
            batch[0].future.set_exception(error)
            return seconds
        for item, segment in zip(batch, found, strict=True):
            item.future.set_result(segment)
        self._observe(len(batch), seconds, time.monotonic() - began)
        return seconds


def _take(queue: deque[_Item], room: float) -> list[_Item]:
    """Take the first clip, and those after it for the same recogniser, as far as they fit into so many seconds;
    abandoned ones are cancelled and dropped."""
    batch: list[_Item] = []
    left: list[_Item] = []
    while queue:
        item = queue.popleft()
        if item.abandoned.is_set():
            item.future.cancel()
        elif not batch or (item.recognizer is batch[0].recognizer and item.seconds <= room):
            if item.future.set_running_or_notify_cancel():
                batch.append(item)
                room -= item.seconds
        else:
            left.append(item)
            if item.recognizer is batch[0].recognizer:  # one that comes later does not go before it
                break
    queue.extendleft(reversed(left))
    return batch
