"""Reads subtitles, SubRip's ``.srt`` and WebVTT (https://www.w3.org/TR/webvtt1), beside the recordings that they are
of."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from echo_asr.audio import audio_duration
from echo_asr.audio.segment import AudioSegment
from echo_asr.audio.tree import find_recording, recordings_beside
from echo_asr.data.readers.lines import decoded_text
from echo_asr.data.readers.records import Problems, Record, segment_error
from echo_asr.errors import EchoError
from echo_asr.text.normalize import is_blank

SUFFIXES = (".srt", ".vtt")
TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)"  # hours are optional
TIMES = re.compile(rf"\s*{TIME}\s*-->\s*{TIME}(?:\s.*)?")  # what follows are settings: where a cue is shown
LIKE_TIMES = re.compile(r"\s*-?\d+:.*-->")
VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s++([^<>]*)>")
READINGS = re.compile(r"<rt[^<>]*>[^<]*</rt>")  # how ruby text above the line is pronounced
BREAK = re.compile(r"<br\s*/?>|\\[Nn]", re.IGNORECASE)
TAGS = re.compile(
    r"</?(?:[biusvc]|lang|ruby|rt|font|em|strong|span)(?:[\s.][^<>]*)?/?>|<\d[\d:.]*>|\{\\[^{}]*\}", re.IGNORECASE
)
ENTITY = re.compile(r"&(?:\w+|#\d+|#[xX][0-9a-fA-F]+);")
LANGUAGE = re.compile(r"\.([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*)$")  # of the stem: film.en, film.pt-BR


@dataclass(frozen=True)
class Cue:
    """A subtitle."""

    line: int  # of its times, from 1
    start: float  # seconds
    end: float  # seconds
    text: str  # in one line, without tags
    speaker: str = ""


def read_subtitles(path: Path, wanted: str, problems: Problems, prefix: str) -> Iterator[Record]:
    """The cues of a file; each is a segment of the audio or film of the same name beside it.

    Times are those of the cues, which may overlap. Lines of a cue are joined by spaces, and tags taken out; the name in
    `<v NAME>` is the speaker. A cue without a text counts as not yet transcribed. Where `film.en.srt` has no recording
    of that very name, it is of `film`.

    Args:
        wanted: the language of the name, `en`; empty for any.
        prefix: before every id, which is the number of the cue in the file.

    Raises:
        EchoError: the file cannot be read, has no cues, or no recording.
    """
    if wanted and wanted != language_of(path):
        raise EchoError(f"{path} has no tiers, and its name no language {wanted!r}; give {path}")
    stem = path.stem if recordings_beside(path, path.stem) else LANGUAGE.sub("", path.stem)
    audio = find_recording(path, stem)
    length = audio_duration(audio)
    for number, cue in enumerate(parse_subtitles(path, problems), start=1):
        blank = is_blank(cue.text)
        wrong = segment_error(cue.start, cue.end, length)
        if wrong and not blank:
            problems.add_line(path, cue.line, wrong)
            continue
        seconds = 0.0 if wrong else min(cue.end, length) - cue.start
        segment = AudioSegment(audio, cue.start, seconds)
        where = path, cue.line, f"{prefix}{number}", segment
        yield Record(*where, cue.text, cue.speaker, duration=seconds, unwritten=blank)


def language_of(path: Path) -> str:
    """The language in a name such as `film.en.srt`; empty if there is none."""
    found = LANGUAGE.search(path.stem)
    return found[1] if found else ""


def choose_language(files: list[Path], wanted: str, problems: Problems) -> list[Path]:
    """The files of a language, or all of them if it is empty. Several of the same recording are a problem."""
    of = defaultdict[Path, list[Path]](list)
    for file in files:
        if not wanted or language_of(file) == wanted:
            of[file.with_name(LANGUAGE.sub("", file.stem))].append(file)
    if not of:
        languages = ", ".join(sorted({language_of(file) for file in files} - {""})) or "none"
        raise EchoError(f"no subtitles are named NAME.{wanted}.srt or .vtt; languages in the names: {languages}")
    for recording, same in of.items():
        if len(same) > 1:
            mend = "keep one, or name the language, FOLDER:en"
            problems.add(str(recording), f"has several subtitles, {', '.join(file.name for file in same)}; {mend}")
    return [same[0] for same in of.values() if len(same) == 1]


def parse_subtitles(path: Path, problems: Problems) -> list[Cue]:
    """The cues of a file. Times that cannot be read are a problem, with their line.

    Raises:
        EchoError: the file cannot be read, or has no cues.
    """
    lines = decoded_text(path, problems).split("\n")
    web = path.suffix.lower() == ".vtt"
    starts: list[tuple[int, re.Match[str] | None]] = []  # indices of lines with times
    for index, line in enumerate(lines):
        times = TIMES.fullmatch(line)
        if times or LIKE_TIMES.match(line):
            starts.append((index, times))
    if not starts:
        raise EchoError(f"{path} has no subtitles; expected times such as 00:00:01,000 --> 00:00:02,500 above each")
    cues = []
    for (index, times), (after, _) in zip(starts, [*starts[1:], (len(lines), None)], strict=True):
        if times is None:
            what = f"has times that cannot be read ({lines[index].strip()[:40]}); write 00:00:01,000 --> 00:00:02,500"
            problems.add_line(path, index + 1, what)
            continue
        block = lines[index + 1 : after]
        if web:  # a cue ends with the first empty line; what follows names the next one, or is a comment
            block = block[: next((i for i, line in enumerate(block) if not line.strip()), len(block))]
        elif after < len(lines) and block and re.fullmatch(r"\s*\d+\s*", block[-1]):
            block.pop()  # the number of the next cue
        text, speaker = clean("\n".join(block))
        cues.append(Cue(index + 1, _seconds(*times.groups()[:3]), _seconds(*times.groups()[3:]), text, speaker))
    return cues


def clean(text: str) -> tuple[str, str]:
    """The text of a cue in one line, without tags, and its speaker; empty where there is none, or several."""
    speakers = {" ".join(_plain(name).split()) for name in VOICE.findall(text)}
    text = VOICE.sub("", READINGS.sub("", BREAK.sub(" ", text)))
    return " ".join(_plain(TAGS.sub("", text)).split()), speakers.pop() if len(speakers) == 1 else ""


def _plain(text: str) -> str:
    """A text with its entities, such as `&amp;`, as characters; marks of the direction of writing are left out."""
    text = ENTITY.sub(lambda entity: unescape(entity[0]), text)
    return re.sub("[\u200e\u200f]", "", text)


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
