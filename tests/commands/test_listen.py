"""The command `listen`, with a microphone that plays a recording."""

import signal
import sys
from io import StringIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from echo_asr.audio.resampling import resample
from echo_asr.commands import listen
from echo_asr.decode.live import LiveEvent, LiveText
from echo_asr.decode.results import Segment
from tests.helpers.commands import Place, run
from tests.helpers.tone_corpus import tone

PAUSE = np.zeros(16_000, np.float32)
SPOKEN = np.concatenate((PAUSE, tone("a b"), PAUSE, tone("b"), PAUSE, tone("a c"), PAUSE))


class PortAudioError(Exception):
    pass


class InputStream:
    """Calls back with a recording, and then gets Ctrl-C, before any of it has been looked at."""

    def __init__(self, callback: Any, samplerate: int, blocksize: int, **how: Any) -> None:
        assert how["channels"] == 1
        self.callback, self.size, self.spoken = callback, blocksize, resample(SPOKEN, 16_000, samplerate)

    def __enter__(self) -> None:
        for at in range(0, len(self.spoken), self.size):
            self.callback(self.spoken[at : at + self.size, None], self.size, None, None)
        signal.raise_signal(signal.SIGINT)

    def __exit__(self, *_: Any) -> None: ...


def query_devices(device: Any = None, kind: Any = None) -> Any:
    if device == "none":
        raise ValueError("No input device matching 'none'")
    return {"default_samplerate": float(device or 16_000)} if kind else "0 A microphone"


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(InputStream=InputStream, query_devices=query_devices, PortAudioError=PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", made)


def test_a_line_is_printed_for_each_stretch(place: Place, capsys: Any) -> None:
    status, output, errors = run(["listen", *place.fill("--model {model} --device cpu")], capsys)
    assert status == 0 and errors == "echo-asr listen: listening at 16000 Hz; Ctrl-C ends it\n"
    assert output.splitlines() and set("".join(output.split())) <= set("abc")


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_no_sample_is_lost_at_ctrl_c(rate: int, place: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[np.ndarray] = []
    monkeypatch.setattr(LiveText, "feed", lambda live, samples: iter(fed.append(samples) or ()))
    before = signal.getsignal(signal.SIGINT)
    assert run(["listen", *place.fill(f"--model {{model}} --device cpu --microphone {rate}")], capsys)[0] == 0
    assert sum(map(len, fed)) == pytest.approx(len(SPOKEN), abs=1)
    assert signal.getsignal(signal.SIGINT) is before


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
