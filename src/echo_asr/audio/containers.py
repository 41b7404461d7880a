"""Repairs the stated length of the audio in wav, RF64, W64, CAF and AU files: recorders that were cut off and programs
that write into a pipe leave 0 or a huge number there."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from echo_asr.audio.files import truncated
from echo_asr.audio.splice import Part

UNKNOWN_SIZE = 0x7FFF_0000  # bytes; programs that write into a pipe put a size from here up (or 0)
UNKNOWN_SIZE_64 = 1 << 60  # the same where sizes have 64 bits
STRAY = 1 << 14  # bytes after the stated end of the audio that still count as audio
MOST_CHUNKS = 10_000  # chunks of a file that are read, at most
RIFF_FORMS = (b"RIFF", b"RIFX", b"RF64")
AU_FORMS = {b".snd": ">", b"dns.": "<"}  # and their byte order
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"sidx", b"styp", b"uuid", b"meta", b"mfra")
# By the first bytes of a file: the header of a chunk (its name, its size), the offset of the first, and the multiple
# at which chunks begin; where that is 8, in W64, sizes hold the header, too.
CHUNKS = {
    b"RIFF": ("<4sI", 12, 2), b"RIFX": (">4sI", 12, 2), b"RF64": ("<4sI", 12, 2), b"caff": (">4sq", 8, 1),
    b"riff": ("<8s8xq", 40, 8),
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """The size of the audio in a container."""

    at: int  # offset of the number
    form: str  # of the number, as struct has it
    value: int  # bytes
    start: int  # offset of the first byte of audio

    @property
    def known(self) -> bool:
        """Whether the number is a plausible size."""
        return 0 <= self.value < (UNKNOWN_SIZE_64 if self.form[-1] == "q" else UNKNOWN_SIZE)


def find_parts(path: Path, head: bytes) -> list[Part]:
    """The recordings in a RIFF, CAF or AU file, each with its true size; any other file as one part, unchanged.

    Args:
        head: the first bytes of the file.

    Raises:
        EchoError: it was cut off. libsndfile reads a cut-off file of these forms as a shorter one.
    """
    size, begin, parts = path.stat().st_size, 0, list[Part]()
    with path.open("rb") as file:
        while head:
            audio = _audio_size(file, head, begin, size)
            stated = _stated_end(head, begin, size, audio)
            if stated > size:
                raise truncated(path, f"its header states {stated} bytes, it has {size}")
            if audio is None or head[:4] not in (*RIFF_FORMS, b"caff", *AU_FORMS):
                break
            truth = size - audio.start  # bytes, if the audio goes on to the file's end
            end = _end(file, head[:4], audio, size)
            stray = truth - audio.value if audio.known and audio.value else 0
            if end is None and not 0 < stray < (STRAY if _is_end(head, begin, audio) else 8):
                number = struct.pack(audio.form, truth if audio.form[-1] == "q" else min(truth, 0xFFFF_FFFF))
                parts.append(Part(((begin, audio.at), number, (audio.at + len(number), size)), max(0, stray)))
                break
            end = size if end is None else end
            parts.append(Part(((begin, end),)))
            begin, head = end, _read(file, end, 12)
    return parts if len(parts) > 1 or (parts and len(parts[0].spans) > 1) else [Part()]


def _stated_end(head: bytes, begin: int, size: int, audio: Size | None) -> int:
    """The offset at which the recording that begins at `begin` ends, by its header; 0 if its header states none."""
    if head[:4] in (b"RIFF", b"RIFX", b"FORM") and len(head) >= 8:
        total = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
        # The size leaves out the 8 bytes before it; a size that is wrong by as much is tolerated.
        return begin + total + 8 if size < begin + total and total < UNKNOWN_SIZE else 0
    if head[:7] == b"NIST_1A":
        return _nist_end(head)
    return audio.start + audio.value if audio and audio.known else 0


def refuse_truncated_video(path: Path, head: bytes) -> None:
    """Refuse a Matroska or mp4 file that is shorter than its header states.

    Raises:
        EchoError: it was cut off.
    """
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        if head[:4] == b"\x1aE\xdf\xa3":
            for _ in range(2):  # the header of the file, and the segment, which is the rest
                start, length = _ebml_size(head, at + 4)
                at = start + length
        for _ in range(MOST_CHUNKS if head[4:8] == b"ftyp" else 0):
            box = _read(file, at, 16) if at < size else b""
            length = int.from_bytes(box[:4], "big")
            length = int.from_bytes(box[8:16], "big") if length == 1 else length
            if length < 8 or box[4:8] not in MP4_BOXES:
                break
            at += length
    if size < at < UNKNOWN_SIZE_64:
        raise truncated(path, f"its header states {at} bytes, it has {size}")


def _ebml_size(head: bytes, at: int) -> tuple[int, int]:
    """Offset of the content of a Matroska element whose size is stored at `at`, and the size, 0 if unknown."""
    width = 9 - head[at].bit_length() if at < len(head) else 9
    value = int.from_bytes(head[at : at + width], "big") & (1 << 7 * width) - 1
    return at + width, 0 if value == (1 << 7 * width) - 1 or width > 8 else value


def _audio_size(file: BinaryIO, head: bytes, begin: int, size: int) -> Size | None:
    """The stated size of the audio of the recording that begins at `begin`; None where it states none."""
    kind = head[:4]
    if kind in AU_FORMS and len(head) >= 12:
        start, value = struct.unpack(f"{AU_FORMS[kind]}II", head[4:12])
        return Size(8, f"{AU_FORMS[kind]}I", value, start) if start <= size else None
    if kind not in CHUNKS:
        return None
    form, first, _ = CHUNKS[kind]
    long = None  # offset of a size of 64 bits, which stands in a chunk before
    for name, at, value in _chunks(file, kind, begin + first, size):
        if name == b"ds64" and kind == b"RF64" and value >= 16:
            long = at + 8
        elif name[:4] == b"data" and long is not None and value == 0xFFFF_FFFF:
            return Size(long, "<q", int.from_bytes(_read(file, long, 8), "little", signed=True), at)
        elif name[:4] == b"data":
            width = struct.calcsize(form[-1])
            return Size(at - width, form[0] + form[-1], value, at)
    return None


def _end(file: BinaryIO, kind: bytes, audio: Size, size: int) -> int | None:
    """The offset at which a recording ends if its stated size is consistent: its audio ends with the file, or chunks
    follow it, up to the file's end or to another recording. None: its audio goes on to the file's end."""
    stop = audio.start + audio.value
    if not audio.known or stop > size:
        return None
    if kind in AU_FORMS:
        return size if stop == size else None
    align = CHUNKS[kind][2]
    stop += -stop % align
    for name, at, value in _chunks(file, kind, stop, size):
        if name in RIFF_FORMS and _read(file, at, 4) == b"WAVE":
            return at - 8
        if not re.fullmatch(rb"[ -~]{4}", name) or not 0 <= value <= size - at:
            return None
        stop = at + value + -value % align
    return size if size - stop < 8 else None  # less than the header of a chunk


def _is_end(head: bytes, begin: int, audio: Size) -> bool:
    """Whether the size of a whole RIFF recording agrees with that of its audio; elsewhere nothing contradicts it."""
    if head[:4] not in (b"RIFF", b"RIFX"):
        return True
    total = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
    return abs(begin + 8 + total - audio.start - audio.value) <= 1


def _chunks(file: BinaryIO, kind: bytes, at: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset of the content and bytes of it, of one chunk after another."""
    form, _, align = CHUNKS[kind]
    header = struct.calcsize(form)
    for _ in range(MOST_CHUNKS):
        content = _read(file, at, header) if at < size else b""
        if len(content) < header:
            return
        name, value = struct.unpack(form, content)
        value -= header if kind == b"riff" else 0
        yield name, at + header, value
        if value < 0:
            return
        at += header + value + -value % align


def _nist_end(head: bytes) -> int:
    """The offset at which the samples of a NIST SPHERE file end, by its header; 0 if its header states none."""
    numbers = dict(re.findall(rb"(?m)^(sample_count|channel_count|sample_n_bytes) -i +(\d{1,18})\s", head))
    size = re.match(rb"NIST_1A\s+(\d{1,9})\s", head)
    packed = re.search(rb"(?m)^sample_coding .*(shorten|shortpack|wavpack)", head)
    if size is None or packed or len(numbers) < 3:
        return 0
    return int(size[1]) + math.prod(map(int, numbers.values()))


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
