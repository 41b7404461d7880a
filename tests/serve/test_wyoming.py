"""The Wyoming server, with the library's own client over a real socket."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.serve.service import Limits
from echo_asr.serve.wyoming import connection
from echo_asr.serve.wyoming.server import read_address, read_networks
from tests.helpers.served import SPOKEN, Served, send, serving, wav
from tests.helpers.tone_corpus import tone

pytest.importorskip("fastapi")
pytest.importorskip("wyoming")
from wyoming.asr import Transcribe  # noqa: E402
from wyoming.audio import AudioChunk, AudioStart, AudioStop  # noqa: E402
from wyoming.client import AsyncTcpClient  # noqa: E402
from wyoming.event import Event  # noqa: E402
from wyoming.info import Describe, Info, SelectProgram  # noqa: E402
from wyoming.ping import Ping  # noqa: E402

LANGUAGES = {"mine": ("vi", "zh-HK"), "other": ("en",)}
START = {"rate": 16_000, "width": 2, "channels": 1}


@pytest.fixture(scope="module")
def house(recognizer: Recognizer) -> Iterator[Served]:
    """A service with Wyoming's protocol, of two models, of which one expects nothing else."""
    models = {"mine": recognizer, "other": recognizer.with_hotwords(["c"])}
    with serving(models, networks=(), languages=LANGUAGES) as running:
        yield running


def sound(audio: np.ndarray, width: int = 2, channels: int = 1, rate: int = 16_000) -> list[Any]:
    """The events of a recording, as Home Assistant sends them."""
    whole = np.clip(audio, -1, 1)[:, None].repeat(channels, 1)
    data = {
        1: lambda: (whole * 127 + 128).astype("u1"),
        2: lambda: (whole * 32_767).astype("<i2"),
        4: lambda: (whole * (2**31 - 256)).astype("<i4"),
    }[width]().tobytes()
    size = 2_048 * width * channels
    chunks = [AudioChunk(rate, width, channels, data[at : at + size]) for at in range(0, len(data), size)]
    return [AudioStart(rate, width, channels), *chunks, AudioStop()]


def talk(served: Served, *events: Any, until: str = "transcript-stop") -> list[Event]:
    """What the server answers, up to an event of that type or the end of the connection."""

    async def converse() -> list[Event]:
        found: list[Event] = []
        async with AsyncTcpClient("127.0.0.1", served.wyoming_port, read_timeout=30) as client:
            for event in events:
                await client.write_event(event if isinstance(event, Event) else event.event())
            while (event := await client.read_event()) is not None:
                found.append(event)
                if event.type == until:
                    break
        return found

    return asyncio.run(converse())


def refusal(served: Served, *events: Any) -> tuple[str, str]:
    """The code and the text with which a connection is ended."""
    *_, last = talk(served, *events, until="")
    assert last.type == "error" and "\n" not in last.data["text"]
    return last.data["code"], last.data["text"]


def test_it_describes_its_models(house: Served) -> None:
    (answer,) = talk(house, Describe(), until="info")
    (program,) = Info.from_event(answer).asr
    assert {model.name: tuple(model.languages) for model in program.models} == LANGUAGES
    assert all(model.installed for model in program.models) and program.supports_transcript_streaming


def test_a_recording_is_transcribed_and_streamed_at_its_pauses(house: Served, recognizer: Recognizer) -> None:
    expected = recognizer.transcribe(SPOKEN)
    events = talk(house, SelectProgram("Echo"), Transcribe(language="zh-HK"), *sound(SPOKEN))
    chunks = [event.data["text"] for event in events if event.type == "transcript-chunk"]
    assert [event.type for event in events] == [
        "transcript-start", *["transcript-chunk"] * len(expected.segments), "transcript", "transcript-stop"
    ]  # fmt: skip
    assert "".join(chunks) == expected.text == events[-2].data["text"] and len(chunks) > 1
    assert events[0].data["language"] == events[-2].data["language"] == "zh-HK"


@pytest.mark.parametrize(("width", "channels"), [(1, 1), (4, 1), (2, 2)])
def test_other_samples_give_the_same_text(width: int, channels: int, house: Served, recognizer: Recognizer) -> None:
    said = np.concatenate((np.zeros(8000, np.float32), tone("a b"), np.zeros(8000, np.float32)))
    events = talk(house, Transcribe(), *sound(said, width, channels))
    assert events[-2].data == {"text": recognizer.transcribe(said).text, "language": "vi"}


def test_silence_is_an_empty_text_and_the_connection_serves_on(house: Served) -> None:
    silence = [AudioStart(**START), AudioStop()]
    kinds = [event.type for event in talk(house, Ping("x"), *silence, *silence, Describe(), until="info")]
    assert kinds == ["pong", *2 * ["transcript-start", "transcript", "transcript-stop"], "info"]


@pytest.mark.parametrize(
    ("name", "language", "model"),
    [("other", "vi", "other"), (None, "en", "other"), (None, "en-GB", "other"), (None, "zh-TW", "mine"),
     (None, "EN", "other"), (None, "fr", "mine"), (None, None, "mine")],
)  # fmt: skip
def test_the_model_is_that_of_the_name_or_of_the_language(
    name: str | None, language: str | None, model: str, house: Served
) -> None:
    wanted = connection._Wanted(name or "", language or "")
    assert connection.Connection(house.service, None, None, set())._model(wanted) == model  # type: ignore[arg-type]


