"""Praat's TextGrid files (https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html): read in the long, the
short and the chronological text form, with the places of the labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from echo_asr.audio import same_name
from echo_asr.errors import EchoError
from echo_asr.text.textfile import TextFile

SUFFIX = ".textgrid"  # in lower case
EVERY = "*"  # tier; in corpora of the Montreal Forced Aligner each has the name of a speaker
CHRONOLOGICAL = "Praat chronological TextGrid text file"
INTERVALS = "IntervalTier"
KINDS = {INTERVALS: False, "TextTier": True}  # whether a class of tiers is of points
# Blanks and comments, strings, flags, numbers that stand alone, and other words, as Praat reads them; `name="x"` is a
# word and a string.
_TOKEN = re.compile(
    rb"""(?P<skip>\s+|![^\r\n]*)
    |"(?P<string>[^"]*+(?:""[^"]*+)*+)(?P<closed>"(?=\s|\Z))?
    |<(?P<flag>\w+)>
    |(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?=\s|\Z)
    |(?P<word>[^\s"=:]+[=:]?|[=:])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Label:
    """An interval, or a point, which ends where it starts: times in seconds, and a text, which is bytes `first` to
    `last` of the file, quotation marks included."""

    start: float
    end: float
    text: str
    first: int
    last: int


@dataclass(frozen=True)
class GridTier:
    """A tier of a TextGrid."""

    name: str
    points: bool  # a point tier
    labels: list[Label] = field(default_factory=list)


def read_textgrid(file: TextFile) -> list[GridTier]:
    """The tiers of a TextGrid, in order, empty intervals included.

    Raises:
        EchoError: it is none, or is not whole; with the line where there is one.
    """
    if file.data.startswith(b"ooBinaryFile"):
        raise EchoError(f"{file.path} is in Praat's binary form; save it as a text file in Praat")
    return _Parser(file).tiers()


def named_tiers(tiers: Sequence[GridTier]) -> dict[str, GridTier]:
    """Tiers by their names; where several have the same, or none, `NAME#2` is the second of that name."""
    count, seen = Counter(tier.name for tier in tiers), Counter[str]()
    found = {}
    for tier in tiers:
        seen[tier.name] += 1
        found[tier.name if count[tier.name] == 1 and tier.name else f"{tier.name}#{seen[tier.name]}"] = tier
    return found


def as_spelled(wanted: str, tiers: Mapping[str, GridTier]) -> str:
    """The name of a tier as the file spells it, where the wanted one differs in the Unicode form of its letters."""
    there = [name for label, tier in tiers.items() for name in (label, tier.name, tier.name.partition("@")[0])]
    return next((name.strip() for name in there if wanted and same_name(name, wanted)), wanted)


class _Parser:
    """Reads numbers, strings and flags one after another, as Praat does."""

    def __init__(self, file: TextFile) -> None:
        self.file, self.at = file, 0
        self.last: re.Match[bytes] | None = None  # the token that was taken last

    def tiers(self) -> list[GridTier]:
        kind = self._string("the mark of a TextGrid")
        if kind == CHRONOLOGICAL:
            found = self._chronological()
        elif kind.startswith("ooTextFile"):
            of = self._string("TextGrid").split()[:1]
            if of != ["TextGrid"]:
                what = f"is no TextGrid, but Praat's {' '.join(of) or 'empty file'}"
                raise EchoError(f"{self.file.path} {what}; save the TextGrid alone")
            found = self._by_tier()
        else:
            raise self._no_textgrid()
        if (left := self._next()) is not None:
            raise self._error("has more than its tiers count; correct the sizes, or save it again in Praat", left)
        return found

    def _by_tier(self) -> list[GridTier]:
        """The long and the short form: tier by tier."""
        self._number("the start"), self._number("the end")
        if self._take("flag", "<exists>") != "exists":
            return []
        found = []
        for _ in range(self._count("the number of tiers")):
            tier = self._tier()
            found.append(tier)
            for number in range(1, self._count(f"the size of tier {tier.name!r}") + 1):
                self._label(tier, f"tier {tier.name!r}, number {number}")
        return found

    def _chronological(self) -> list[GridTier]:
        """All tiers, then what they hold in order of time, each after the number of its tier."""
        self._number("the start"), self._number("the end")
        found = [self._tier() for _ in range(self._count("the number of tiers"))]
        while self._peek() is not None:
            number = self._count("the number of a tier")
            if not 1 <= number <= len(found):
                raise self._error(f"has no tier {number}; save it again in Praat")
            self._label(found[number - 1], f"tier {found[number - 1].name!r}")
        return found

    def _tier(self) -> GridTier:
        kind = self._string("the class of a tier")
        if kind not in KINDS:
            raise self._error(f"has a tier of the class {kind!r}; expected {' or '.join(KINDS)}")
        tier = GridTier(self._string("the name of a tier").strip(), KINDS[kind])
        self._number("the start of a tier"), self._number("the end of a tier")
        return tier

    def _label(self, tier: GridTier, where: str) -> None:
        start = self._number(f"a time of {where}")
        end = start if tier.points else self._number(f"the end of {where}")
        text = self._string(f"the label of {where}")
        assert (token := self.last) is not None
        tier.labels.append(Label(start, end, text, token.start(), token.end()))

    def _count(self, what: str) -> int:
        value = self._number(what)
        if value < 0 or value % 1 != 0:  # true of infinity, too
            raise self._error(f"{what} is {value:g}; save it again in Praat")
        return int(value)

    def _number(self, what: str) -> float:
        return float(self._take("number", what)) + 0.0  # which makes 0 of -0

    def _string(self, what: str) -> str:
        return self._take("string", what).replace('""', '"')

    def _take(self, kind: str, what: str) -> str:
        begun = self.at > 0
        token = self.last = self._next()
        if token is None and begun:
            raise EchoError(f"{self.file.path} ends before {what}; copy or save it again")
        if token is None or token[kind] is None and kind == "string" and self._line(token) == 1:
            raise self._no_textgrid()
        if token[kind] is None:
            found = _shown(token[0][:30])
            raise self._error(f"expected {what}, found {found!r}; mend the line", token)
        return _shown(token[kind])

    def _next(self) -> re.Match[bytes] | None:
        """The next string, flag or number; None at the end."""
        token = self._peek()
        if token is None:
            return None
        self.at = token.end()
        if token["string"] is not None and token["closed"] is None:
            what = "has a quotation mark within a label, or none at its end"
            raise self._error(f"{what}; double those within, as Praat does", token)
        return token

    def _peek(self) -> re.Match[bytes] | None:
        at = self.at
        while token := _TOKEN.match(self.file.data, at):
            if token["skip"] is None and token["word"] is None:
                return token
            at = token.end()
        return None

    def _error(self, what: str, token: re.Match[bytes] | None = None) -> EchoError:
        return EchoError(f"{self.file.path} line {self._line(token)}: {what}")

    def _line(self, token: re.Match[bytes] | None) -> int:
        return self.file.data.count(b"\n", 0, token.start() if token else self.at) + 1

    def _no_textgrid(self) -> EchoError:
        return EchoError(f"{self.file.path} is no TextGrid; save one as a text file in Praat")


def _shown(data: bytes) -> str:
    """A text with LF as line ends; a character that is cut in two becomes U+FFFD."""
    return data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
