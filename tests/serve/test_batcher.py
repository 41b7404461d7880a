"""Which clips are decoded together, in which order, and what happens when one fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from echo_asr.decode.results import Segment
from echo_asr.serve.batcher import BATCH_SECONDS, SHORT_BATCH_SECONDS, Batcher


class Clip:
    """A clip of so many seconds, with a name."""

    def __init__(self, name: str, seconds: float = 1.0) -> None:
        self.name, self.frames = name, round(seconds * 100)


class Stub:
    """Finds the name of each clip, once it may."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may, self.began = threading.Event(), threading.Event()

    def recognize(self, clips: list[Clip], words: bool) -> list[Segment]:
        self.began.set()
        assert self.may.wait(10)
        names = [clip.name for clip in clips]
        self.batches.append(names)
        if "broken" in names:
            raise RuntimeError("cannot be decoded")
        return [Segment(0.0, 1.0, name) for name in names]


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    made = Batcher()
    yield made
    made.close()


def submit(batcher: Batcher, stub: Stub, name: str, seconds: float = 1.0, **options: Any) -> Any:
    clip: Any = Clip(name, seconds)
    model: Any = stub
    return batcher.submit(model, clip, options.pop("abandoned", threading.Event()), **options)


def held(batcher: Batcher) -> Stub:
    """A recogniser at work on a first clip, so that what follows waits."""
    stub = Stub()
    submit(batcher, stub, "first")
    assert stub.began.wait(10)
    return stub


def test_what_waits_is_decoded_together_in_its_order(batcher: Batcher) -> None:
    stub = held(batcher)
    futures = [submit(batcher, stub, str(number)) for number in range(5)]
    assert batcher.queued == 5
    stub.may.set()
    assert [future.result(10).text for future in futures] == ["0", "1", "2", "3", "4"]
    assert stub.batches == [["first"], ["0", "1", "2", "3", "4"]]


def test_a_batch_has_a_bound_and_a_longer_clip_is_one_by_itself(batcher: Batcher) -> None:
    stub = held(batcher)
    lengths = {"half": BATCH_SECONDS / 2, "most": BATCH_SECONDS, "more": 2 * BATCH_SECONDS, "last": 1.0}
    futures = [submit(batcher, stub, name, seconds) for name, seconds in lengths.items()]
    stub.may.set()
    futures[-1].result(10)
    assert stub.batches[1:] == [["half"], ["most"], ["more"], ["last"]]


def test_a_clip_that_fails_takes_no_other_with_it(batcher: Batcher) -> None:
    stub = held(batcher)
    futures = {name: submit(batcher, stub, name) for name in ("a", "broken", "b")}
    stub.may.set()
    assert futures["a"].result(10).text == "a" and futures["b"].result(10).text == "b"
    with pytest.raises(RuntimeError, match="cannot be decoded"):
        futures["broken"].result(10)


def test_urgent_clips_go_first_and_batches_are_short_meanwhile(batcher: Batcher) -> None:
    stub = held(batcher)
    with batcher.live():
        waiting = [submit(batcher, stub, str(number), SHORT_BATCH_SECONDS) for number in range(2)]
        live = submit(batcher, stub, "live", urgent=True)
        stub.may.set()
        for future in (live, *waiting):
            future.result(10)
    assert stub.batches[1:] == [["live"], ["0"], ["1"]]


def test_abandoned_clips_are_not_decoded(batcher: Batcher) -> None:
    stub, gone = held(batcher), threading.Event()
    dropped, kept = submit(batcher, stub, "dropped", abandoned=gone), submit(batcher, stub, "kept")
    gone.set()
    stub.may.set()
    assert kept.result(10).text == "kept" and dropped.cancelled()
    assert stub.batches == [["first"], ["kept"]]


def test_each_recogniser_has_batches_of_its_own(batcher: Batcher) -> None:
    stub, other = held(batcher), Stub()
    other.may.set()
    futures = [submit(batcher, model, name) for model, name in ((stub, "1"), (other, "2"), (stub, "3"), (other, "4"))]
    stub.may.set()
    for future in futures:
        future.result(10)
    assert stub.batches[1:] == [["1", "3"]] and other.batches == [["2", "4"]]


def test_closing_cancels_what_waits() -> None:
    batcher = Batcher()
    stub = held(batcher)
    waiting = submit(batcher, stub, "waiting")
    closing = threading.Thread(target=batcher.close)
    closing.start()
    stub.may.set()
    closing.join(10)
    assert waiting.cancelled() and submit(batcher, stub, "late").cancelled()
