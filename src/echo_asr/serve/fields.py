"""The fields of a request for a transcription, as OpenAI's API names them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from echo_asr.decode.segments import SegmentConfig
from echo_asr.serve.errors import RequestError

RESPONSE_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
GRANULARITIES = ("segment", "word")
INCLUDED = ("logprobs", "words", "pitch")
STREAMED = ("json", "text")  # response formats of which the events of a stream hold all
MOST_KEYWORDS = 1000
# Every field, and what it does, for the description of the service at /openapi.json.
FIELDS = {
    "file": "the recording: wav, flac, ogg, opus, mp3, ..., and m4a, mp4 or webm where PyAV is installed",
    "model": "id of a model, as /v1/models lists them",
    "response_format": f"{', '.join(RESPONSE_FORMATS)}; json by default",
    "timestamp_granularities[]": "segment (the default), word, or both; with verbose_json",
    "stream": "true: the text of each segment as a server-sent event as soon as it is known; with json or text",
    "include[]": "logprobs: the log probability of each symbol, with json; words, pitch: of each segment, with stream",
    "keywords[]": "words and phrases to expect",
    "grammar": "the sentences that may be said, as lines of a grammar; what is none of them has no text",
    "chunking_strategy": "auto, or the pauses at which a recording is cut, as an object server_vad",
    "language": "given back in verbose_json; a model recognises what it was trained on",
    "languages[]": "makes no difference: a model recognises what it was trained on",
    "prompt": "makes no difference: take keywords[] for words to expect",
    "temperature": "makes no difference: the search is not random",
}
UNSUPPORTED = ("known_speaker_names", "known_speaker_references")


@dataclass(frozen=True)
class TranscriptionFields:
    """What a request asks for.

    Attributes:
        segments: how the recording is cut at its pauses; None for the settings of the model.
        ignored: names of fields that were given and make no difference.
    """

    model: str
    response_format: str = "json"
    granularities: tuple[str, ...] = ("segment",)
    stream: bool = False
    include: frozenset[str] = frozenset()
    keywords: tuple[str, ...] = ()
    grammar: str = ""
    language: str = ""
    segments: SegmentConfig | None = None
    ignored: tuple[str, ...] = ()


def read_fields(items: Iterable[tuple[str, str]], default: SegmentConfig) -> TranscriptionFields:
    """The fields of a form other than its file. Lists may be named with and without `[]`; fields that OpenAI's API does
    not have make no difference, as there.

    Args:
        items: names and values, in their order.
        default: how recordings are cut; what a request changes is changed in it.

    Raises:
        RequestError: a field is missing or has a value that cannot be.
    """
    given: dict[str, list[str]] = {}
    for name, value in items:
        given.setdefault(name.removesuffix("[]"), []).append(value)
    for name in UNSUPPORTED:
        if name in given:
            raise _wrong(name, "speakers are not told apart; leave it out")
    form = _choice(given, "response_format", RESPONSE_FORMATS, "json")
    granularities = tuple(dict.fromkeys(given.get("timestamp_granularities", ())))
    for value in granularities:
        if value not in GRANULARITIES:
            raise _wrong("timestamp_granularities", f"expected segment or word, got {value[:80]!r}")
    if granularities and form != "verbose_json":
        raise _wrong("timestamp_granularities", "they are part of response_format verbose_json; ask for that")
    stream = _choice(given, "stream", ("true", "false"), "false") == "true"
    if stream and form not in STREAMED:
        raise _wrong("stream", f"response_format {form} is not streamed; expected {' or '.join(STREAMED)}")
    include = frozenset(given.get("include", ()))
    if not include <= {*INCLUDED}:
        raise _wrong("include", f"expected some of {', '.join(INCLUDED)}")
    if "logprobs" in include and form != "json":
        raise _wrong("include", f"logprobs are part of response_format json, not of {form}")
    if include - {"logprobs"} and not stream:
        raise _wrong("include", "words and pitch are part of the events of a stream; verbose_json has words, too")
    keywords, grammar = _keywords(given.get("keywords", ())), _one(given, "grammar")
    if keywords and grammar.strip():
        raise _wrong("grammar", "its sentences are all that is expected; leave out keywords")
    return TranscriptionFields(
        model=_one(given, "model") or _missing("model"),
        response_format=form,
        granularities=granularities or ("segment",),
        stream=stream,
        include=include,
        keywords=keywords,
        grammar=grammar,
        language=_one(given, "language")[:80],
        segments=_segments(given, default),
        ignored=_ignored(given),
    )


def _wrong(name: str, message: str, code: str = "invalid_value") -> RequestError:
    return RequestError(400, f"{name}: {message}", param=name, code=code)


def _missing(name: str) -> str:
    raise _wrong(name, "this field is required", "missing_required_parameter")


def _one(given: Mapping[str, Sequence[str]], name: str) -> str:
    """The value of a field that is no list; empty where it is not given."""
    values = given.get(name, ())
    if len(values) > 1:
        raise _wrong(name, f"expected one value, got {len(values)}")
    return values[0] if values else ""


def _choice(given: Mapping[str, Sequence[str]], name: str, choices: Sequence[str], default: str) -> str:
    value = _one(given, name)
    lowered = value.lower()  # Python writes True
    if value and lowered not in choices:
        raise _wrong(name, f"expected one of {', '.join(choices)}; got {value[:80]!r}", "unsupported_value")
    return lowered or default


def _keywords(values: Sequence[str]) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(value.strip() for value in values if value.strip()))
    if len(words) > MOST_KEYWORDS:
        raise _wrong("keywords", f"expected at most {MOST_KEYWORDS}, got {len(words)}")
    return words


def _ignored(given: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Names of given fields that make no difference; a temperature is checked all the same."""
    text = _one(given, "temperature")
    try:
        temperature = float(text) if text else 0.0
    except ValueError:
        temperature = math.nan
    if not 0.0 <= temperature <= 1.0:
        raise _wrong("temperature", f"expected a number from 0 to 1, got {text[:80]!r}")
    names = ("prompt", "languages", *(("temperature",) if temperature else ()))
    return tuple(name for name in names if any(given.get(name, ())))


