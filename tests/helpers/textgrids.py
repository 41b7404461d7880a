"""TextGrid files in the three forms that Praat writes."""

from __future__ import annotations

import codecs
from pathlib import Path

Tiers = list[tuple[str, list[tuple[float, float, str]]]]  # names, and intervals; a point begins where it ends

ENCODINGS = {
    "utf-8": b"", "utf-8-sig": b"", "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE, "latin-1": b"",
}  # fmt: skip


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def points(intervals: list[tuple[float, float, str]]) -> bool:
    return bool(intervals) and all(start == end for start, end, _ in intervals)


def long_form(tiers: Tiers, end: float) -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", f"xmax = {end} "]
    lines += ["tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for number, (name, intervals) in enumerate(tiers, start=1):
        kind = "TextTier" if points(intervals) else "IntervalTier"
        what = "points" if points(intervals) else "intervals"
        lines += [f"    item [{number}]:", f'        class = "{kind}" ', f"        name = {quoted(name)} "]
        lines += ["        xmin = 0 ", f"        xmax = {end} ", f"        {what}: size = {len(intervals)} "]
        for index, (start, stop, text) in enumerate(intervals, start=1):
            lines.append(f"        {what} [{index}]:")
            if points(intervals):
                lines += [f"            number = {start} ", f"            mark = {quoted(text)} "]
            else:
                lines += [f"            xmin = {start} ", f"            xmax = {stop} "]
                lines.append(f"            text = {quoted(text)} ")
    return "\n".join(lines) + "\n"


def short_form(tiers: Tiers, end: float) -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", str(end), "<exists>", str(len(tiers))]
    for name, intervals in tiers:
        lines += ['"TextTier"' if points(intervals) else '"IntervalTier"', quoted(name), "0", str(end)]
        lines.append(str(len(intervals)))
        for start, stop, text in intervals:
            lines += [str(start)] if points(intervals) else [str(start), str(stop)]
            lines.append(quoted(text))
    return "\n".join(lines) + "\n"


def chronological_form(tiers: Tiers, end: float) -> str:
    lines = [
        '"Praat chronological TextGrid text file"',
        f"0 {end}   ! Time domain.",
        f"{len(tiers)}   ! Number of tiers.",
    ]
    for name, intervals in tiers:
        kind = "TextTier" if points(intervals) else "IntervalTier"
        lines.append(f'"{kind}" {quoted(name)} 0 {end}')
    timed = [(start, number, stop, text) for number, (_, all_of) in enumerate(tiers, 1) for start, stop, text in all_of]
    for start, number, stop, text in sorted(timed):
        name = tiers[number - 1][0]
        times = f"{start}" if points(tiers[number - 1][1]) else f"{start} {stop}"
        lines += ["", f"! {name}:".replace("\n", " "), f"{number} {times}", quoted(text)]
    return "\n".join(lines) + "\n"


FORMS = {"long": long_form, "short": short_form, "chronological": chronological_form}


def write_textgrid(path: Path, tiers: Tiers, end: float, form: str = "long", encoding: str = "utf-8") -> Path:
    text = FORMS[form](tiers, end)
    path.write_bytes(ENCODINGS[encoding] + text.encode(encoding))
    return path
