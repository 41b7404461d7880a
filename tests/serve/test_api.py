"""OpenAI's own client, used as people use it, against a real server."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echo_asr.decode.formats import render
from echo_asr.decode.results import Transcription
from echo_asr.decode.transcribe import Recognizer
from echo_asr.text.grammar import Grammar
from tests.helpers.served import SPOKEN, Served, ask, serving, wav
from tests.helpers.tone_corpus import tone

openai = pytest.importorskip("openai")


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def expected(recording: Path, recognizer: Recognizer) -> Transcription:
    """What the recogniser by itself finds in the recording."""
    found = recognizer.transcribe(recording)
    assert len(found.segments) > 1
    return found


def create(client: Any, recording: Path, **fields: Any) -> Any:
    with recording.open("rb") as file:
        return client.audio.transcriptions.create(file=file, model="mine", **fields)


def test_json_is_the_text_of_transcribe(client: Any, recording: Path, expected: Transcription) -> None:
    found = create(client, recording)
    assert found.text == expected.text
    assert found.usage.type == "duration" and found.usage.seconds == math.ceil(len(SPOKEN) / 16_000)
    assert create(client, recording, response_format="json").text == found.text


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_are_those_of_the_command(form: Any, client: Any, recording: Path, expected: Transcription) -> None:
    assert create(client, recording, response_format=form) == render("x", expected, form)


def test_text_is_a_line(client: Any, recording: Path, expected: Transcription) -> None:
    assert create(client, recording, response_format="text") == f"{expected.text}\n"


def test_verbose_json_has_segments_words_or_both(
    client: Any, recording: Path, recognizer: Recognizer, expected: Transcription
) -> None:
    plain = create(client, recording, response_format="verbose_json", language="vi")
    assert plain.words is None and plain.language == "vi"
    assert abs(plain.duration - expected.duration) < 1e-3
    assert [(s.id, s.text, s.start, s.end) for s in plain.segments] == [
        (number, s.text, round(s.start, 3), round(s.end, 3)) for number, s in enumerate(expected.segments)
    ]
    tokenizer = recognizer.bundle.tokenizer
    assert all(tokenizer.decode(s.tokens) == s.text and s.avg_logprob < 0.0 for s in plain.segments)
    words = create(client, recording, response_format="verbose_json", timestamp_granularities=["word"])
    assert words.segments is None
    assert [(w.word, w.start, w.probability) for w in words.words] == [
        (w.word, round(w.start, 3), round(w.probability, 4)) for s in expected.segments for w in s.words
    ]
    both = create(client, recording, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert both.words == words.words and both.segments == plain.segments


def test_log_probabilities_are_those_of_symbols(client: Any, recording: Path, expected: Transcription) -> None:
    found = create(client, recording, include=["logprobs"])
    assert [one.token for one in found.logprobs] == [token.text for s in expected.segments for token in s.tokens]
    assert all(one.logprob <= 0.0 and bytes(map(int, one.bytes)).decode() == one.token for one in found.logprobs)


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_stream_tells_each_segment_and_then_all(
    form: Any, client: Any, recording: Path, expected: Transcription
) -> None:
    events = list(create(client, recording, response_format=form, stream=True, include=["logprobs"][: form == "json"]))
    assert [event.type for event in events] == ["transcript.text.delta"] * len(expected.segments) + [
        "transcript.text.done"
    ]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == expected.text
    assert all((event.logprobs is not None) == (form == "json") for event in events)


def test_a_stream_of_silence_is_an_empty_text(client: Any) -> None:
    silence = ("x.wav", wav(np.zeros(8_000, np.float32)))
    events = list(client.audio.transcriptions.create(file=silence, model="mine", stream=True))
    assert [(event.type, event.text) for event in events] == [("transcript.text.done", "")]


def test_keywords_are_expected_words(client: Any, recording: Path, recognizer: Recognizer) -> None:
    hinted = recognizer.with_hotwords(["a b", "c"])
    assert hinted.decode.beam > 1 and hinted.bundle is recognizer.bundle and recognizer.decode.hotwords == ()
    assert create(client, recording, keywords=["a b", "c"]).text == hinted.transcribe(recording).text
    with pytest.raises(openai.BadRequestError, match="no symbol for 'ü'") as caught:
        create(client, recording, keywords=["ü"])
    assert caught.value.param == "keywords"


def test_where_a_recording_is_cut_can_be_chosen(client: Any, recording: Path) -> None:
    def count(strategy: Any) -> int:
        return len(create(client, recording, response_format="verbose_json", chunking_strategy=strategy).segments)

    assert count("auto") > 1
    assert count({"type": "server_vad", "silence_duration_ms": 2000, "threshold": 0.5}) == 1
    with pytest.raises(openai.BadRequestError, match="pause must lie in") as caught:
        count({"type": "server_vad", "silence_duration_ms": 20_000})
    assert caught.value.param == "chunking_strategy"


def test_fields_that_make_no_difference_are_named(client: Any, recording: Path, expected: Transcription) -> None:
    raw = client.audio.transcriptions.with_raw_response
    with recording.open("rb") as file:
        answer = raw.create(file=file, model="mine", prompt="Hello", temperature=0.4)
    assert answer.headers["X-Echo-Ignored"] == "prompt, temperature" and answer.parse().text == expected.text


def test_any_name_and_any_way_to_give_a_file(client: Any, recognizer: Recognizer) -> None:
    content, expected = wav(tone("a b")), recognizer.transcribe(tone("a b")).text
    named = BytesIO(content)
    named.name = "/a/folder/ngữ.wav"
    for file in (content, BytesIO(content), named, ("no ending", content), ("x.m4a", content, "audio/mp4")):
        assert client.audio.transcriptions.create(file=file, model="mine").text == expected


def test_the_models_are_listed(client: Any, served: Served) -> None:
    assert [model.id for model in client.models.list()] == ["mine"]
    assert client.models.retrieve("mine").owned_by == "echo-asr"
    with pytest.raises(openai.NotFoundError, match="expected one of mine"):
        client.models.retrieve("whisper-1")


@pytest.mark.parametrize(
    ("fields", "error", "param", "code"),
    [
        ({"model": "whisper-1"}, openai.NotFoundError, "model", "model_not_found"),
        ({"response_format": "diarized_json"}, openai.BadRequestError, "response_format", "unsupported_value"),
        ({"stream": True, "response_format": "srt"}, openai.BadRequestError, "stream", "invalid_value"),
        ({"file": ("a.mp3", b"no sound")}, openai.BadRequestError, "file", "invalid_file"),
        ({"file": ("a.wav", b"")}, openai.BadRequestError, "file", "invalid_file"),
        ({"temperature": 7.0}, openai.BadRequestError, "temperature", "invalid_value"),
    ],
)
def test_errors_are_those_of_the_client(fields: Any, error: Any, param: str, code: str, client: Any) -> None:
    with pytest.raises(error) as caught:
        client.audio.transcriptions.create(**{"file": ("a.wav", wav(tone("a"))), "model": "mine", **fields})
    assert (caught.value.param, caught.value.code, caught.value.type) == (param, code, "invalid_request_error")


def test_an_error_names_the_file_that_was_sent(client: Any) -> None:
    with pytest.raises(openai.BadRequestError, match=r"- my call\.wav: is not an audio file"):
        client.audio.transcriptions.create(file=("../my call.wav", b"x" * 5000), model="mine")


def test_what_is_not_there_has_an_error_body(served: Served) -> None:
    for path, method, status in (("/v1/nothing", "GET", 404), ("/v1/models", "DELETE", 405)):
        answer = ask(served, path, method)
        assert answer.status == status and method in answer.error["message"]
    answer = ask(served, "/v1/audio/transcriptions", "POST", b"{}", {"Content-Type": "application/json"})
    assert answer.status == 400 and "multipart/form-data" in answer.error["message"]


def test_the_service_describes_itself(served: Served) -> None:
    described = json.loads(ask(served, "/openapi.json").body)
    body = described["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert {"file", "model", "stream", "timestamp_granularities[]"} <= body["schema"]["properties"].keys()


def test_health_and_metrics(client: Any, served: Served, recording: Path) -> None:
    assert json.loads(ask(served, "/health").body) == {"status": "ok"}
    create(client, recording)
    answer = ask(served, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.body.decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values['echo_asr_responses_total{route="/v1/audio/transcriptions",status="200"}']) >= 1
    assert float(values['echo_asr_audio_seconds_total{source="file"}']) >= len(SPOKEN) / 16_000 - 0.01
    assert float(values["echo_asr_requests"]) == 0 and float(values["echo_asr_batch_clips_count"]) >= 1


def test_a_grammar_says_what_may_be_said(client: Any, recording: Path, recognizer: Recognizer) -> None:
    texts = [segment.text for segment in recognizer.transcribe(recording).segments]
    grammar = "\n".join(f"({text}):Said{number}" for number, text in enumerate(texts))
    believing = Recognizer(recognizer.bundle, replace(recognizer.decode, reject=0.0))
    with serving({"mine": believing}) as own, openai.OpenAI(base_url=f"{own.url}/v1", api_key="none") as other:
        found = create(other, recording, extra_body={"grammar": grammar})
    expected = believing.with_grammar(Grammar.of(grammar.splitlines())).transcribe(recording)
    assert found.text == expected.text and found.text.startswith("Said") and found.rejected == []
    assert [one["spoken"] for one in found.sentences] == [one.said for one in expected.segments]
    refused = create(client, recording, extra_body={"grammar": " ".join(["b"] * 9)}, response_format="verbose_json")
    assert refused.text == "" and not refused.sentences and not refused.segments


@pytest.mark.parametrize(
    ("grammar", "told"),
    [("turn [on", "column"), ("{x} = @/etc/passwd\n{x}", "no file can be read here"), ("{a", "column"), ("ü", "ü")],
)
def test_a_grammar_that_is_none(client: Any, recording: Path, grammar: str, told: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, recording, extra_body={"grammar": grammar})
    assert caught.value.param == "grammar" and told in str(caught.value)


def test_a_grammar_of_strangers_may_be_smaller(client: Any, recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echo_asr.serve.service.MOST_STATES", 20)
    with pytest.raises(openai.BadRequestError, match="needs more than 20 states") as caught:
        create(client, recording, extra_body={"grammar": "b" * 30})
    assert caught.value.param == "grammar"
