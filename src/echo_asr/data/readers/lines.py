"""Text files of many lines, of which one may be broken and the others not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from echo_asr.data.readers.records import Problems, place
from echo_asr.errors import EchoError


def read_lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers from 1, without line ends; blank lines are passed over.

    A byte-order mark is allowed, and a name that ends in `.gz` is unpacked. A line that is not UTF-8 is a problem.

    Raises:
        EchoError: the file cannot be read.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    problems.add(place(path, number), f"is not UTF-8 (byte {error.start}); save the file as UTF-8")
                    continue
                if text.strip():
                    yield number, text
    except (EOFError, gzip.BadGzipFile) as error:
        raise EchoError(f"{path} cannot be unpacked ({error}); copy it again") from None
    except OSError as error:
        raise EchoError(f"{path} cannot be read: {error.strerror}; check its permissions") from None


def first_line(path: Path) -> str:
    """The first line of a file, however it is encoded; empty for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.readline(65_536).decode("utf-8-sig", "replace").rstrip("\r\n")
    except OSError:
        return ""


def read_objects(path: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file that has one a line, with their line numbers. A line that is none is a problem.

    Raises:
        EchoError: the file cannot be read.
    """
    for number, line in read_lines(path, problems):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.add(place(path, number), f"is no JSON ({error}); mend the line")
            continue
        if isinstance(found, dict):
            yield number, found
        else:
            problems.add(place(path, number), "is no JSON object; write {...} in a line")


def is_text(*values: str) -> bool:
    """Whether strings can be written as UTF-8: JSON may hold halves of characters, and undecoded bytes look so too."""
    try:
        for value in values:
            value.encode()
    except UnicodeEncodeError:
        return False
    return True
