"""AVATecH, the protocol between ELAN (https://archive.mpi.nl/tla/elan) and recognisers that run as processes of their
own.

ELAN writes the parameters to standard input, as an XML element ``PARAM``. It reads standard output and standard error,
both as one, line by line: ``PROGRESS: 40% text``, and as the last line ``RESULT: DONE.`` or ``RESULT: FAILED.``; the
user can read all lines. Tiers are exchanged as XML files: ELAN writes that of the annotations to be recognised, the
recogniser that of the result, whose path is one of the parameters.
"""

from __future__ import annotations

import locale
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr, unescape

from echo_asr.errors import EchoError

MOST = 0.99  # of the progress: at 100 % ELAN stops waiting, and looks for the tier
_SCHEMA = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="file:avatech-tier.xsd"'
_PARAMETER = re.compile(r'<param\s+name="([^"]*)"[^>]*(?<!/)>(.*?)</param>', re.DOTALL)
_QUOTES = {"&quot;": '"', "&apos;": "'"}
_SPAN = re.compile(r'<span\s+start="([^"]*)"\s+end="([^"]*)"\s*>\s*<v>(.*?)</v>', re.DOTALL)
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0


class Annotation(NamedTuple):
    """An annotation of a tier, from `start` to `end` in ms."""

    start: int
    end: int
    text: str


class Messages:
    """The lines of the protocol on a stream, each of which is flushed."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.percent = stream, -1

    def progress(self, share: float, text: str) -> None:
        """How much is done, 0 to 1, and a text of one line; printed if it is another percentage than before."""
        percent = round(100 * min(max(share, 0.0), MOST))
        if percent > self.percent:
            self.percent = percent
            print(f"PROGRESS: {percent}% {text}", file=self.stream, flush=True)

    def done(self) -> None:
        """The last line: the tier is written."""
        print("RESULT: DONE.", file=self.stream, flush=True)

    def failed(self) -> None:
        """The last line: there is no tier."""
        print("RESULT: FAILED.", file=self.stream, flush=True)


def read_parameters(stream: BinaryIO) -> dict[str, str]:
    """Names and values of the parameters that ELAN writes. The stream need not end after them.

    They are in UTF-8, from old versions of ELAN in the encoding of the system, and `&` is not always escaped there.

    Raises:
        EchoError: there are none.
    """
    lines = []
    for line in stream:
        lines.append(line)
        if line.rstrip().endswith(b"</PARAM>"):
            break
    found = _PARAMETER.findall(_decoded(b"".join(lines)))
    if not found:
        raise EchoError("standard input has no parameters; ELAN writes them when it starts the recogniser")
    return {name: unescape(value, _QUOTES) for name, value in found}


def read_tier(path: Path) -> list[Annotation]:
    """The annotations of a tier file, in their order; of several tiers those of the first.

    Times with a decimal point are in seconds, others in milliseconds. ELAN writes texts as they are, without escapes:
    a file that is no XML for that reason is read, too.

    Raises:
        EchoError: the file cannot be read, or is not a tier file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EchoError(f"{path}: the tier cannot be read ({error.strerror}); choose it again in ELAN") from None
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError):
        text = _decoded(data)
        spans = _SPAN.findall(text) if "<TIER" in text and "</TIER>" in text else None
    else:
        tier = root if root.tag == "TIER" else root.find(".//TIER")
        spans = None if tier is None else [_span(element) for element in tier.iter("span")]
    if spans is None:
        raise EchoError(f"{path}: is not a tier of ELAN's recognisers; choose a tier of the transcription")
    return [Annotation(_milliseconds(start, path), _milliseconds(end, path), text) for start, end, text in spans]


def write_tier(path: Path, name: str, annotations: Iterable[Annotation]) -> None:
    """Write a tier file, whole or not at all.

    Times are written in milliseconds: ELAN reads seconds as single-precision numbers and cuts them off, which moves
    some by a millisecond.

    Args:
        name: the tier's name in ELAN; spaces in it, which separate names, become underscores.

    Raises:
        EchoError: the file cannot be written.
    """
    from echo_asr.storage import replace_text  # imports torch, for which ELAN's user should not wait at the start

    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines += [f"<TIER {_SCHEMA} columns={quoteattr(_legal('_'.join(name.split())))}>"]
    lines += [f'    <span start="{a.start}" end="{a.end}"><v>{escape(_legal(a.text))}</v></span>' for a in annotations]
    replace_text(path, "\n".join([*lines, "</TIER>", ""]))


def _decoded(data: bytes) -> str:
    for encoding in ("utf-8-sig", locale.getencoding()):
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("cp1252", "replace")


def _span(element: ElementTree.Element) -> tuple[str, str, str]:
    """Start, end and the first text of a span."""
    value = element.find("v")
    return element.get("start", ""), element.get("end", ""), "" if value is None else "".join(value.itertext())


def _milliseconds(token: str, path: Path) -> int:
    try:
        value = float(token) * 1000 if "." in token else int(token)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise EchoError(f"{path}: {token!r} is no time; choose a tier of the transcription")
    return round(value)


def _legal(text: str) -> str:
    """The text without the characters that XML cannot have."""
    return _ILLEGAL.sub("", text)
