"""Whatever is uploaded, there is a text or an error body; and a broken file hurts no other."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echo_asr.decode.transcribe import Recognizer
from echo_asr.serve.uploads import safe_suffix, shown_name
from tests.helpers.served import Answer, Served, send, wav
from tests.helpers.tone_corpus import tone

pytest.importorskip("fastapi")
FORMATS = ("WAV", "FLAC", "OGG", "MP3", "AU", "AIFF", "CAF")
NAMES = ("a.wav", "a.mp3", "a.m4a", "a.webm", "a.flac", "a.ogg", "a", "a.wav/..", "")


def check(answer: Answer) -> None:
    assert answer.status in (200, 400), answer.body
    if answer.status == 200:
        assert isinstance(json.loads(answer.body)["text"], str)
    else:
        assert answer.error["code"] == "invalid_file" and "/tmp" not in answer.error["message"]


def recorded(form: str) -> bytes:
    """A word in a format."""
    file = BytesIO()
    soundfile.write(file, tone("a b"), 16_000, format=form)
    return file.getvalue()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file in which some bytes are others, gone, or more."""
    content = draw(st.sampled_from(FORMATS).map(recorded))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, 120) | st.integers(0, len(content)))
        new = draw(st.binary(max_size=8) | st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f" + b"\xff" * 3]))
        content = content[:at] + new + content[at + draw(st.sampled_from([0, len(new), 50, len(content)])) :]
    return content


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=300) | damaged(), name=st.sampled_from(NAMES))
def test_any_bytes_give_a_text_or_an_error_body(content: bytes, name: str, served: Served) -> None:
    check(send(served, content, name))


def test_a_broken_file_hurts_no_other(served: Served, recognizer: Recognizer) -> None:
    """Fifty requests at once, every fifth of them broken."""
    words = ["a", "b", "c", "a b", "b c"]
    expected = {word: recognizer.transcribe(tone(word)).text for word in words}
    sent = [words[number % 5] if number % 5 else "" for number in range(50)]
    contents = [wav(tone(word)) if word else b"RIFF\0\0broken" for word in sent]
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda content: send(served, content), contents))
    for word, answer in zip(sent, answers, strict=True):
        assert answer.status == (200 if word else 400)
        assert not word or json.loads(answer.body)["text"] == expected[word]
    assert served.service.requests.taken == 0


def test_clips_of_several_requests_are_decoded_together(served: Served) -> None:
    sizes = list[int]()
    served.service.batcher._observe = lambda clips, speech, took: sizes.append(clips)
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda _: send(served, wav(tone("a"))), range(40)))
    served.service.batcher._observe = served.service.metrics.decoded
    assert sum(sizes) == 40 and max(sizes) > 1


def test_two_channels_and_another_rate(served: Served, recognizer: Recognizer) -> None:
    mono = tone("a b")
    stereo = np.stack((mono, mono), axis=1)
    answer = send(served, wav(stereo))
    assert json.loads(answer.body)["text"] == recognizer.transcribe(mono).text


@pytest.mark.parametrize(
    ("name", "shown", "suffix"),
    [
        ("a.wav", "a.wav", ".wav"),
        ("../../etc/passwd", "passwd", ""),
        ("C:\\sounds\\A.M4A", "A.M4A", ".m4a"),
        ("a\nb.mp3", "a?b.mp3", ".mp3"),
        (None, "the recording", ""),
        ("x" * 300 + ".wav", "x" * 96 + ".wav", ".wav"),
        ("a.w/v", "v", ""),
        ("a.w v", "a.w v", ""),
    ],
)
def test_names_of_files_are_made_safe(name: str | None, shown: str, suffix: str) -> None:
    assert shown_name(name) == shown and safe_suffix(shown) == suffix
