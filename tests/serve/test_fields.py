"""Fields of a request, whatever they hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.decode.segments import SegmentConfig
from echo_asr.serve.errors import RequestError
from echo_asr.serve.fields import FIELDS, TranscriptionFields, read_fields

NAMES = [*FIELDS, "known_speaker_names[]", "chunking_strategy[type]", "chunking_strategy[silence_duration_ms]", "x", ""]
VALUES = [
    "",
    "true",
    "json",
    "verbose_json",
    "word",
    "auto",
    "server_vad",
    "{}",
    "[1]",
    "1e400",
    "nan",
    "-1",
    "[" * 9999,
]


def read(*items: tuple[str, str]) -> TranscriptionFields:
    return read_fields([("model", "mine"), *items], SegmentConfig())


def test_a_request_without_options() -> None:
    assert read() == TranscriptionFields("mine")


@pytest.mark.parametrize("name", ["timestamp_granularities", "timestamp_granularities[]"])
def test_lists_are_named_in_both_ways(name: str) -> None:
    found = read(("response_format", "verbose_json"), (name, "word"), (name, "segment"), (name, "word"))
    assert found.granularities == ("word", "segment")


def test_truth_is_spelt_as_programs_do() -> None:
    assert read(("stream", "True")).stream and not read(("stream", "false")).stream


def test_a_way_to_cut_is_an_object_or_fields() -> None:
    whole = read(("chunking_strategy", '{"type": "server_vad", "silence_duration_ms": 300, "prefix_padding_ms": 100}'))
    parts = read(
        ("chunking_strategy[type]", "server_vad"),
        ("chunking_strategy[silence_duration_ms]", "300"),
        ("chunking_strategy[prefix_padding_ms]", "100"),
    )
    assert whole.segments == parts.segments == SegmentConfig(pause=0.3, margin=0.1)
    assert read(("chunking_strategy", "auto")).segments is None


def test_a_shorter_pause_takes_a_shorter_margin() -> None:
    found = read(("chunking_strategy", '{"type": "server_vad", "silence_duration_ms": 200}'))
    assert found.segments == SegmentConfig(pause=0.2, margin=0.1)


@pytest.mark.parametrize(
    ("items", "param", "message"),
    [
        ([("response_format", "pdf")], "response_format", "expected one of json, text"),
        ([("model", "another")], "model", "expected one value, got 2"),
        ([("timestamp_granularities[]", "word")], "timestamp_granularities", "ask for that"),
        ([("response_format", "verbose_json"), ("timestamp_granularities[]", "w")], "timestamp_granularities", "'w'"),
        ([("include[]", "all")], "include", "expected some of logprobs"),
        ([("include[]", "words")], "include", "events of a stream"),
        ([("include[]", "logprobs"), ("response_format", "srt")], "include", "not of srt"),
        ([("known_speaker_names[]", "Ana")], "known_speaker_names", "speakers are not told apart"),
        ([("temperature", "hot")], "temperature", "from 0 to 1"),
        ([("stream", "perhaps")], "stream", "true, false"),
        ([("chunking_strategy", "never")], "chunking_strategy", "server_vad"),
        ([("chunking_strategy", '{"type": "server_vad", "pause": 3}')], "chunking_strategy", "no 'pause'"),
        ([("keywords[]", str(n)) for n in range(1001)], "keywords", "at most 1000"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(items: list[tuple[str, str]], param: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        read(*items)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_a_model_is_needed() -> None:
    with pytest.raises(RequestError, match="required"):
        read_fields([], SegmentConfig())


@settings(max_examples=60)
@given(items=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=20)), max_size=6))
def test_any_fields_are_understood_or_refused(items: list[tuple[str, str]]) -> None:
    try:
        found: Any = read(*items)
    except RequestError as error:
        found = error
        assert error.status == 400 and error.param and "\n" not in str(error)
    assert isinstance(found, TranscriptionFields | RequestError)
