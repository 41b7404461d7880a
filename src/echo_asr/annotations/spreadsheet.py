"""Tables of segments, CSV with the columns `start` and `end` (seconds) and perhaps `text`: those without a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from echo_asr.annotations.blanks import Blank
from echo_asr.errors import EchoError
from echo_asr.text.normalize import is_blank
from echo_asr.text.textfile import Change, TextFile

SUFFIX = ".csv"
SEPARATORS = (",", ";", "\t")


class _Cell(NamedTuple):
    first: int  # bytes of the file
    last: int
    text: str


def csv_blanks(file: TextFile) -> tuple[list[Blank], list[Change]]:
    """The rows without a text, and the change, if any, that adds the name of the column of texts where there is none.

    The first row names the columns, in any order and among others; one of numbers is a segment, and the columns are
    then `start`, `end` and `text`. Cells are separated by commas, semicolons or tabs.

    Raises:
        EchoError: there are no such columns, or a time is no number.
    """
    for separator in SEPARATORS:
        rows = [row for row in _rows(file.data, separator) if any(cell.text for cell in row)]
        names = [cell.text.lower() for cell in rows[0]] if rows else []
        numbers = [_number(name, separator) is not None for name in names[:2]] == [True, True]
        if numbers or {"start", "end"} <= set(names):
            break
    else:
        raise EchoError(f"{file.path} has no columns start and end; name them in its first row")
    named = not numbers
    start, end = (names.index("start"), names.index("end")) if named else (0, 1)
    text = names.index("text") if "text" in names else len(names) if named else 2
    blanks = []
    for row in rows[named:]:
        line = file.data.count(b"\n", 0, row[0].first) + 1
        where = f"{file.path} line {line}"
        times = [_number(row[column].text, separator) if column < len(row) else None for column in (start, end)]
        if times[0] is None or times[1] is None:
            raise EchoError(f"{where} has no start and end in seconds; correct them")
        if text >= len(row) or is_blank(row[text].text):
            blanks.append(Blank(times[0], times[1], where, partial(_written, row, text, separator)))
    unnamed = named and text == len(names)
    return blanks, [Change(rows[0][-1].last, rows[0][-1].last, f"{separator}text")] if unnamed else []


def _rows(data: bytes, separator: str) -> Iterator[list[_Cell]]:
    """The cells of each row, whose texts are stripped and without their quotation marks."""
    mark = separator.encode()
    plain = rb"[^\r\n" + mark + rb"]*"
    cell = re.compile(rb'[ ]*"[^"]*(?:""[^"]*)*"' + plain + b"|" + plain)
    place, row = 0, list[_Cell]()
    while place < len(data) or row:
        found = cell.match(data, place)
        assert found is not None  # it may be empty
        text = found[0].decode("utf-8", "replace").strip()
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1].replace('""', '"').strip()
        row.append(_Cell(found.start(), found.end(), text))
        place = found.end()
        if data[place : place + 1] == mark:
            place += 1
            continue
        yield row
        row = []
        place += 2 if data[place : place + 2] == b"\r\n" else 1


def _number(text: str, separator: str) -> float | None:
    """Seconds; with a decimal comma, too, where that does not separate cells."""
    text = text.replace(",", ".") if separator != "," else text
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d*)?|\.\d+", text) else None


def _written(row: list[_Cell], column: int, separator: str, text: str) -> Change:
    if any(mark in text for mark in (separator, '"')):
        text = '"' + text.replace('"', '""') + '"'
    if column < len(row):
        return Change(row[column].first, row[column].last, text)
    return Change(row[-1].last, row[-1].last, separator * (column - len(row) + 1) + text)
