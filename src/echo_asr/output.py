"""Standard streams in UTF-8, whatever a terminal's code page or a server's locale, for texts are in any script."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def use_utf8_streams() -> None:
    """Have standard output and error write UTF-8, and standard input read it, from now on.

    What UTF-8 cannot carry, as in file names from old systems, is written as `\\udcff`: in JSON that is the same
    character, and nothing that is printed can fail for its characters.
    """
    for stream, errors in (
        (sys.stdin, "surrogateescape"),
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
    ):
        with suppress(AttributeError, OSError, ValueError):  # none, something in its place, or closed
            stream.reconfigure(encoding="utf-8", errors=errors)  # type: ignore[union-attr]


def use_utf8_names() -> None:
    """Start this command again in Python's UTF-8 mode where file names would be another encoding's, as they are on
    Unix under an old locale: names in lists and corpora could not be opened there. Else it returns."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        environment = {**os.environ, "PYTHONUTF8": "1"}
        os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)
