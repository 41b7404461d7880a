"""What a sound file's container knows and libsndfile does not say: that it was cut off, where its last page is."""

from __future__ import annotations

import re
from pathlib import Path

UNKNOWN_SIZE = 0x7FFF_0000  # bytes; programs that write wav into a pipe put a size from here up (or 0)
OGG_PAGE = 27 + 255 + 255 * 255  # bytes of the largest Ogg page: header, table of segments, segments (RFC 3533)


def cut_off(path: Path, head: bytes) -> str | None:
    """Why a file must be a part of one, or None; `head` are its first bytes. libsndfile reads a cut-off wav, aiff or
    Ogg file as a shorter one."""
    size = path.stat().st_size
    if head[:4] in (b"RIFF", b"FORM") and len(head) >= 8:
        stated = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
        # The size leaves out the 8 bytes before it, so that many bytes of sloppiness are let pass.
        if size < stated < UNKNOWN_SIZE:
            return f"its header says {stated + 8} bytes, it has {size}"
    elif head[:4] == b"OggS":
        page = _last_ogg_pages(path, 1)[-1]
        segments = page[26] if len(page) > 26 else 255
        if len(page) < 27 + segments + sum(page[27 : 27 + segments]):
            return "it ends in the middle of an Ogg page"
    return None


def last_ogg_page(path: Path) -> int:
    """Samples before the last page of an Ogg Vorbis file, 0 if it is the only one with sound.

    libvorbis counts back from a page's end to find where a seek has led to. A last page that is cut short to the
    sound's length misleads it: what it then reads is late by up to a block.
    """
    pages = _last_ogg_pages(path, 2)
    return max(0, int.from_bytes(pages[-2][6:14], "little", signed=True)) if len(pages) > 1 else 0


def _last_ogg_pages(path: Path, count: int) -> list[bytes]:
    """The last pages of an Ogg file, `count` at least where it has so many; the last runs to the file's end."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count * OGG_PAGE))
        tail = file.read()
    starts = [match.start() for match in re.finditer(b"OggS", tail)] or [0]
    return [tail[start:stop] for start, stop in zip(starts, [*starts[1:], None], strict=True)]
