"""The command `listen`, with a microphone that plays a recording."""

import sys
from io import StringIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from echo_asr.commands import listen
from echo_asr.decode.live import LiveEvent
from echo_asr.decode.results import Segment
from tests.helpers.commands import Place, run
from tests.helpers.tone_corpus import tone

PAUSE = np.zeros(16_000, np.float32)
SPOKEN = np.concatenate((PAUSE, tone("a b"), PAUSE, tone("b"), PAUSE, tone("a c"), PAUSE))


class PortAudioError(Exception):
    pass


class InputStream:
    """Calls back with a recording, and then as Ctrl-C does."""

    def __init__(self, callback: Any, blocksize: int, **how: Any) -> None:
        assert how["channels"] == 1
        for at in range(0, len(SPOKEN), blocksize):
            callback(SPOKEN[at : at + blocksize, None], blocksize, None, None)
        callback(Ended(), 0, None, None)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: Any) -> None: ...


class Ended:
    """What is read after the last sound."""

    def __getitem__(self, _: Any) -> "Ended":
        return self

    def copy(self) -> "Ended":
        return self

    def __len__(self) -> int:
        raise KeyboardInterrupt


def query_devices(device: Any = None, kind: Any = None) -> Any:
    if device == "none":
        raise ValueError("No input device matching 'none'")
    return {"default_samplerate": 16_000.0} if kind else "0 A microphone"


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(InputStream=InputStream, query_devices=query_devices, PortAudioError=PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", made)


def test_a_line_is_printed_for_each_stretch(place: Place, capsys: Any) -> None:
    status, output, errors = run(["listen", *place.fill("--model {model} --device cpu")], capsys)
    assert status == 0 and errors == "echo-asr listen: listening at 16000 Hz; Ctrl-C ends it\n"
    assert output.splitlines() and set("".join(output.split())) <= set("abc")


def test_a_microphone_that_is_not_there(place: Place, capsys: Any) -> None:
    status, output, errors = run(["listen", *place.fill("--model {model} --microphone none")], capsys)
    assert status == 1 and output == "" and errors.count("\n") == 1
    assert "microphone 'none' cannot be used (No input device matching 'none')" in errors


def test_the_microphones_are_listed(place: Place, capsys: Any) -> None:
    assert run(["listen", *place.fill("--model {model} --microphones")], capsys) == (0, "0 A microphone\n", "")


def test_what_is_missing_is_named(place: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    status, _, errors = run(["listen", *place.fill("--model {model}")], capsys)
    assert status == 1 and "pip install 'echo-asr[live]'" in errors and "libportaudio2" in errors


def test_a_terminal_shows_partial_texts_on_a_line_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    output = StringIO()
    monkeypatch.setattr(output, "isatty", lambda: True)
    show = listen._printer(output)
    for settled, text in ((False, "a"), (False, "a b"), (True, "a c"), (False, "x" * 200), (True, "")):
        show(LiveEvent(settled, Segment(0.0, 1.0, text)))
    shown = output.getvalue().split(listen.CLEAR)
    assert (
        shown[:4] == ["", "a", "a b", "a c\n"] and len(shown[4]) < 200 and shown[4].startswith("…") and shown[5] == ""
    )
