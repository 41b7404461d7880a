"""Orthography profiles: tables of the graphemes of an orthography (Moran & Cysouw 2018), such as `kp`, `ng` or `tsʰ`.

A profile is a text file of columns separated by tabs, with a column `Grapheme`; the others are not used. Rules that
depend on context (a file `.rules` beside the profile) are not applied.
"""

from __future__ import annotations

import os
import unicodedata
import warnings
from pathlib import Path
from typing import Any

from echo_asr.errors import EchoError

COLUMN = "Grapheme"


def read_profile(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The graphemes of a profile, composed (NFC), in the order of the file.

    Raises:
        EchoError: the extra is not installed, there is no such file, it is no profile, or a grapheme is empty, contains
            a space or stands there twice.
    """
    path = Path(path)
    if path.with_suffix(".rules").exists():
        warnings.warn(f"{path.with_suffix('.rules')}: rules of a profile are not applied", stacklevel=2)
    found: dict[str, int] = {}
    for line, written in enumerate(_read_column(path), 2):
        grapheme = unicodedata.normalize("NFC", written)
        if not grapheme or any(map(str.isspace, grapheme)):
            raise EchoError(f"{path}, line {line}: expected a grapheme without spaces, got {written!r}; correct it")
        if grapheme in found:
            raise EchoError(f"{path}, line {line}: {grapheme!r} is on line {found[grapheme]} already; remove one")
        found[grapheme] = line
    if not found:
        raise EchoError(f"{path}: the profile has no grapheme; write one a line below the header {COLUMN}")
    return tuple(found)


def _read_column(path: Path) -> list[str]:
    """The column of graphemes as it is written."""
    try:
        from segments import Profile
    except ImportError:
        remedy = "pip install 'echo-asr[profiles]'"
        raise EchoError(f"{path}: a profile needs segments, which is not installed; {remedy}") from None

    class Rows(Profile):
        """The rows of the file, repeated ones too."""

        def __init__(self, *rows: dict[str, str], **_: Any) -> None:
            self.column = [row[COLUMN] for row in rows]

    try:
        return Rows.from_file(path).column
    except FileNotFoundError:
        raise EchoError(f"{path}: no such file; expected an orthography profile") from None
    except Exception as error:  # the libraries that read tables raise many kinds
        expected = f"expected UTF-8 text in columns separated by tabs, one of them {COLUMN}, and a grapheme a line"
        raise EchoError(f"{path}: cannot read it ({' '.join(str(error).split())}); {expected}") from None
