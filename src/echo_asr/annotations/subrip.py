"""SubRip subtitles, ``.srt``: the cues without a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from echo_asr.annotations.blanks import Blank
from echo_asr.errors import EchoError
from echo_asr.text.normalize import is_blank
from echo_asr.text.textfile import Change, TextFile

SUFFIX = ".srt"
_CLOCK = rb"(\d{1,4}):(\d\d):(\d\d)[,.](\d{1,3})"
_TIMES = re.compile(rb"^[ \t]*" + _CLOCK + rb"[ \t]*-->[ \t]*" + _CLOCK + rb"[^\r\n]*", re.MULTILINE)


def srt_blanks(file: TextFile) -> Iterator[Blank]:
    """The cues without a text of a subtitle file.

    Raises:
        EchoError: it has no cues.
    """
    cues = list(_TIMES.finditer(file.data))
    if not cues:
        raise EchoError(f"{file.path} has no times as subtitles have them, 00:00:01,000 --> 00:00:02,500")
    for number, cue in enumerate(cues, 1):
        more = number < len(cues)
        body = file.data[cue.end() : cues[number].start() if more else len(file.data)]
        if more:
            body = re.sub(rb"\d+\s*$", b"", body)  # the number of the next
        if is_blank(body.decode("utf-8", "replace").replace("\r", "")):
            numbers = [int(part) for part in cue.groups()]
            close = not re.match(rb"\r?\n[ \t]*\r?\n", body) and more  # no empty line follows
            write = partial(_written, cue.end(), file.line_end, close)
            yield Blank(_seconds(numbers[:4]), _seconds(numbers[4:]), f"{file.path}, subtitle {number}", write)


def _seconds(parts: list[int]) -> float:
    hours, minutes, seconds, milliseconds = parts
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _written(place: int, line_end: str, close: bool, text: str) -> Change:
    return Change(place, place, line_end + text.replace("-->", "→") + line_end * close)
