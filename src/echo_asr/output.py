"""Standard streams in UTF-8, whatever the terminal's code page or the locale, since texts are in any script."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def use_utf8_streams() -> None:
    """Set standard input, output and error to UTF-8.

    Lone surrogates, as in file names from old systems, are written as `\\udcff`, which in JSON is the same character,
    so that printing never fails.
    """
    for stream, errors in (
        (sys.stdin, "surrogateescape"),
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
    ):
        with suppress(AttributeError, OSError, ValueError):  # missing, replaced or closed
            stream.reconfigure(encoding="utf-8", errors=errors)  # type: ignore[union-attr]


def use_utf8_names() -> None:
    """Start this command again in Python's UTF-8 mode if file names have another encoding, as on Unix under an old
    locale, where names in lists and corpora could not be opened. Otherwise return."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        environment = {**os.environ, "PYTHONUTF8": "1"}
        os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)
