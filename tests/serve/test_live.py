"""Live text over a WebSocket, of a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from echo_asr.audio.resampling import resample
from echo_asr.decode.transcribe import Recognizer
from echo_asr.serve.service import Limits
from tests.helpers.served import SPOKEN, Served, serving

pytest.importorskip("fastapi")
client = pytest.importorskip("websockets.sync.client")
exceptions = pytest.importorskip("websockets.exceptions")
TOKEN = "a-token-of-some-length"


def pcm(audio: np.ndarray) -> bytes:
    return (np.clip(audio, -1, 1) * 32_767).astype("<i2").tobytes()


@contextmanager
def connected(served: Served, first: Any = None, **options: Any) -> Iterator[Any]:
    """A session that has sent its first message."""
    with client.connect(f"ws://{served.host}/v1/live", proxy=None, **options) as socket:
        socket.send(json.dumps(first if first is not None else {"type": "start"}))
        yield socket


def converse(served: Served, sound: bytes, size: int = 3_200, **start: Any) -> list[dict[str, Any]]:
    """All messages of a session that sends so many bytes at a time."""
    with connected(served, {"type": "start", **start}) as socket:
        for at in range(0, len(sound), size):
            socket.send(sound[at : at + size])
        socket.send(json.dumps({"type": "end"}))
        return [json.loads(message) for message in socket]


def texts(messages: list[dict[str, Any]], kind: str = "settled") -> list[str]:
    return [message["text"] for message in messages if message["type"] == kind]


def refusal(served: Served, first: Any, code: int = 1008, **options: Any) -> dict[str, Any]:
    """The error with which a session ends."""
    with connected(served, first, **options) as socket:
        messages = [json.loads(socket.recv())]
        with pytest.raises(exceptions.ConnectionClosed) as closed:
            while True:
                messages.append(json.loads(socket.recv()))
        assert closed.value.rcvd.code == code
    assert messages[-1]["type"] == "error"
    return messages[-1]["error"]  # type: ignore[no-any-return]


def test_text_is_settled_at_each_pause(served: Served, recognizer: Recognizer) -> None:
    messages = converse(served, pcm(SPOKEN), model="mine")
    assert messages[0] == {"type": "ready", "model": "mine", "sample_rate": 16_000}
    settled = [message for message in messages if message["type"] == "settled"]
    whole = recognizer.transcribe(SPOKEN)
    assert [one["text"] for one in settled] == [segment.text for segment in whole.segments]
    assert [one["segment"] for one in settled] == list(range(len(settled)))
    for one, segment in zip(settled, whole.segments, strict=True):
        assert abs(one["start"] - segment.start) < 0.1 and [w["word"] for w in one["words"]] == one["text"].split()
    assert messages[-1] == {"type": "done", "text": whole.text, "duration": len(SPOKEN) / 16_000}
    assert texts(messages, "partial")


def test_a_settled_text_comes_while_the_microphone_goes_on(served: Served) -> None:
    sound, kinds = pcm(SPOKEN), list[str]()
    with connected(served) as socket:
        for at in range(0, len(sound), 640):
            socket.send(sound[at : at + 640])
        while "settled" not in kinds:
            kinds.append(json.loads(socket.recv(timeout=30))["type"])
    assert kinds[0] == "ready" and "partial" in kinds


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_other_rates_are_resampled(rate: int, served: Served) -> None:
    sound = pcm(resample(SPOKEN, 16_000, rate))
    messages = converse(served, sound, sample_rate=rate)
    assert messages[0]["sample_rate"] == rate and texts(messages)
    assert messages[-1]["duration"] == pytest.approx(len(SPOKEN) / 16_000, abs=0.01)


@pytest.mark.parametrize("size", [333, 100_001])
def test_messages_of_any_size_make_no_difference(size: int, served: Served) -> None:
    assert texts(converse(served, pcm(SPOKEN), size)) == texts(converse(served, pcm(SPOKEN)))


def test_a_session_without_sound_ends(served: Served) -> None:
    assert [message["type"] for message in converse(served, b"")] == ["ready", "done"]


@pytest.mark.parametrize(
    ("first", "param", "code"),
    [
        ({"type": "start", "model": "none"}, "model", "model_not_found"),
        ({"type": "start", "sample_rate": 100}, "sample_rate", "invalid_value"),
        ({"type": "start", "sample_rate": True}, "sample_rate", "invalid_value"),
        ({"type": "stop"}, "type", "invalid_message"),
        ([1], None, "invalid_message"),
    ],
)
def test_a_wrong_beginning_is_named(first: Any, param: str | None, code: str, served: Served) -> None:
    error = refusal(served, first)
    assert (error["param"], error["code"]) == (param, code)


@pytest.mark.parametrize("message", ["x", "[" * 5000, '{"type": "start"}', "{}"])
def test_a_wrong_message_is_named(message: str, served: Served) -> None:
    with connected(served) as socket:
        socket.send(message)
        assert json.loads(socket.recv())["type"] == "ready"
        assert json.loads(socket.recv())["error"]["code"] == "invalid_message"


def test_the_token_comes_in_either_way(recognizer: Recognizer) -> None:
    with serving({"mine": recognizer}, TOKEN) as served:
        for first, options in (
            ({"type": "start", "token": TOKEN}, {}),
            ({"type": "start"}, {"subprotocols": ["echo-asr", f"bearer.{TOKEN}"]}),
            ({"type": "start"}, {"additional_headers": {"Authorization": f"Bearer {TOKEN}"}}),
        ):
            with connected(served, first, **options) as socket:
                assert json.loads(socket.recv())["type"] == "ready"
                assert socket.subprotocol == ("echo-asr" if "subprotocols" in options else None)
        for wrong in ({"type": "start"}, {"type": "start", "token": "x"}, {"type": "start", "token": 3}):
            assert refusal(served, wrong)["code"] == "invalid_api_key"


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}])
def test_a_page_of_another_site_cannot_connect(headers: dict[str, str], served: Served) -> None:
    with pytest.raises(exceptions.InvalidStatus) as refused:
        with connected(served, additional_headers=headers):
            pass
    assert refused.value.response.status_code == 403
    with connected(served, additional_headers={"Origin": served.url}) as socket:
        assert json.loads(socket.recv())["type"] == "ready"


def test_sessions_are_bounded_and_end_with_their_client(recognizer: Recognizer) -> None:
    with serving({"mine": recognizer}, limits=Limits(sessions=1)) as served:
        with connected(served) as socket:
            assert json.loads(socket.recv())["type"] == "ready"
            assert refusal(served, {"type": "start"}, 1013)["code"] == "rate_limit_exceeded"
        end = time.monotonic() + 20
        while served.service.sessions.taken:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert converse(served, b"")[-1]["type"] == "done"
