"""A stand-in for ELAN: it finds recognisers, starts them, and reads what they print and write, as ELAN does.

It follows ELAN's documentation and what ELAN's published source of three versions does, from 4 to 6, byte for byte.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

SPACE = "{http://www.clarin.eu/cmd/}"
COMMANDS = {"win32": "runWin", "darwin": "runMac"}
ESCAPES = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;", "'": "&apos;", '"': "&quot;"})
Spans = list[tuple[int, int, str]]  # start and end in ms, and text


@dataclass
class Ended:
    """What ELAN knows when a recogniser has ended."""

    lines: list[str]  # its report: all that the recogniser printed, up to the result
    progress: list[float] = field(default_factory=list)  # 0 to 1
    result: str = ""  # `done`, `failed`, or empty: it ended without one


class Recogniser:
    """A recogniser that ELAN found in a folder of its extensions."""

    def __init__(self, folder: Path) -> None:
        (file,) = (path for path in folder.iterdir() if path.suffix == ".cmdi")
        root = ElementTree.parse(file).getroot()
        (described,) = root.iter(f"{SPACE}RECOGNIZER")
        (own,) = described.iter(f"{SPACE}recognizer")
        assert own.get("recognizerType") == "local"
        self.folder, self.name, self.title = folder, (own.text or "").strip(), own.get("info")
        # ELAN splits the command at spaces, whatever is quoted, and starts it in the folder.
        self.command = str(own.get(COMMANDS.get(sys.platform, "runLinux"))).split()
        self.parameters: dict[str, str | None] = {}
        self.described = {}
        for element in described:
            name = (element.text or "").strip()
            if element.tag.removeprefix(SPACE) in ("input", "output", "textparam", "numparam"):
                assert element.get("info"), f"ELAN ignores {name}"
                self.parameters[name], self.described[name] = element.get("default"), dict(element.attrib)
        (page,) = described.iter(f"{SPACE}documentation")
        assert (folder / str(page.text)).is_file()

    def call(self, given: Mapping[str, object], escaped: bool = True, line_end: str = "\n") -> bytes:
        """What ELAN writes to standard input; `escaped` is false for old versions."""
        lines = ['<?xml version="1.0" encoding="UTF-8"?>']
        lines += [
            '<PARAM xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            'xsi:noNamespaceSchemaLocation="file:avatech-call.xsd">'
        ]
        if escaped:
            lines += [f'<param name="InvocationContext">{self.name} 2026-11-29 02:14:09+0000</param>']
        assert given.keys() <= self.parameters.keys()
        for name, value in {**self.parameters, **given}.items():
            text = "" if value is None else str(value)
            lines += [f'<param name="{name}">{text.translate(ESCAPES) if escaped else text}</param>']
        return "".join(line + line_end for line in [*lines, "</PARAM>"]).encode()

    def start(self, given: Mapping[str, object], close: bool = True, **environment: str) -> Ended:
        """Start it and read to the result, or to the end of its output; `close` the standard input or leave it open."""
        process = subprocess.Popen(
            self.command, cwd=self.folder, env=bare_environment(environment),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdin and process.stdout
        process.stdin.write(self.call(given))
        process.stdin.flush()
        if close:
            process.stdin.close()
        ended = understood(line.decode().rstrip("\r\n") for line in process.stdout)
        assert ended.result or not close or process.wait(60) is not None
        if not close:
            process.stdin.close()
        process.stdout.close()
        process.wait(60)
        return ended


def bare_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that was not started in a terminal: no paths of Python, no language."""
    dropped = ("PYTHON", "LC_", "LANG", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "OMP_NUM_THREADS": "1", **changes}


def understood(lines: Iterable[str]) -> Ended:
    """What ELAN makes of the lines of standard output and error together."""
    ended, last = Ended([]), -1.0
    for line in lines:
        ended.lines.append(line)
        if line in ("RESULT: DONE.", "RESULT: FAILED."):
            ended.result = line[8:-1].lower()
            break
        if line.startswith("PROGRESS:"):
            share = line[9:].strip().split(" ", 1)[0]
            last = max(last, float(share[:-1]) / 100 if share.endswith("%") else float(share))
            ended.progress.append(last)
        assert len(line) != 1 or line not in "0\4", "ELAN takes this for the end"
    return ended


def write_elan_tier(path: Path, spans: Spans, line_end: str = "\n", seconds: bool = True) -> Path:
    """A tier, or selections, as ELAN writes them for a recogniser: texts without escapes."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines += [
        '<TIER xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="file:avatech-tier.xsd" columns="tier_1">'
    ]
    for start, end, text in spans:
        first, last = (f"{start / 1000:.3f}", f"{end / 1000:.3f}") if seconds else (start, end)
        lines += [f'\t<span start="{first}" end="{last}"><v>{text}</v></span>']
    path.write_bytes("".join(line + line_end for line in [*lines, "</TIER>"]).encode())
    return path


def load_elan_tier(path: Path) -> dict[str, Spans]:
    """The tiers that ELAN makes of a tier file."""
    root = ElementTree.parse(path).getroot()
    found: dict[str, Spans] = {}
    for tier in [root] if root.tag == "TIER" else root.iter("TIER"):
        names = [name.removeprefix("#") for name in str(tier.get("columns")).split()]
        assert names
        columns: Sequence[Spans] = [found.setdefault(name, []) for name in names]
        for span in tier.iter("span"):
            start, end = java_milliseconds(str(span.get("start"))), java_milliseconds(str(span.get("end")))
            for column, value in zip(columns, span.iter("v"), strict=True):
                column.append((start, end, "".join(value.itertext()).strip()))
    return found


def java_milliseconds(token: str) -> int:
    """`(long) (1000 * Float.parseFloat(token))` for seconds; others are milliseconds."""
    if "." not in token:
        assert re.fullmatch(r"-?\d+", token)
        return int(token)
    return int(_single(1000.0 * _single(float(token))))


def _single(value: float) -> float:
    (rounded,) = struct.unpack("f", struct.pack("f", value))
    return float(rounded)
