"""Praat's TextGrid files (https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html): read in the long, the
short and the chronological text form, with the places of the labels; written in the long one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from echo_asr.annotations.phrases import Phrase
from echo_asr.annotations.textfile import TextFile
from echo_asr.errors import EchoError

SUFFIX = ".textgrid"  # in lower case
INTERVALS = "IntervalTier"
_CHRONOLOGICAL = "Praat chronological TextGrid text file"
# What is between quotation marks, numbers and flags that stand by themselves count; all else explains them.
_TOKEN = re.compile(rb"""(?P<string>"[^"]*(?:""[^"]*)*")|(?P<comment>![^\r\n]*)|(?P<word>[^\s"]+)""")
_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,4})?")


@dataclass(frozen=True)
class Label:
    """An interval, or a point, whose end is its start: times in seconds, its text, and the bytes of that in the file,
    quotation marks included."""

    start: float
    end: float
    text: str
    first: int
    last: int


@dataclass(frozen=True)
class GridTier:
    """A tier of intervals, or else of points."""

    name: str
    intervals: bool
    start: float  # seconds
    end: float
    labels: list[Label] = field(default_factory=list)


def read_textgrid(file: TextFile) -> list[GridTier]:
    """The tiers of a TextGrid, in order.

    Raises:
        EchoError: it is none, or is not whole.
    """
    tokens = _Tokens(file)
    if file.data.startswith(b"ooBinaryFile"):
        raise EchoError(f"{file.path} is a binary TextGrid; save it as a text file in Praat")
    kind = tokens.string()
    if kind != _CHRONOLOGICAL and (kind != "ooTextFile" or tokens.string() != "TextGrid"):
        raise EchoError(f"{file.path} is no TextGrid; give a file that Praat saved as one")
    tokens.number(), tokens.number()
    tiers: list[GridTier] = []
    if kind == _CHRONOLOGICAL:
        tiers += [tokens.tier() for _ in range(tokens.count())]
        while not tokens.at_end:
            number = tokens.count()
            if not 1 <= number <= len(tiers):
                raise tokens.error(f"a number of a tier, 1 to {len(tiers)}")
            tiers[number - 1].labels.append(tokens.label(tiers[number - 1].intervals))
    elif tokens.flag() == "<exists>":
        for _ in range(tokens.count()):
            tier = tokens.tier()
            tier.labels.extend(tokens.label(tier.intervals) for _ in range(tokens.count()))
            tiers.append(tier)
    return tiers


class _Tokens:
    """The numbers, texts and flags of a TextGrid, one after another."""

    def __init__(self, file: TextFile) -> None:
        self.file, self.place = file, 0
        self._tokens = self._find()
        self._next = next(self._tokens, None)

    def _find(self) -> Iterator[re.Match[bytes]]:
        for found in _TOKEN.finditer(self.file.data):
            word = found["word"]
            if found["string"] is not None or word and (word.startswith(b"<") or _NUMBER.fullmatch(word)):
                yield found

    @property
    def at_end(self) -> bool:
        return self._next is None

    def error(self, expected: str) -> EchoError:
        line = self.file.data.count(b"\n", 0, self.place) + 1
        return EchoError(f"{self.file.path} line {line}: expected {expected}; save it again in Praat")

    def _take(self, expected: str) -> re.Match[bytes]:
        found = self._next
        if found is None:
            raise self.error(f"{expected}, and the file ends")
        self.place = found.start()
        self._next = next(self._tokens, None)
        return found

    def number(self) -> float:
        found = self._take("a number")
        if not found["word"] or not _NUMBER.fullmatch(found["word"]):
            raise self.error("a number")
        return float(found["word"])

    def count(self) -> int:
        number = self.number()
        if not 0 <= number < 1e9 or number != int(number):
            raise self.error("a whole number")
        return int(number)

    def flag(self) -> str:
        found = self._take("<exists>")
        return (found["word"] or b"").decode("utf-8", "replace")

    def _quoted(self) -> tuple[str, int, int]:
        found = self._take("a text in quotation marks")
        if found["string"] is None:
            raise self.error("a text in quotation marks")
        text = found["string"][1:-1].decode("utf-8", "replace").replace('""', '"')
        return text, found.start(), found.end()

    def string(self) -> str:
        return self._quoted()[0]

    def tier(self) -> GridTier:
        kind, name = self.string(), self.string()
        return GridTier(name, kind == INTERVALS, self.number(), self.number())

    def label(self, interval: bool) -> Label:
        start = self.number()
        return Label(start, self.number() if interval else start, *self._quoted())


def render_textgrid(phrases: Sequence[Phrase], duration: int) -> str:
    """A TextGrid, in the long form, with the tiers `phrases`, `words` and `confidences`, and `symbols` where there are
    some, of a recording of `duration` ms; intervals without a text fill what is between."""
    words = [word for phrase in phrases for word in phrase.words]
    symbols = [(one.start, one.end, one.text) for phrase in phrases for one in phrase.symbols]
    tiers = {
        "phrases": [(phrase.start, phrase.end, phrase.text) for phrase in phrases],
        "words": [(word.start, word.end, word.text) for word in words],
        "confidences": [(word.start, word.end, word.confidence) for word in words],
        **({"symbols": symbols} if symbols else {}),
    }
    duration = max([duration, 1, *(phrase.end for phrase in phrases)])
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0 ",
        f"xmax = {_seconds(duration)} ",
        "tiers? <exists> ",
        f"size = {len(tiers)} ",
        "item []: ",
    ]
    for number, (name, spans) in enumerate(tiers.items(), 1):
        intervals = list(_without_gaps(spans, duration))
        lines += [
            f"    item [{number}]:",
            f'        class = "{INTERVALS}" ',
            f"        name = {quoted(name)} ",
            "        xmin = 0 ",
            f"        xmax = {_seconds(duration)} ",
            f"        intervals: size = {len(intervals)} ",
        ]
        for place, (start, end, text) in enumerate(intervals, 1):
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {_seconds(start)} ",
                f"            xmax = {_seconds(end)} ",
                f"            text = {quoted(text)} ",
            ]
    return "".join(f"{line}\n" for line in lines)


def quoted(text: str) -> str:
    """A text in quotation marks, those in it doubled."""
    return '"' + text.replace('"', '""') + '"'


def _without_gaps(spans: Sequence[tuple[int, int, str]], duration: int) -> Iterator[tuple[int, int, str]]:
    done = 0
    for start, end, text in spans:
        if start > done:
            yield done, start, ""
        yield start, end, text
        done = end
    if done < duration:
        yield done, duration, ""


def _seconds(milliseconds: int) -> str:
    whole = f"{milliseconds // 1000}.{milliseconds % 1000:03d}"
    return whole.rstrip("0").rstrip(".")
