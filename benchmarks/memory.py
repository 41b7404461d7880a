"""Memory of this process, on any system."""

from __future__ import annotations

import sys

import psutil


def held_bytes() -> int:
    """Bytes in memory now."""
    return int(psutil.Process().memory_info().rss)


def peak_bytes() -> int:
    """The peak of bytes in memory."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
