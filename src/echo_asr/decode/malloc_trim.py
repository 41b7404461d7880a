"""Freed memory goes back to the operating system, so that a process does not grow with the recordings it decodes."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


@cache
def _c_library() -> Any:
    try:
        return ctypes.CDLL("libc.so.6")
    except OSError:  # not Linux, or another C library, whose memory Echo does not look after
        return None


def release_memory() -> None:
    """Have the C library hand back what is free within its heap (glibc's `malloc_trim`; elsewhere nothing is done).

    Decoding allocates blocks of ever other sizes, after which glibc keeps more and more of them: after ten hours of a
    recording a process held a third more than after one. A call takes some milliseconds.
    """
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)
