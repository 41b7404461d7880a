"""Rows of a CSV file; a broken row does not affect the others.

A row is a line: a quotation mark that its line does not close breaks that row alone, while `csv` would take the next
rows into its text. So a line break inside a cell, which CSV allows, breaks its row too.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from echo_asr.data.readers.lines import read_lines
from echo_asr.data.readers.records import Problems, Unusable, location
from echo_asr.errors import EchoError

SEPARATORS = (",", ";", "\t")  # that spreadsheets write
CONTINUED = 20  # lines that a cell may go on for before its quotation mark is taken for a stray one
OPEN = (
    "has a quotation mark that its line does not close: a stray one, or a line break inside a text; keep a text in one "
    'line, and write "" for a quotation mark in a quoted one'
)


def read_rows(path: Path, problems: Problems, wanted: str) -> Iterator[tuple[int, list[str]]]:
    """The names of the columns, and then the cells of each row, stripped, with their line numbers; empty rows left out.

    Cells are separated by commas, semicolons or tabs: by whichever yields the column `wanted` in the first row. A first
    line ``sep=;``, as spreadsheets write it, also sets the separator.

    Raises:
        EchoError: the file or its first row cannot be read.
    """
    lines = _Lines(read_lines(path, problems, header=True))
    number, columns, separator = _header(lines, path, wanted)
    yield number, columns
    for number, line in lines:
        with problems.noting(path, number):
            try:
                cells = _cells(line, separator)
            except _OpenQuote:
                lines.skip(_continued(line, lines.ahead(CONTINUED), separator, len(columns)))
                raise Unusable(OPEN) from None
            except csv.Error as error:
                raise Unusable(f"is no legal CSV: {error}; mend its quotation marks") from None
            if "\r" in line and any("\r" in cell for cell in cells):
                raise Unusable("has a line break inside a text; keep a text in one line")
            if any(cells):
                yield number, cells


class _Lines:
    """Lines with look-ahead."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self._waiting: deque[tuple[int, str]] = deque()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return self

    def __next__(self) -> tuple[int, str]:
        return self._waiting.popleft() if self._waiting else next(self._lines)

    def ahead(self, count: int) -> list[str]:
        self._waiting += islice(self._lines, max(0, count - len(self._waiting)))
        return [line for _, line in islice(self._waiting, count)]

    def skip(self, count: int) -> None:
        for _ in range(count):
            next(self)


class _OpenQuote(Exception):
    """A line does not close a quotation mark."""


def _cells(line: str, separator: str) -> list[str]:
    """The cells of a line, stripped. Raises `_OpenQuote`, and csv.Error for other quotation marks out of place."""
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    try:
        (row,) = csv.reader([line], delimiter=separator, strict=True)
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise _OpenQuote from None
        raise
    return [cell.strip() for cell in row]


def _header(lines: _Lines, path: Path, wanted: str) -> tuple[int, list[str], str]:
    """The line number of the header, its column names, and the separator of cells."""
    named = ""
    for number, line in lines:
        if not named and (found := re.fullmatch(r'"?sep=(.)"?', line.strip(), re.IGNORECASE)):
            named = found[1]
            continue
        columns: list[str] = []
        for separator in (named,) if named else SEPARATORS:
            try:
                cells = _cells(line, separator)
            except (_OpenQuote, csv.Error):
                raise EchoError(f"{location(path, number)} names no columns: its quotation marks are open") from None
            if wanted in cells:
                return number, cells, separator
            columns = columns or cells
        if any(columns):
            return number, columns, named or SEPARATORS[0]
    return 0, [], SEPARATORS[0]


def _continued(line: str, ahead: list[str], separator: str, columns: int) -> int:
    """How many of the lines ahead belong to a row whose quotation mark is open: those up to its end, if none of them
    is a row by itself; else none."""
    for count, more in enumerate(ahead, start=1):
        with suppress(_OpenQuote, csv.Error):
            if len(_cells(more, separator)) == columns:
                return 0
        line = f"{line}\n{more}"
        try:
            _cells(line, separator)
        except _OpenQuote:
            continue
        except csv.Error:
            return 0
        return count
    return 0