def test_words_to_expect_are_hotwords_and_those_it_cannot_spell_are_left_out(
    house: Served, recognizer: Recognizer
) -> None:
    assert connection._expecting(recognizer, ["a b", "Küche 7"]).decode.hotwords == ("a b",)
    assert connection._expecting(recognizer, ["Küche 7"]) is recognizer
    events = talk(house, Transcribe(transcript_names=["a"], transcript_terms=["b", "Küche"]), *sound(tone("a b")))
    assert events[-2].type == "transcript"


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([AudioStop()], "invalid_message"),
        ([AudioChunk(16_000, 2, 1, b"xx")], "invalid_message"),
        ([Transcribe(name="none")], "model_not_found"),
        ([Event("transcribe", {"name": 3})], "invalid_message"),
        ([Event("transcribe", {"transcript_terms": "a"})], "invalid_message"),
        ([AudioStart(100, 2, 1)], "invalid_value"),
        ([AudioStart(16_000, 3, 1)], "invalid_value"),
        ([AudioStart(16_000, 2, 0)], "invalid_value"),
        ([Event("audio-start", {"rate": "x", "width": True})], "invalid_value"),
        ([Event("audio-start")], "invalid_value"),
        ([AudioStart(**START), AudioStart(**START)], "invalid_message"),
        ([AudioStart(**START), Transcribe()], "invalid_message"),
        ([AudioStart(**START), AudioChunk(8_000, 2, 1, b"xx")], "invalid_message"),
        ([AudioStart(**START), AudioChunk(16_000, 2, 1, bytes(2**20 + 2))], "event_too_large"),
    ],
)
def test_a_wrong_event_is_named_and_ends_the_connection(events: list[Any], code: str, house: Served) -> None:
    assert refusal(house, *events)[0] == code


@pytest.mark.parametrize(
    "raw",
    [
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"\xff\xfe\n", b"[1]\n", b"3\n", b"{}\n", b'{"type": 3}\n',
        b'{"type": "describe", "data": []}\n', b'{"type": "describe", "data_length": "x"}\n',
        b'{"type": "describe", "payload_length": 1e12}\n', b'{"type": "describe", "data_length": 3}\n[3]',
        b"[" * 9_999 + b"\n", b"x" * 100_000 + b"\n", b'{"type": "describe", "data_length": 99999999999}\n',
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused(raw: bytes, house: Served) -> None:
    with socket.create_connection(("127.0.0.1", house.wyoming_port), timeout=30) as client:
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("rb").read()
    head, _, data = answer.partition(b"\n")
    assert json.loads(head)["type"] == "error" and json.loads(data)["code"] in ("invalid_message", "event_too_large")


def test_a_client_that_goes_stops_its_work_and_hurts_no_other(recognizer: Recognizer) -> None:
    with serving({"mine": recognizer}, networks=(), limits=Limits(sessions=1)) as served:
        with socket.create_connection(("127.0.0.1", served.wyoming_port)) as client:
            client.sendall(b'{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 1}}\n')
            client.sendall(b'{"type": "audio-chunk", "payload_length": 3')
            while not served.service.sessions.taken:
                time.sleep(0.01)
            assert refusal(served, AudioStart(**START))[0] == "rate_limit_exceeded"
            assert send(served, wav(tone("a"))).status == 200
        end = time.monotonic() + 20
        while served.service.sessions.taken:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert talk(served, *sound(tone("a b")))[-2].data["text"] == recognizer.transcribe(tone("a b")).text


def test_sound_has_a_bound(house: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST", 1.0)
    assert refusal(house, *sound(SPOKEN))[0] == "audio_too_long"


@pytest.mark.parametrize(
    ("peer", "allowed", "may"),
    [
        ("127.0.0.1", (), True), ("::1", (), True), ("::ffff:127.0.0.1", (), True),
        ("192.168.1.10", (), False), ("192.168.1.10", ("192.168.1.0/24",), True),
        ("fe80::1%eth0", ("fe80::/10",), True),
        ("::ffff:192.168.1.10", ("192.168.1.10",), True), ("192.168.2.10", ("192.168.1.0/24",), False),
    ],
)  # fmt: skip
def test_only_this_machine_and_those_that_are_named_may_connect(
    peer: str, allowed: tuple[str, ...], may: bool, house: Served
) -> None:
    class Writer:
        def get_extra_info(self, name: str) -> tuple[str, int]:
            return peer, 1

    made = connection.Connection(house.service, None, Writer(), set())  # type: ignore[arg-type]
    networks = tuple(ipaddress.ip_network(one) for one in allowed)
    if may:
        made._check_peer(networks)
    else:
        with pytest.raises(Exception, match="192.* may not use this service; start it with --wyoming-allow 192"):
            made._check_peer(networks)


def test_addresses() -> None:
    assert read_address("tcp://127.0.0.1:10300") == ("127.0.0.1", 10300) == read_address("tcp://127.0.0.1")
    assert read_address("tcp://[::1]:4") == ("::1", 4)
    for wrong in ("127.0.0.1:10300", "http://127.0.0.1:1", "tcp://:1", "tcp://a:b", "tcp://a:99999", "unix:///a", ""):
        with pytest.raises(EchoError, match="--wyoming .*expected an address such as tcp://127.0.0.1:10300"):
            read_address(wrong)
    assert read_networks("127.0.0.1", ()) == ()
    with pytest.raises(EchoError, match="has no token; name the machines .* --wyoming-allow 192"):
        read_networks("0.0.0.0", ())
    with pytest.raises(EchoError, match="--wyoming-allow: .*expected an address or a network"):
        read_networks("0.0.0.0", ("home",))
