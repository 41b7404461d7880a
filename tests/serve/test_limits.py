"""How much a service takes on, and what happens to work that nobody waits for."""

from __future__ import annotations

import copy
import http.client
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from echo_asr.decode.transcribe import Recognizer
from echo_asr.serve.service import Limits
from tests.helpers.served import FORM, Served, ask, form, send, serving, wav
from tests.helpers.tone_corpus import tone

pytest.importorskip("fastapi")
MIB = 2**20


def slowed(recognizer: Recognizer, seconds: float) -> tuple[Recognizer, list[int]]:
    """A recogniser that takes some seconds for each batch, and the sizes of these."""
    slow, sizes = copy.copy(recognizer), list[int]()

    def recognize(clips: Any, words: bool = False) -> Any:
        sizes.append(len(clips))
        time.sleep(seconds)
        return recognizer.recognize(clips, words)

    slow.recognize = recognize  # type: ignore[method-assign]
    return slow, sizes


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="--max-upload must be at least 1"):
        Limits(upload_bytes=0)


def test_an_upload_that_is_too_large_is_refused(recognizer: Recognizer) -> None:
    with serving({"mine": recognizer}, limits=Limits(upload_bytes=MIB)) as served:
        answer = send(served, bytes(3 * MIB))
        assert (answer.status, answer.error["code"]) == (413, "file_too_large") and "1 MiB" in answer.error["message"]
        chunks = (form(bytes(3 * MIB), model="mine")[at : at + MIB] for at in range(0, 3 * MIB, MIB))  # of no length
        answer = ask(served, "/v1/audio/transcriptions", "POST", chunks, FORM)
        assert (answer.status, answer.error["code"]) == (413, "file_too_large")
        assert send(served, wav(tone("a"))).status == 200


def test_too_many_requests_are_told_to_come_again(recognizer: Recognizer) -> None:
    slow, _ = slowed(recognizer, 0.5)
    with serving({"mine": slow}, limits=Limits(requests=2)) as served:
        answers: list[Any] = []
        threads = [threading.Thread(target=lambda: answers.append(send(served, wav(tone("a"))))) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: served.service.requests.taken == 2)
        refused = send(served, bytes(2 * MIB))
        assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
        assert int(refused.headers["retry-after"]) > 0 and ask(served, "/health").status == 200
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [200, 200]
        assert send(served, wav(tone("a"))).status == 200


@pytest.mark.parametrize("stream", ["false", "true"])
def test_work_stops_when_nobody_waits_for_it(
    stream: str, recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    word, pause = tone("a"), np.zeros(16_000, np.float32)
    recording = wav(np.concatenate([word, pause] * 60))
    slow, sizes = slowed(recognizer, 0.2)
    slow.extractor = copy.copy(slow.extractor)
    measure = slow.extractor.measure
    monkeypatch.setattr(slow.extractor, "measure", lambda *segment: time.sleep(0.02) or measure(*segment))
    with serving({"mine": slow}) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        body = form(recording, model="mine", stream=stream)
        connection.request("POST", "/v1/audio/transcriptions", body, FORM)
        if stream == "true":
            assert connection.getresponse().readline().startswith(b"data: ")
        wait_until(lambda: bool(sizes))
        connection.close()
        wait_until(lambda: served.service.requests.taken == 0 and served.service.batcher.queued == 0)
        assert sum(sizes) < 60
        time.sleep(0.3)
        done = len(sizes)
        time.sleep(0.3)
        assert len(sizes) == done
        assert send(served, wav(word)).status == 200


def test_a_service_that_ends_cancels_what_waits(recognizer: Recognizer) -> None:
    slow, sizes = slowed(recognizer, 0.3)
    with serving({"mine": slow}) as served:
        recording = wav(np.concatenate([tone("a"), np.zeros(16_000, np.float32)] * 60))
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(send(served, recording)))
        thread.start()
        wait_until(lambda: bool(sizes))
        served.service.batcher.close()
        thread.join()
    assert (answers[0].status, answers[0].error["code"]) == (503, "ending")


def test_files_do_not_stay(served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for content in (wav(tone("a")), b"no sound"):
        send(served, content)
    wait_until(lambda: not list(tmp_path.iterdir()))
