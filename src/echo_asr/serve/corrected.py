"""Files of segments that a person has corrected."""

from __future__ import annotations

import json
import math
from typing import Any

from echo_asr.decode.formats import FORMATS, render
from echo_asr.decode.results import Segment, Transcription, Word
from echo_asr.serve.errors import RequestError
from echo_asr.serve.uploads import shown_name
from echo_asr.text.normalize import join_texts


def annotation_file(body: bytes, form: str) -> str:
    """The content of a file in one of `FORMATS`.

    Args:
        body: JSON, `{"name", "duration", "segments": [{"start", "end", "text", "words": [{"word", "start", "end",
            "probability"}]}]}`; times in seconds, words may be left out.

    Raises:
        RequestError: there is no such format, or the body is another.
    """
    if form not in FORMATS:
        raise RequestError(404, f"there is no format {form[:80]!r}; expected one of {', '.join(FORMATS)}")
    try:
        given = json.loads(body)
        segments = tuple(_segment(one) for one in given["segments"])
        text = join_texts(segment.text for segment in segments)
        found = Transcription(text, _number(given.get("duration", 0.0)), segments)
        name = shown_name(str(given.get("name", "")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        text = f"expected an object of name, duration and segments, each of start, end and text ({reason})"
        raise RequestError(400, text, code="invalid_value") from None
    return render(name, found, form)


def _segment(given: Any) -> Segment:
    words = tuple(
        Word(_text(one["word"]), _number(one["start"]), _number(one["end"]), _number(one.get("probability", 1.0)))
        for one in given.get("words", ())
    )
    return Segment(_number(given["start"]), _number(given["end"]), _text(given["text"]), words)


def _number(given: Any) -> float:
    value = float(given)
    if not math.isfinite(value) or abs(value) > 1e7:
        raise ValueError(f"{given} is no number of seconds")
    return value


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(f"expected a text, got {type(given).__name__}")
    return given.encode("utf-8", "replace").decode("utf-8")
