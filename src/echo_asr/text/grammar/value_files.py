"""Lists of values in files: a value a line, or a table of spoken and written forms."""

from __future__ import annotations

import csv
from pathlib import Path

from echo_asr.errors import EchoError
from echo_asr.text.grammar.definitions import Value, Values
from echo_asr.text.grammar.nodes import Place
from echo_asr.text.textfile import read_text_file

HEADER = ("spoken", "written")
MOST_VALUES = 200_000


def read_values(path: Path, place: Place) -> Values:
    """The values in a file.

    A `.csv` has a column of what is spoken and, where it is written otherwise, a second one; a first row
    `spoken,written` is taken for names of the columns. Other files have a value a line, as it is: without brackets
    that mean something, and without comments.

    Args:
        place: where the file is named.

    Raises:
        EchoError: it cannot be read, or a row has another form.
    """
    try:
        text = read_text_file(path).data.decode("utf-8", "replace")
    except EchoError as error:
        raise EchoError(f"{place}: {error}") from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if "\0" in text:
        raise EchoError(f"{place}: {path} has a NUL character; save it as UTF-8")
    values = _rows(lines, path) if path.suffix.lower() == ".csv" else [Value(line.strip()) for line in lines]
    values = [value for value in values if value.spoken]
    if len(values) > MOST_VALUES:
        raise EchoError(f"{place}: {path} has {len(values):,} values, expected at most {MOST_VALUES:,}; shorten it")
    return Values(tuple(values))


def _rows(lines: list[str], path: Path) -> list[Value]:
    found = []
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=_delimiter(lines), skipinitialspace=True)
    try:
        for number, row in enumerate(reader):
            cells = [cell.strip() for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            if not cells or (number == 0 and tuple(cell.lower() for cell in cells) in (HEADER, HEADER[:1])):
                continue
            if len(cells) > 2 or not cells[0]:
                what = "a spoken form, and the written one behind it"
                raise EchoError(
                    f"{path}, line {reader.line_num}: expected {what}, got {len(cells)} cells; quote commas"
                )
            found.append(Value(cells[0], cells[1] if len(cells) == 2 else None))
    except csv.Error as error:
        raise EchoError(f"{path}, line {reader.line_num}: no CSV ({error}); write spoken,written") from None
    return found


def _delimiter(lines: list[str]) -> str:
    """A comma, or the semicolon or tab that spreadsheets of some languages write, if more lines have one."""
    return max(",;\t", key=lambda sign: sum(sign in line for line in lines))
