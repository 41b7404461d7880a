"""Output formats of places that were found: a table, JSON lines, or a file of ELAN or Praat."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from echo_asr.annotations.elan_writer import render_elan_tiers
from echo_asr.annotations.phrases import confidence_tier
from echo_asr.annotations.textgrid_writer import render_interval_tiers
from echo_asr.decode.phrases import place_tiers
from echo_asr.decode.results import Found
from echo_asr.errors import EchoError

FORMATS = ("csv", "json", "eaf", "textgrid")
COLUMNS = ("file", "start", "end", "word", "probability")


def render_places(name: str, found: Found, words: Sequence[str], form: str, folder: Path | None = None) -> str:
    """The places in a recording, in the order of time; every line ends in a line feed.

    Args:
        name: the recording's file name.
        words: all that were looked for.
        form: one of `FORMATS`:
            csv: a row for each place, under `COLUMNS` without their head; times in seconds.
            json: an object on a line for each place, with the same fields.
            eaf: ELAN 3.0, with a tier for each word and one of its confidences below it.
            textgrid: a TextGrid of Praat, in its long form, with the same tiers.
        folder: where the file will lie, from which an eaf file names its recording; None for the working directory.

    Raises:
        EchoError: there is no such format.
    """
    rows = [
        dict(zip(COLUMNS, (name, round(p.start, 3), round(p.end, 3), p.word, round(p.probability, 4)), strict=True))
        for p in found.places
    ]
    if form == "csv":
        return table(row.values() for row in rows)
    if form == "json":
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    tiers = place_tiers(found, words)
    if form == "eaf":
        return render_elan_tiers(tiers, Path(name), folder or Path())
    if form == "textgrid":
        intervals: dict[str, list[tuple[int, int, str]]] = {}
        for tier, own in tiers.items():
            intervals[tier] = [(word.start, word.end, word.text) for word in own]
            intervals[confidence_tier(tier)] = [(word.start, word.end, word.confidence) for word in own]
        return render_interval_tiers(intervals, max(1, round(found.duration * 1000)))
    raise EchoError(f"format {form!r}: there is no such format; choose one of {', '.join(FORMATS)}")


def table(rows: Iterable[Iterable[object]]) -> str:
    """Rows of values as csv."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
