"""Returns freed memory to the operating system, so that a process does not grow with the recordings it decodes."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


@cache
def _c_library() -> Any:
    try:
        return ctypes.CDLL("libc.so.6")
    except OSError:  # not Linux, or another C library
        return None


def release_memory() -> None:
    """Return the free memory of the C library's heap (glibc's `malloc_trim`; no effect elsewhere).

    Decoding allocates blocks of varying sizes, of which glibc keeps more and more: after ten hours of a recording a
    process held a third more memory than after one. A call takes some milliseconds.
    """
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)
