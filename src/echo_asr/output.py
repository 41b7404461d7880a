"""Standard streams: in UTF-8, whatever the terminal's code page or the locale; and standard error silenced."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STDERR_LOCK = threading.Lock()


def use_utf8_streams() -> None:
    """Set standard input, output and error to UTF-8.

    Lone surrogates, as in file names from old systems, are written as `\\udcff`, which in JSON is the same character,
    so that printing never fails.
    """
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        errors = "surrogateescape" if stream is sys.stdin else "backslashreplace"
        with suppress(AttributeError, OSError, ValueError):  # missing, replaced or closed
            stream.reconfigure(encoding="utf-8", errors=errors)  # type: ignore[union-attr]


def use_utf8_names() -> None:
    """Start this command again in Python's UTF-8 mode if file names have another encoding, as on Unix under an old
    locale, where names in lists and corpora could not be opened. Otherwise return."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        environment = {**os.environ, "PYTHONUTF8": "1"}
        os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Send file descriptor 2 to the null device, to which C libraries write past Python's `sys.stderr`."""
    with _STDERR_LOCK:  # one thread at a time, or the second would restore the null device
        if sys.stderr is not None:
            sys.stderr.flush()
        try:
            kept = os.dup(2)
        except OSError:  # a process without standard error
            yield
            return
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(null)
