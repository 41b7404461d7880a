"""Reads text files line by line in bounded memory; a broken line does not affect the others."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from echo_asr.data.readers.records import Notice, Problems, Unusable, location
from echo_asr.errors import EchoError
from echo_asr.text.textfile import TextFile, read_text_file

CHUNK = 1 << 16  # bytes read at a time
LONGEST_LINE = 8 << 20  # bytes; a file with a longer line is refused
UNPACKED = 256 << 10  # bytes that any packed file may unpack to
RATIO = 100  # to 1, beyond that, of unpacked to packed bytes; texts reach 5 to 30
MOST_VALUES = 500_000  # lists and objects in a line of JSON
WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}  # spreadsheets export it as "Unicode text"
ENCODING = "encoding"  # kind of the notice of a file that is not UTF-8


def read_lines(path: Path, problems: Problems, header: bool = False) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers from 1, without line ends; blank lines are skipped.

    The file is UTF-8, with or without a byte-order mark, or UTF-16 with one; lines end in LF, CR LF or CR; a name that
    ends in `.gz` is unpacked. A line that is not UTF-8 or has a NUL character is a problem, and so is the rest of a
    file that cannot be read to its end.

    Args:
        header: the first line names columns; one that cannot be read ends the reading.

    Raises:
        EchoError: nothing of the file can be read.
    """
    number = 0  # of the last line that was read
    try:
        for number, line in raw_lines(path):
            text, wrong = "", ""
            try:
                text = line.decode("utf-8")
                if "\0" in text:
                    wrong = "has a NUL character; save the file as UTF-8, or mend the line"
            except UnicodeDecodeError as error:
                wrong = f"is not UTF-8 (byte {error.start}); save the file as UTF-8"
            if wrong and header and number == 1:
                raise EchoError(f"{path} is not UTF-8; save it as UTF-8")
            if wrong:
                problems.add_line(path, number, wrong)
            elif text and not text.isspace():
                yield number, text
    except EchoError as error:
        if not number or header and number == 1:
            raise
        problems.add_error(location(path, number + 1), error)


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file as UTF-8 bytes with their numbers from 1, without byte-order mark and line ends; empty ones
    are skipped.

    Raises:
        EchoError: the file cannot be read, a line is longer than `LONGEST_LINE`, or it unpacks to far more than a text
            does.
    """
    number, rest, end = 0, b"", b""
    for chunk in _text_chunks(path):
        rest += chunk
        if not end and (b"\n" in chunk or b"\r" in rest[-len(chunk) - 1 :]):
            end = _line_end(rest)
        if not end and len(rest) <= LONGEST_LINE:
            continue  # the first line goes on
        *lines, rest = rest.split(end or b"\n")
        for line in lines:
            number += 1
            if line:
                yield number, line.rstrip(b"\r")
        if len(rest) > LONGEST_LINE:
            what = f"is longer than {LONGEST_LINE >> 20} MB, as no line of a table is"
            raise EchoError(f"{location(path, number + 1)} {what}; give another file")
    last = rest.split(end or b"\n")
    for line in last if last[-1] else last[:-1]:
        number += 1
        yield number, line.rstrip(b"\r")


def _line_end(beginning: bytes) -> bytes:
    """The line end of a file, from its first bytes: CR (old Macintosh files) or LF; empty if no line ends there."""
    lone = len(re.findall(rb"\r(?![\r\n]|$)", beginning))
    if lone > beginning.count(b"\n"):
        return b"\r"
    return b"\n" if b"\n" in beginning else b""


def _text_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a text file as UTF-8 without its byte-order mark, a chunk at a time."""
    decoder: codecs.IncrementalDecoder | None = None
    beginning = True
    for chunk in _chunks(path):
        if beginning:
            beginning = False
            wide = WIDE.get(chunk[:2])
            chunk = chunk[2:] if wide else chunk.removeprefix(codecs.BOM_UTF8)
            decoder = codecs.getincrementaldecoder(wide)("replace") if wide else None
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass") if decoder else chunk


def _chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked if its name ends in `.gz`.

    Raises:
        EchoError: it cannot be read or unpacked, or unpacks to far more than a text does.
    """
    total = 0
    try:
        with path.open("rb") as file:
            if path.suffix != ".gz":
                while chunk := file.read(CHUNK):
                    yield chunk
                return
            with gzip.GzipFile(fileobj=file) as unpacked:
                while chunk := unpacked.read(CHUNK):
                    total += len(chunk)
                    if total > max(UNPACKED, RATIO * file.tell()):
                        what = f"unpacks to over {RATIO} times its size, as no text does"
                        raise EchoError(f"{path} {what}; give another file")
                    yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise EchoError(f"{path} cannot be unpacked ({error}); copy it again") from None
    except OSError as error:
        raise EchoError(f"{path} cannot be read: {error.strerror}; check its permissions") from None


def decoded_text(path: Path, problems: Problems) -> str:
    """The text of a file that a program of unknown settings wrote, as `read_text_file` reads it; with a notice if it is
    not in Unicode. Line ends are LF.

    Raises:
        EchoError: the file cannot be read.
    """
    file = read_text_file(path)
    note_encoding(file, problems)
    return file.data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def note_encoding(file: TextFile, problems: Problems) -> None:
    """Note a file that is not in Unicode, whose encoding is a guess; the first of a corpus."""
    if not file.encoding.startswith("utf") and all(notice.kind != ENCODING for notice in problems.notices):
        what = "is not UTF-8 and is read as Windows-1252 (Latin-1), as other files may be"
        problems.notices.append(Notice(ENCODING, str(file.path), f"{what}; save it as UTF-8 if letters are wrong"))


def first_line(path: Path) -> str:
    """The first line of a file, however it is encoded; empty for one that cannot be read."""
    try:
        return next((line.decode("utf-8", "replace") for _, line in raw_lines(path)), "")
    except EchoError:
        return ""


def read_objects(path: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file that has one a line, with their line numbers. Other lines are problems; empty objects
    are skipped, as blank lines are.

    Raises:
        EchoError: the file cannot be read.
    """
    for number, line in read_lines(path, problems):
        with problems.noting(path, number):
            if line.count("[") + line.count("{") > MOST_VALUES:  # each takes fifty times its byte in memory
                raise Unusable(f"has over {MOST_VALUES} lists and objects; give it in several lines")
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise Unusable(f"is no JSON ({error}); mend the line") from None
            if not isinstance(found, dict):
                raise Unusable("is no JSON object; write {...} in a line")
            if any(value is not None and value != "" for value in found.values()):
                yield number, found


def is_text(*values: str) -> bool:
    """Whether strings can be encoded as UTF-8: JSON may hold lone surrogates, as undecoded bytes are."""
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return False
    return True
