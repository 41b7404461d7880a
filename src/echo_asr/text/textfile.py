"""A text file that is changed in places; everything else in it stays as it is, byte for byte."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from echo_asr.errors import EchoError

LARGEST = 100 << 20  # bytes of a file; one for a recording of a day has 10 MB
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # begins as that of UTF-16
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_XML_ENCODING = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")


class Change(NamedTuple):
    """Bytes `first` to `last` of a text in UTF-8 become `text`; where both are equal, it is inserted."""

    first: int
    last: int
    text: str


@dataclass(frozen=True)
class TextFile:
    """The text of a file.

    Attributes:
        data: the text in UTF-8, without byte-order mark.
        encoding: that of the file.
        mark: its byte-order mark, or nothing.
        stamp: by which a later change of the file is noticed.
    """

    path: Path
    data: bytes
    encoding: str
    mark: bytes = b""
    stamp: tuple[int, int] = (0, 0)

    @property
    def is_unchanged(self) -> bool:
        """Whether the file is as it was read; false where it is gone."""
        try:
            return self.stamp == _stamp(self.path)
        except OSError:
            return False

    @property
    def line_end(self) -> str:
        """CR LF or LF, by the first line."""
        return "\r\n" if re.match(rb"[^\n]*\r\n", self.data) else "\n"

    def after_blanks(self, place: int) -> int:
        """The place of the first byte from `place` on that is no blank."""
        while self.data[place : place + 1].isspace():
            place += 1
        return place

    def changed(self, changes: Iterable[Change], errors: str = "strict") -> bytes:
        """The file with changes, in its own encoding.

        Args:
            errors: what becomes of characters that the encoding does not have, as in `str.encode`.

        Raises:
            EchoError: the encoding of the file does not have a character.
        """
        parts, done = [], 0
        for first, last, text in sorted(changes, key=lambda change: change[:2]):
            assert done <= first <= last, "changes overlap"
            parts += [self.data[done:first], text.encode("utf-8", "surrogatepass")]
            done = last
        new = b"".join([*parts, self.data[done:]])
        if self.encoding == "utf-8":
            return self.mark + new
        errors = "surrogatepass" if self.encoding.startswith(("utf-16", "utf-32")) else errors
        try:
            return self.mark + new.decode("utf-8", "surrogatepass").encode(self.encoding, errors)
        except UnicodeEncodeError as error:
            what = f"is in an encoding ({self.encoding}) that does not have {error.object[error.start]!r}"
            raise EchoError(f"{self.path} {what}; save it as UTF-8") from None


def read_text_file(path: Path, xml: bool = False) -> TextFile:
    """The text of a file: in UTF-8, UTF-16 or UTF-32 by its byte-order mark; without one in what an XML declaration
    states, in UTF-8, or else in Windows-1252, or Latin-1 where it has bytes that are not in that.

    Raises:
        EchoError: it cannot be read, is very large, or is not in the encoding that it states.
    """
    try:
        stamp = _stamp(path)
        if stamp[0] > LARGEST:
            raise EchoError(f"{path} is larger than {LARGEST >> 20} MB; give a smaller file")
        data = path.read_bytes()
    except OSError as error:
        raise EchoError(f"{path} cannot be read: {error.strerror}; check its name and permissions") from None
    mark = next((mark for mark in MARKS if data.startswith(mark)), b"")
    wide = "" if mark else _wide_without_mark(data[:64])
    stated = _XML_ENCODING.match(data) if xml and not mark else None
    if mark:
        encodings = [MARKS[mark]]
    elif wide:
        encodings = [wide]
    elif stated:
        encodings = [stated[1].decode("ascii").lower()]
    else:
        encodings = ["utf-8"] if xml else ["utf-8", "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            text = data[len(mark) :].decode(encoding).encode("utf-8")
        except (UnicodeError, LookupError):
            continue
        return TextFile(path, text, "utf-8" if encoding == "utf8" else encoding, mark, stamp)
    raise EchoError(f"{path} is not in {encodings[0]}, as it states; save it again as UTF-8")


def _stamp(path: Path) -> tuple[int, int]:
    """Size in bytes, and time of the last change in ns."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _wide_without_mark(beginning: bytes) -> str:
    """The byte order of UTF-16 without a mark, of which every other byte of what is ASCII is zero; else empty."""
    even, odd = beginning[::2], beginning[1::2]
    for zeros, others, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if len(beginning) > 3 and not any(zeros) and all(others):
            return name
    return ""
