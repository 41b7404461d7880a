"""Keeps the memory that a process holds near what it needs, so that it does not grow with what it decodes."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

M_ARENA_MAX, ARENAS = -8, 2  # glibc's name of the setting, and how many heaps threads share


@cache
def _c_library() -> Any:
    try:
        return ctypes.CDLL("libc.so.6")
    except OSError:  # not Linux, or another C library
        return None


def share_heaps() -> None:
    """Let all threads of the process share few heaps (glibc's `M_ARENA_MAX`; no effect elsewhere).

    By default there are eight for each core, each of which keeps what was freed in between: a service of many threads
    then grows with its requests for hours. To be called before threads are started.
    """
    option = getattr(_c_library(), "mallopt", None)
    if option is not None:
        option(M_ARENA_MAX, ARENAS)


def release_memory() -> None:
    """Return the free memory of the C library's heap (glibc's `malloc_trim`; no effect elsewhere).

    Decoding allocates blocks of varying sizes, of which glibc keeps more and more: after ten hours of a recording a
    process held a third more memory than after one. A call takes some milliseconds.
    """
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)
