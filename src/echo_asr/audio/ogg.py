"""The pages of Ogg files: where one recording ends and another, appended to it, begins."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import BinaryIO

from echo_asr.audio.splice import Part

HEADER = 27  # bytes of a page's header before its table of segments (RFC 3533)
PAGE = HEADER + 255 + 255 * 255  # bytes of the largest page
SEARCH = 1 << 20  # bytes after which the search for the next page is given up
FIRST = 2  # the flag of the first page of a stream


def find_parts(path: Path) -> list[Part]:
    """The recordings that an Ogg file chains together; libsndfile reads the first alone."""
    begins, at, first = [0], 0, True
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        while (at := content.find(b"OggS", at, at + SEARCH)) >= 0 and at + HEADER <= len(content):
            # Streams side by side, such as of a film, all begin before any goes on.
            if content[at + 5] & FIRST and not first:
                begins.append(at)
            first = bool(content[at + 5] & FIRST)
            at += HEADER + content[at + 26] + sum(content[at + HEADER : at + HEADER + content[at + 26]])
        ends = [*begins[1:], len(content)]
    return [Part(((a, b),)) for a, b in zip(begins, ends, strict=True)] if len(begins) > 1 else [Part()]


def ends_within_a_page(path: Path) -> bool:
    """Whether a file was cut off."""
    with path.open("rb") as file:
        page = _last_pages(file, 1)[-1]
    segments = page[26] if len(page) >= HEADER else 255
    return len(page) < HEADER + segments + sum(page[HEADER : HEADER + segments])


def last_page(file: BinaryIO) -> int:
    """Samples before the last page of an Ogg Vorbis recording, 0 if it is the only one with audio.

    libvorbis counts back from a page's end to find where a seek has led to. A last page that is cut short to the
    recording's length misleads it: what it then reads is late by up to a block.
    """
    pages = _last_pages(file, 2)
    return max(0, int.from_bytes(pages[-2][6:14], "little", signed=True)) if len(pages) > 1 else 0


def _last_pages(file: BinaryIO, count: int) -> list[bytes]:
    """The last pages, `count` at least where there are so many; the last runs to the end."""
    size = file.seek(0, 2)
    file.seek(max(0, size - count * PAGE))
    tail = file.read()
    starts = [match.start() for match in re.finditer(b"OggS", tail)] or [0]
    return [tail[start:stop] for start, stop in zip(starts, [*starts[1:], None], strict=True)]
