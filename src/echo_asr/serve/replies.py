"""What a transcription is in the formats of OpenAI's audio API. Times are in seconds."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from typing import Any

from echo_asr.decode.formats import render, sentence_fields
from echo_asr.decode.results import Segment, Token, Transcription
from echo_asr.errors import EchoError
from echo_asr.serve.fields import TranscriptionFields
from echo_asr.text.tokenizer import Tokenizer

LEAST = 1e-10  # probability, the least under a logarithm
MEDIA_TYPES = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}  # the others are JSON


def reply(found: Transcription, fields: TranscriptionFields, name: str, tokenizer: Tokenizer) -> tuple[str, str]:
    """The body of a response, and its media type.

    Args:
        name: of the recording's file.
        tokenizer: of the model, for the ids in `verbose_json`.
    """
    form = fields.response_format
    if form == "text":
        return f"{found.text}\n", MEDIA_TYPES[form]
    if form in MEDIA_TYPES:
        return render(name, found, form), MEDIA_TYPES[form]
    body = _verbose(found, fields, tokenizer) if form == "verbose_json" else _plain(found, fields)
    return to_json(body), "application/json"


def to_json(body: Any) -> str:
    """JSON that any parser reads; what is not Unicode becomes a question mark."""
    text = json.dumps(body, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace").decode("utf-8")


def _plain(found: Transcription, fields: TranscriptionFields) -> dict[str, Any]:
    body: dict[str, Any] = {"text": found.text, "usage": _usage(found)}
    body |= _sentences(found, fields)
    if "logprobs" in fields.include:
        body["logprobs"] = logprobs([token for segment in found.segments for token in segment.tokens])
    return body


def _verbose(found: Transcription, fields: TranscriptionFields, tokenizer: Tokenizer) -> dict[str, Any]:
    """As Whisper's, and with the probability of each word, which OpenAI's lacks."""
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": fields.language,
        "duration": _rounded(found.duration),
        "text": found.text,
        "usage": _usage(found),
    }
    if "word" in fields.granularities:
        body["words"] = [word for segment in found.segments for word in words_of(segment)]
    if "segment" in fields.granularities:
        body["segments"] = [_segment(number, one, tokenizer) for number, one in enumerate(found.segments)]
    return body | _sentences(found, fields)


def _sentences(found: Transcription, fields: TranscriptionFields) -> dict[str, Any]:
    """The sentences of a grammar that were heard, and what was none of them."""
    if not fields.grammar:
        return {}
    return {
        name: [
            {"start": _rounded(one.start), "end": _rounded(one.end), key: one.sentence.text}
            | {"spoken": one.sentence.spoken, **sentence_fields(one.sentence)}
            for one in segments
            if one.sentence
        ]
        for name, key, segments in (("sentences", "text", found.segments), ("rejected", "nearest", found.rejected))
    }


def words_of(segment: Segment) -> list[dict[str, Any]]:
    """The words of a segment with their times and probabilities."""
    return [
        {
            "word": word.word,
            "start": _rounded(word.start),
            "end": _rounded(word.end),
            "probability": round(_probability(word.probability), 4),
        }
        for word in segment.words
    ]


def _segment(number: int, segment: Segment, tokenizer: Tokenizer) -> dict[str, Any]:
    """`avg_logprob` is that of the symbols, not calibrated; there is no probability of no speech, which is cut out."""
    content = segment.text.encode("utf-8", "replace")
    logs = [_log(token) for token in segment.tokens]
    return {
        "id": number,
        "seek": max(0, round(segment.start * 100)),
        "start": _rounded(segment.start),
        "end": _rounded(segment.end),
        "text": segment.text,
        "tokens": _ids(segment.text, tokenizer),
        "temperature": 0.0,
        "avg_logprob": round(sum(logs) / len(logs), 4) if logs else 0.0,
        "compression_ratio": round(len(content) / len(zlib.compress(content)), 4),
        "no_speech_prob": 0.0,
    }


def _ids(text: str, tokenizer: Tokenizer) -> list[int]:
    try:
        return tokenizer.encode(text, "skip")
    except EchoError:  # a ready tokenizer's texts do not all come back from their ids
        return []


def logprobs(tokens: Sequence[Token]) -> list[dict[str, Any]]:
    """Each symbol, its bytes in UTF-8, and the logarithm of its probability."""
    return [
        {"token": one.text, "bytes": list(one.text.encode("utf-8", "replace")), "logprob": round(_log(one), 4)}
        for one in tokens
    ]


def delta_event(text: str, segment: Segment, f0: Sequence[float], fields: TranscriptionFields) -> dict[str, Any]:
    """The event of a stream for further text, that of a segment.

    Args:
        f0: Hz, a value each 10 ms from the start of the segment, 0 where unvoiced; with `words` or `pitch` the event
            has times, too.
    """
    event: dict[str, Any] = {"type": "transcript.text.delta", "delta": text}
    if "logprobs" in fields.include:
        event["logprobs"] = logprobs(segment.tokens)
    if fields.include & {"words", "pitch"}:
        event |= {"start": _rounded(segment.start), "end": _rounded(segment.end)}
    if "words" in fields.include:
        event["words"] = words_of(segment)
    if "pitch" in fields.include:
        event["f0"] = [round(value, 1) for value in f0]
    return event


def done_event(found: Transcription, fields: TranscriptionFields) -> dict[str, Any]:
    """The last event of a stream: the whole text."""
    return {"type": "transcript.text.done", **_plain(found, fields)}


def _usage(found: Transcription) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(found.duration)}


def _rounded(seconds: float) -> float:
    return round(seconds, 3) + 0.0 if math.isfinite(seconds) else 0.0


def _probability(value: float) -> float:
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0


def _log(token: Token) -> float:
    return math.log(max(_probability(token.probability), LEAST))
