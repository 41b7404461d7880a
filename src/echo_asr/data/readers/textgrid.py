"""Reads Praat's TextGrid files (https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html): the labelled
intervals of a tier.

The long, short and chronological forms are the same sequence of numbers, strings and flags, between words and comments
that Praat skips, too. praatio reads neither the chronological form nor files that are not UTF-8 or UTF-16.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from echo_asr.audio import audio_duration
from echo_asr.audio.segment import AudioSegment
from echo_asr.audio.tree import find_recording
from echo_asr.data.readers.lines import first_line, read_text
from echo_asr.data.readers.records import Problems, Record, segment_error
from echo_asr.errors import EchoError
from echo_asr.text.normalize import is_blank

SUFFIX = ".textgrid"
EVERY = "*"  # tier; in corpora of the Montreal Forced Aligner each has the name of a speaker
CHRONOLOGICAL = "Praat chronological TextGrid text file"
BINARY = "ooBinaryFile"
KINDS = {"IntervalTier": False, "TextTier": True}  # whether a class of tiers is of points
# A blank, a comment, a string, a flag, a number that stands alone, and any other word, as Praat reads them; `name="x"`
# is a word and a string.
TOKEN = re.compile(
    r"""(?P<skip>\s+|!.*)
    |"(?P<string>[^"]*+(?:""[^"]*+)*+)(?P<closed>"(?=\s|\Z))?
    |<(?P<flag>\w+)>
    |(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?=\s|\Z)
    |(?P<word>[^\s"=:]+[=:]?|[=:])""",
    re.VERBOSE,
)


class Interval(NamedTuple):
    """A label from `start` to `end` in seconds, which are equal for a point."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Tier:
    """A tier of a TextGrid."""

    name: str
    points: bool  # a point tier
    intervals: list[Interval] = field(default_factory=list)


class _Malformed(Exception):
    """A file is no TextGrid; the message is a predicate, after its path."""


def read_textgrid(path: Path, wanted: str, problems: Problems, prefix: str) -> Iterator[Record]:
    """The labelled intervals of a tier; each is a segment of the recording of the same name beside the file.

    Empty intervals are pauses, and are left out. A tier is named by its name, by `NAME#2` if it is the second of that
    name, or by what stands before an `@` in the names of several (`words@Lan`, `words@Minh`); where it is not named,
    there must be but one interval tier that has labels. What follows an `@` is the speaker. `*` stands for every
    interval tier that has labels, each of the speaker of its name.

    Args:
        wanted: the tier; empty for the only one.
        prefix: before every id, which is the tier and the number of the interval, as Praat counts them.

    Raises:
        EchoError: the file is no TextGrid, has no such tier, several where none is named, or no recording.
    """
    tiers = _labelled(parse_textgrid(path, problems))
    chosen = _choose(path, tiers, wanted)
    audio = find_recording(path, path.stem)
    length = audio_duration(audio)
    for label in chosen:
        name = tiers[label].name
        speaker = name.partition("@")[2].strip() or (name if wanted == EVERY else "")
        for number, (start, end, text) in enumerate(tiers[label].intervals, start=1):
            text = " ".join(text.split())
            if is_blank(text):
                continue
            wrong = segment_error(start, end, length)
            if wrong:
                problems.add(f"{path}, tier {label}, interval {number}", wrong)
                continue
            seconds = min(end, length) - start
            segment = AudioSegment(audio, start, seconds)
            yield Record(path, 0, f"{prefix}{label}/{number}", segment, text, speaker, duration=seconds)


def _labelled(tiers: list[Tier]) -> dict[str, Tier]:
    """Tiers by their names, to which a number is added where several have the same."""
    count, seen = Counter(tier.name for tier in tiers), Counter[str]()
    found = {}
    for tier in tiers:
        seen[tier.name] += 1
        found[tier.name if count[tier.name] == 1 and tier.name else f"{tier.name}#{seen[tier.name]}"] = tier
    return found


def _choose(path: Path, tiers: dict[str, Tier], wanted: str) -> list[str]:
    """The labels of the tiers that are asked for."""
    filled = [label for label, tier in tiers.items() if not tier.points and any(i.text.strip() for i in tier.intervals)]
    listed = ", ".join(filled)
    if wanted in ("", EVERY):
        if len(filled) > 1 and not wanted:
            raise EchoError(f"{path} has {len(filled)} tiers; name the one with the texts, {path}:TIER: {listed}")
        if not filled:
            raise EchoError(f"{path} has no interval with a label; transcribe it in Praat first")
        return filled
    alike = [label for label, tier in tiers.items() if tier.name == wanted]
    found = [wanted] if wanted in tiers else alike
    if len(found) > 1:
        raise EchoError(f"{path} has {len(found)} tiers {wanted!r}; name one by its number: {', '.join(found)}")
    found = found or [label for label in filled if tiers[label].name.partition("@")[0].strip() == wanted]
    if not found:
        raise EchoError(
            f"{path} has no tier {wanted!r}; choose from: {listed or 'none, since no interval has a label'}"
        )
    if tiers[found[0]].points:
        raise EchoError(f"{path}: the tier {wanted!r} is of points, which have no duration; choose from: {listed}")
    if found[0] not in filled:
        raise EchoError(f"{path}: the tier {wanted!r} has no interval with a label; transcribe it in Praat first")
    return found


def parse_textgrid(path: Path, problems: Problems) -> list[Tier]:
    """The tiers of a TextGrid in one of its text forms, empty intervals included.

    Raises:
        EchoError: the file cannot be read, or is no TextGrid; with the line where there is one.
    """
    if first_line(path).startswith(BINARY):
        raise EchoError(f"{path} is in Praat's binary form; save it as a text file in Praat")
    try:
        return _Parser(read_text(path, problems)).tiers()
    except _Malformed as error:
        raise EchoError(f"{path} {error}") from None


class _Parser:
    """Reads numbers, strings and flags from the text of a file, as Praat does."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def tiers(self) -> list[Tier]:
        kind = self._string("the mark of a TextGrid")
        if kind == CHRONOLOGICAL:
            found = self._chronological()
        elif kind.startswith("ooTextFile"):
            of = self._string("TextGrid").split()[:1]
            if of != ["TextGrid"]:
                raise _Malformed(f"is no TextGrid, but Praat's {' '.join(of) or 'empty file'}; save the TextGrid alone")
            found = self._by_tier()
        else:
            raise self._no_textgrid()
        if (left := self._next()) is not None:
            what = f"line {self._line(left)}: has more than its tiers count"
            raise _Malformed(f"{what}; correct the sizes, or save it again in Praat")
        return found

    def _by_tier(self) -> list[Tier]:
        """The long and the short form: tier by tier."""
        self._number("the start"), self._number("the end")
        if self._take("flag", "<exists>") != "exists":
            return []
        found = []
        for _ in range(self._count("the number of tiers")):
            tier = self._tier()
            found.append(tier)
            for number in range(1, self._count(f"the size of tier {tier.name!r}") + 1):
                self._interval(tier, f"tier {tier.name!r}, number {number}")
        return found

    def _chronological(self) -> list[Tier]:
        """All tiers, then what they hold in order of time, each after the number of its tier."""
        self._number("the start"), self._number("the end")
        found = [self._tier() for _ in range(self._count("the number of tiers"))]
        while self._peek() is not None:
            number = self._count("the number of a tier")
            if not 1 <= number <= len(found):
                raise _Malformed(f"line {self._line()}: has no tier {number}; save it again in Praat")
            self._interval(found[number - 1], f"tier {found[number - 1].name!r}")
        return found

    def _tier(self) -> Tier:
        kind = self._string("the class of a tier")
        if kind not in KINDS:
            raise _Malformed(f"line {self._line()}: has a tier of the class {kind!r}; expected {' or '.join(KINDS)}")
        tier = Tier(self._string("the name of a tier").strip(), KINDS[kind])
        self._number("the start of a tier"), self._number("the end of a tier")
        return tier

    def _interval(self, tier: Tier, where: str) -> None:
        start = self._number(f"a time of {where}")
        end = start if tier.points else self._number(f"the end of {where}")
        tier.intervals.append(Interval(start, end, self._string(f"the label of {where}")))

    def _count(self, what: str) -> int:
        value = self._number(what)
        if value < 0 or value % 1 != 0:  # true of infinity, too
            raise _Malformed(f"line {self._line()}: {what} is {value:g}; save it again in Praat")
        return int(value)

    def _number(self, what: str) -> float:
        return float(self._take("number", what)) + 0.0  # which makes 0 of -0

    def _string(self, what: str) -> str:
        return self._take("string", what).replace('""', '"')

    def _take(self, kind: str, what: str) -> str:
        token = self._next()
        if token is None:
            raise self._no_textgrid() if not self.at else _Malformed(f"ends before {what}; copy or save it again")
        if token[kind] is None:
            if self._line(token) == 1 and kind == "string":
                raise self._no_textgrid()
            raise _Malformed(
                f"line {self._line(token)}: expected {what}, found {token[0][:30].strip()!r}; mend the line"
            )
        return token[kind]

    def _next(self) -> re.Match[str] | None:
        """The next string, flag or number; None at the end."""
        token = self._peek()
        if token is None:
            return None
        self.at = token.end()
        if token["string"] is not None and token["closed"] is None:
            what = "has a quotation mark within a label, or none at its end"
            raise _Malformed(f"line {self._line(token)}: {what}; double those within, as Praat does")
        return token

    def _peek(self) -> re.Match[str] | None:
        at = self.at
        while token := TOKEN.match(self.text, at):
            if token["skip"] is None and token["word"] is None:
                return token
            at = token.end()
        return None

    def _line(self, token: re.Match[str] | None = None) -> int:
        return self.text.count("\n", 0, token.start() if token else self.at) + 1

    def _no_textgrid(self) -> _Malformed:
        return _Malformed("is no TextGrid; save one as a text file in Praat")
