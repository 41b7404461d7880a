"""Segments that a person has corrected, as files, and as a part of a corpus."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from pathlib import Path
from typing import Any

from echo_asr.audio import audio_duration
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import Utterance
from echo_asr.data.readers.records import segment_error
from echo_asr.data.writers.additions import AlreadyThere, add_recording
from echo_asr.decode.formats import FORMATS, render
from echo_asr.decode.results import Segment, Transcription, Word
from echo_asr.errors import EchoError
from echo_asr.serve.errors import FAILED, RequestError
from echo_asr.serve.uploads import Upload, shown_name
from echo_asr.storage import StorageError
from echo_asr.text.normalize import join_texts

ADDED = {
    "file": "the recording",
    "segments": "JSON: an object whose list segments has start and end (seconds) and text of each clip",
    "speaker": "who speaks, for the corpus",
}  # fields of an addition to a corpus
LONGEST_TEXT = 2000  # characters of a segment in a corpus
LONGEST_SPEAKER = 100  # characters


def annotation_file(body: bytes, form: str) -> str:
    """The content of a file in one of `FORMATS`.

    Args:
        body: as `read_corrected` takes it.

    Raises:
        RequestError: there is no such format, or the body is another.
    """
    if form not in FORMATS:
        raise RequestError(404, f"there is no format {form[:80]!r}; expected one of {', '.join(FORMATS)}")
    name, found = read_corrected(body)
    return render(name, found, form)


def read_corrected(body: bytes | str) -> tuple[str, Transcription]:
    """The name of a recording and what a person made of its transcription.

    Args:
        body: JSON, `{"name", "duration", "segments": [{"start", "end", "text", "words": [{"word", "start", "end",
            "probability"}]}]}`; times in seconds, words may be left out.

    Raises:
        RequestError: it is something else.
    """
    try:
        given = json.loads(body)
        segments = tuple(_segment(one) for one in given["segments"])
        text = join_texts(segment.text for segment in segments)
        found = Transcription(text, _number(given.get("duration", 0.0)), segments)
        return shown_name(str(given.get("name", ""))), found
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        text = f"expected an object of name, duration and segments, each of start, end and text ({reason})"
        raise RequestError(400, text, code="invalid_value") from None


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


def add_corrected(folder: Path, upload: Upload, segments: str, speaker: str) -> list[str]:
    """Add a recording to a corpus, cut into its segments. Returns the names of the clips.

    Args:
        segments: as `read_corrected` takes them.
        speaker: who speaks; may be empty.

    Raises:
        RequestError: the texts, the times or the recording cannot be used, it was added before, or there is no room.
    """
    _, found = read_corrected(segments)
    speaker = _line(speaker, "speaker", LONGEST_SPEAKER, may_be_empty=True)
    try:
        length = audio_duration(upload.path)
        ordered = sorted(enumerate(found.segments, 1), key=lambda pair: pair[1].start)
        utterances = [_utterance(upload.path, one, number, length) for number, one in ordered]
        if not utterances:
            raise _refused("there are no segments to add")
        return add_recording(folder, upload.path, upload.name, utterances, speaker)
    except AlreadyThere as error:
        raise RequestError(409, str(error), param="file", code="already_there") from None
    except StorageError as error:
        print(f"echo-asr serve: {error}", file=sys.stderr, flush=True)
        text = "the corpus cannot be written, and nothing was added; the service has written why to its standard error"
        raise RequestError(503, text, kind=FAILED, code="no_room") from None
    except EchoError as error:
        text = str(error).replace(str(upload.path), upload.name)
        raise RequestError(400, text, param="file", code="invalid_file") from None


def _utterance(path: Path, segment: Segment, number: int, length: float) -> Utterance:
    where = f"segment {number}"
    text = _line(segment.text, where, LONGEST_TEXT)
    if (wrong := segment_error(segment.start, segment.end, length)) is not None:
        raise _refused(f"{where} {wrong}")
    audio = AudioSegment(path, segment.start, segment.end - segment.start)
    return Utterance(where, audio, text, "", "train", segment.end - segment.start)


def _line(text: str, where: str, longest: int, may_be_empty: bool = False) -> str:
    """A text for a table, on one line."""
    text = text.strip()
    if not text and not may_be_empty:
        raise _refused(f"{where}: its text is empty; write it, or leave the segment out")
    if len(text) > longest:
        raise _refused(f"{where}: has {len(text)} characters; expected at most {longest}")
    if len(text.splitlines()) > 1 or any(unicodedata.category(c) == "Cc" for c in text):
        raise _refused(f"{where}: has a line break or another control character; write it on one line")
    return text


def _refused(text: str) -> RequestError:
    return RequestError(400, text, param="segments", code="invalid_value")
