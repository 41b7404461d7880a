"""The frames of MP3 files: how long one is, and where a recording that was appended to it begins.

mpg123, beneath libsndfile, believes the header of the first frame (Xing, Info or VBRI) where there is one, and stops
where that ends; elsewhere it estimates the length from the first frame's bit rate, and libsndfile stops there.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from echo_asr.audio.splice import Part

SEARCH = 1 << 16  # bytes after which the search for the next frame is given up
# Layer III, ISO 11172-3 and 13818-3, by the two bits of the version (2.5, none, 2, 1).
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # Hz
KBPS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # by the bit rate's index, from 1
KBPS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
REST = 2  # frames after the end that a header states, which are no recording: some headers leave out a frame


@dataclass(frozen=True)
class Frame:
    """The header of a frame of Layer III."""

    size: int  # bytes
    side: int  # bytes from its beginning to after the side information, where a Xing header would stand
    kind: bytes  # what frames of one recording have in common


def frame_at(content: bytes | mmap.mmap, at: int) -> Frame | None:
    """The frame that begins at an offset; None where there is none of a known size."""
    header = content[at : at + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0 or header[1] >> 1 & 3 != 1:
        return None
    version, bits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate == 3 or bits in (0, 15):
        return None
    first = version == 3
    size = (144_000 if first else 72_000) * (KBPS_1 if first else KBPS_2)[bits - 1] // RATES[version][rate]
    mono = header[3] >> 6 == 3
    side = 4 + ((17 if mono else 32) if first else (9 if mono else 17))
    return Frame(size + (header[2] >> 1 & 1), side, bytes([header[1] & 0xFE, header[2] & 0x0C, mono]))


def find_parts(path: Path) -> list[Part]:
    """The recordings that follow one another in an MP3 file, each with a header that states its length."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin, parts = 0, list[Part]()
        while (found := _next_frame(content, begin)) is not None:
            at, frame = found
            stated = _stated_end(content, at, frame)
            if stated is not None:
                parts.append(Part(((at if parts else begin, min(stated, len(content))),)))
                begin = stated
                continue
            if _has_header(content, at, frame):  # one that does not state where it ends
                at += frame.size
            count, begin = _count(content, at, frame.kind)
            if count > (REST if parts else 0):
                parts.append(Part((_header(content[at : at + 4], count), (at, begin)), stated=False))
        if not parts:
            return [Part(stated=False)]
        return [Part()] if len(parts) == 1 and parts[0].stated else parts


def _has_header(content: mmap.mmap, at: int, frame: Frame) -> bool:
    """Whether a frame is a Xing, Info or VBRI header instead of audio."""
    offset = at + frame.side
    marks = content[offset : offset + 4], content[offset + 2 : offset + 6]
    return any(mark in (b"Xing", b"Info") for mark in marks) or content[at + 36 : at + 40] == b"VBRI"


def _stated_end(content: mmap.mmap, at: int, frame: Frame) -> int | None:
    """Where a recording ends, by the header in its first frame; None where that states no length."""
    offset = at + frame.side
    if content[offset : offset + 4] not in (b"Xing", b"Info") or len(content) < offset + 16:
        return None
    flags, frames, size = struct.unpack(">III", content[offset + 4 : offset + 16])
    return at + size if flags & 3 == 3 and frames and size >= frame.size else None


def _count(content: mmap.mmap, at: int, kind: bytes) -> tuple[int, int]:
    """Whole frames of one recording from an offset on, and where it ends."""
    count = 0
    while True:
        frame = frame_at(content, at)
        if frame is None or frame.kind != kind:
            found = _next_frame(content, at)
            if found is None or found[1].kind != kind:
                return count, at if found is None else found[0]
            at, frame = found
        if at + frame.size > len(content) or (count and _has_header(content, at, frame)):
            return count, at
        count += 1
        at += frame.size


def _header(first: bytes, count: int) -> bytes:
    """A Xing header that states how many frames follow it, for frames that begin with `first`."""
    start = bytes([0xFF, first[1] | 1, 9 << 4 | first[2] & 0x0C, first[3]])  # without checksum, of 80 or 128 kbit/s
    frame = frame_at(start, 0)
    assert frame is not None
    return (start.ljust(frame.side, b"\0") + b"Xing" + struct.pack(">II", 1, count)).ljust(frame.size, b"\0")


def _next_frame(content: mmap.mmap, at: int) -> tuple[int, Frame] | None:
    """The next frame that is followed by another, or by the end, and its offset; None where only tags are left."""
    limit = at + SEARCH
    while at < min(len(content), limit):
        if content[at : at + 3] == b"ID3" and at + 10 <= len(content):
            size = 0
            for byte in content[at + 6 : at + 10]:
                size = size << 7 | byte & 0x7F
            at += 10 + size + (10 if content[at + 5] & 0x10 else 0)
            limit = at + SEARCH
            continue
        frame = frame_at(content, at)
        if frame is not None:
            following = frame_at(content, at + frame.size)
            if (following is not None and following.kind == frame.kind) or at + frame.size == len(content):
                return at, frame
        at = content.find(b"\xff", at + 1, limit) if content[at + 1 : at + 2] != b"\xff" else at + 1
        if at < 0:
            return None
    return None
