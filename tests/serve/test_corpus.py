"""Corrected recordings that the service adds to a corpus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echo_asr.data.corpus import load_corpus
from echo_asr.data.writers import additions
from echo_asr.data.writers.additions import open_additions
from echo_asr.decode.transcribe import Recognizer
from echo_asr.storage import StorageError
from tests.helpers.served import FORM, SPOKEN, Answer, Served, ask, form, serving, wav

pytest.importorskip("fastapi")
FIRST, LAST = {"start": 0.8, "end": 2.2, "text": " một "}, {"start": 3.0, "end": 4.0, "text": 'a "b", c'}
OTHER = (np.random.default_rng(0).standard_normal(40_000) / 10).astype(np.float32)


@pytest.fixture
def open_service(recognizer: Recognizer, tmp_path: Path) -> Iterator[tuple[Served, Path]]:
    folder = tmp_path / "corpus"
    open_additions(folder)
    with serving({"mine": recognizer}, corpus=folder) as running:
        yield running, folder


def add(served: Served, *segments: dict[str, Any], sound: bytes | None = None, **fields: str) -> Answer:
    body = form(sound or wav(SPOKEN), "Bài 1.wav", segments=json.dumps({"segments": segments}), **fields)
    return ask(served, "/v1/corpus", "POST", body, FORM)


def test_a_corrected_recording_becomes_clips_of_a_corpus(open_service: tuple[Served, Path]) -> None:
    served, folder = open_service
    assert ask(served, "/v1/corpus").body == b'{"name":"corpus"}'
    answer = add(served, LAST, FIRST, speaker="lan")
    clips = json.loads(answer.body)["clips"]
    assert answer.status == 201
    found = load_corpus(folder).utterances
    assert [(u.id, u.text, u.speaker) for u in found] == [(clips[0], "một", "lan"), (clips[1], 'a "b", c', "lan")]
    assert [u.duration for u in found] == [pytest.approx(1.4), pytest.approx(1.0)]
    assert add(served, FIRST).error["code"] == "already_there" and len(load_corpus(folder).utterances) == 2


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([], "no segments to add"),
        ([FIRST, {**LAST, "text": " \t"}], "segment 2: its text is empty; write it, or leave the segment out"),
        ([{**FIRST, "text": "a\nb"}], "segment 1: has a line break"),
        ([{**FIRST, "text": "a\u2028b"}], "segment 1: has a line break"),
        ([{**FIRST, "text": "a\x00b"}], "another control character"),
        ([{**FIRST, "text": "a" * 2001}], "segment 1: has 2001 characters; expected at most 2000"),
        ([{**FIRST, "end": 0.8}], "segment 1 has the times 0.8 to 0.8 s"),
        ([{**FIRST, "start": -1}], "segment 1 has the times -1 to 2.2 s"),
        ([{**FIRST, "end": 99}], "segment 1 ends at 99 s, and its recording lasts"),
        ([{"start": 0, "end": 1}], "expected an object of name, duration and segments"),
    ],
)
def test_what_cannot_be_added_is_named(segments: list[Any], message: str, open_service: tuple[Served, Path]) -> None:
    served, folder = open_service
    answer = add(served, *segments)
    assert answer.status == 400 and message in answer.error["message"]
    assert not (folder / "metadata.csv").exists() and not [p for p in folder.iterdir() if p.is_dir()]


def test_a_broken_recording_and_a_broken_form_are_named(open_service: tuple[Served, Path]) -> None:
    served, folder = open_service
    answer = add(served, FIRST, sound=b"no sound")
    assert answer.error["code"] == "invalid_file" and "Bài 1.wav: is not an audio file" in answer.error["message"]
    assert "\n" not in answer.error["message"] and "/tmp" not in answer.error["message"]
    assert add(served, FIRST, speaker="a\nb").error["message"].startswith("speaker: has a line break")
    missing = ask(served, "/v1/corpus", "POST", form(None, segments="{}"), FORM)
    assert missing.error["code"] == "missing_required_parameter"
    assert ask(served, "/v1/corpus", "POST", b"x").error["code"] == "invalid_content_type"
    assert ask(served, "/v1/corpus", "POST", b"x", {"Origin": "https://evil.example"}).status == 403
    assert list(folder.glob("*.csv")) == []


def test_several_add_at_once_and_nothing_is_lost(open_service: tuple[Served, Path]) -> None:
    served, folder = open_service
    sounds = [wav(np.roll(OTHER, number)) for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda sound: add(served, {**FIRST, "text": "x"}, sound=sound), sounds))
    assert [answer.status for answer in answers] == [201] * 8 and len(load_corpus(folder).utterances) == 8


def test_a_full_disk_is_one_line_and_an_error_body(
    open_service: tuple[Served, Path], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    served, folder = open_service

    def full(path: Path, *_: object) -> None:
        raise StorageError(f"{path}: could not be written (No space left on device)")

    monkeypatch.setattr(additions, "replace_file", full)
    answer = add(served, FIRST)
    assert (answer.status, answer.error["code"]) == (503, "no_room") and str(folder) not in answer.error["message"]
    errors = capfd.readouterr().err
    assert errors.count("\n") == 1 and "No space left on device" in errors
    assert [path.name for path in folder.iterdir()] == [additions.LOCK]


def test_without_a_corpus_nothing_is_added(served: Served) -> None:
    assert ask(served, "/v1/corpus").body == b'{"name":null}'
    answer = add(served, FIRST)
    assert (answer.status, answer.error["code"]) == (403, "no_corpus") and "--corpus" in answer.error["message"]