def _segments(given: Mapping[str, Sequence[str]], default: SegmentConfig) -> SegmentConfig | None:
    """The settings of `chunking_strategy`: `silence_duration_ms` is the pause at which a recording is cut,
    `prefix_padding_ms` what is kept of it on either side. A threshold from 0 to 1 has no counterpart."""
    name = "chunking_strategy"
    text = _one(given, name)
    parts: dict[str, Any] = {key[len(name) + 1 : -1]: v[-1] for key, v in given.items() if key.startswith(f"{name}[")}
    if text and text not in ("auto", "null"):
        try:
            parts = {**json.loads(text)}
        except (ValueError, TypeError, RecursionError):
            raise _wrong(name, f"expected auto or an object of type server_vad, got {text[:80]!r}") from None
    if not parts:
        return None
    if parts.pop("type", None) != "server_vad":
        raise _wrong(name, "expected auto or an object of type server_vad")
    parts.pop("threshold", None)
    changes = {"silence_duration_ms": "pause", "prefix_padding_ms": "margin"}
    for key in parts:
        if key not in changes:
            raise _wrong(name, f"there is no {str(key)[:80]!r}; expected {', '.join(changes)} or threshold")
    try:
        seconds = {changes[key]: float(value) / 1000 for key, value in parts.items()}
        pause = seconds.get("pause", default.pause)
        seconds.setdefault("margin", min(default.margin, pause / 2))
        return replace(default, **seconds)
    except (ValueError, TypeError, OverflowError) as error:
        raise _wrong(name, str(error).replace("decode.segments.", "")[:200]) from None
