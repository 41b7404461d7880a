"""Writes ELAN's annotation files, version 3.0 (https://www.mpi.nl/tools/elan/EAFv3.0.xsd)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from echo_asr.annotations.document import xml_text, xml_value
from echo_asr.annotations.phrases import CONFIDENCES, PHRASES, SYMBOLS, WORDS, Phrase, TimedWord, confidence_tier

PHRASE, WORD, CONFIDENCE, SYMBOL = "phrase", "word", "confidence", "symbol"  # linguistic types of the tiers
MIME_TYPES = {
    ".wav": "audio/x-wav",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".m4a": "audio/mp4",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".mov": "video/quicktime",
    ".aif": "audio/x-aiff",
    ".aiff": "audio/x-aiff",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
}
CONSTRAINTS = {
    "Time_Subdivision": "Time subdivision of parent annotation's time interval, no time gaps allowed within this "
    "interval",
    "Symbolic_Subdivision": "Symbolic subdivision of a parent annotation. Annotations refering to the same parent are "
    "ordered",
    "Symbolic_Association": "1-1 association with a parent annotation",
    "Included_In": "Time alignable annotations within the parent annotation's time interval, gaps are allowed",
}
_ROOT = (
    '<ANNOTATION_DOCUMENT AUTHOR="" DATE="{date}" FORMAT="3.0" VERSION="3.0" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">'
)


class Span(NamedTuple):
    """An annotation with times of its own: start and end in ms, text, and how deep its tier is."""

    start: int
    end: int
    text: str
    depth: int


def render_elan(phrases: Sequence[Phrase], recording: Path, folder: Path) -> str:
    """An ``.eaf`` file with a tier of phrases, one of their words with times within those of the phrase
    (`Included_In`), and one of the words' confidences at the times of these (`Time_Subdivision`, so that they move with
    the words); where phrases have symbols, they are a tier like that of the words.

    Args:
        recording: its path.
        folder: where the file will lie; the relative address of the recording begins there.
    """
    words = [(place, word) for place, phrase in enumerate(phrases) for word in phrase.words]
    symbols = [symbol for phrase in phrases for symbol in phrase.symbols]
    parts = [*(word for _, word in words), *symbols]
    spans = [Span(p.start, p.end, p.text, 0) for p in phrases] + [Span(p.start, p.end, p.text, 1) for p in parts]
    order, slots = number_slots(spans, 1)
    annotations = [aligned_element(f"a{number}", *slots[number - 1], span.text) for number, span in enumerate(spans, 1)]
    first = len(phrases) + 1  # number of the first word
    confidences = [
        aligned_element(f"a{number + len(parts)}", *slots[number - 1], word.confidence)
        for number, (_, word) in enumerate(words, first)
    ]
    types = (
        (PHRASE, "true", ""),
        (WORD, "true", "Included_In"),
        (CONFIDENCE, "true", "Time_Subdivision"),
        *([(SYMBOL, "true", "Included_In")] if symbols else []),
    )
    tiers = [
        *tier_lines(PHRASES, PHRASE, "", annotations[: len(phrases)]),
        *tier_lines(WORDS, WORD, PHRASES, annotations[len(phrases) :][: len(words)]),
        *tier_lines(CONFIDENCES, CONFIDENCE, WORDS, confidences),
        *(tier_lines(SYMBOLS, SYMBOL, PHRASES, annotations[len(phrases) + len(words) :]) if symbols else ()),
    ]
    return _document(recording, folder, len(spans) + len(words), order, tiers, types)


def render_elan_tiers(tiers: Mapping[str, Sequence[TimedWord]], recording: Path, folder: Path) -> str:
    """An ``.eaf`` file with tiers of their own, which may overlap each other; below each, one of the confidences at the
    times of its annotations (`Time_Subdivision`).

    Args:
        tiers: the annotations of each by its name, in order, without overlap.
        recording, folder: as in `render_elan`.
    """
    spans = [Span(word.start, word.end, word.text, 0) for words in tiers.values() for word in words]
    order, slots = number_slots(spans, 1)
    lines: list[str] = []
    last = 0
    for name, words in tiers.items():
        numbers = range(last, last + len(words))
        own = [aligned_element(f"a{n + 1}", *slots[n], word.text) for n, word in zip(numbers, words, strict=True)]
        sure = [
            aligned_element(f"a{len(spans) + n + 1}", *slots[n], word.confidence)
            for n, word in zip(numbers, words, strict=True)
        ]
        lines += [*tier_lines(name, WORD, "", own), *tier_lines(confidence_tier(name), CONFIDENCE, name, sure)]
        last += len(words)
    types = ((WORD, "true", ""), (CONFIDENCE, "true", "Time_Subdivision"))
    return _document(recording, folder, 2 * len(spans), order, lines, types)


def _document(
    recording: Path,
    folder: Path,
    last: int,
    order: Sequence[tuple[str, int]],
    tiers: Sequence[str],
    types: Sequence[tuple[str, str, str]],
) -> str:
    """A whole file.

    Args:
        last: number of the last annotation.
        order: ids and times of the time slots.
        tiers: lines.
        types: ids of the linguistic types, whether they have times (`true`, `false`), and their constraints.
    """
    date = datetime.now().astimezone().isoformat(timespec="seconds")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        _ROOT.format(date=date),
        '    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">',
        f"        {_media(recording, folder)}",
        f'        <PROPERTY NAME="lastUsedAnnotationId">{last}</PROPERTY>',
        "    </HEADER>",
        "    <TIME_ORDER>",
        *(f"        {slot_element(name, time)}" for name, time in order),
        "    </TIME_ORDER>",
        *tiers,
        *(f"    {type_element(name, aligned, constraint)}" for name, aligned, constraint in types),
        *(f'    <CONSTRAINT DESCRIPTION={xml_value(d)} STEREOTYPE="{name}"/>' for name, d in CONSTRAINTS.items()),
        "</ANNOTATION_DOCUMENT>",
    ]
    return "".join(f"{line}\n" for line in lines)


def number_slots(spans: Sequence[Span], first: int) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
    """Ids and times (ms) of time slots in their order, numbered from `first`; and the two of each span."""
    ends = [(span.start, 1, span.depth, index, 0) for index, span in enumerate(spans)]  # starts follow ends
    ends += [(span.end, 0, -span.depth, index, 1) for index, span in enumerate(spans)]
    slots: list[list[str]] = [["", ""] for _ in spans]
    order = []
    for number, (time, _, _, index, side) in enumerate(sorted(ends), first):
        slots[index][side] = f"ts{number}"
        order.append((f"ts{number}", time))
    return order, [(start, end) for start, end in slots]


def slot_element(name: str, time: int) -> str:
    """A time slot at a time in ms."""
    return f'<TIME_SLOT TIME_SLOT_ID="{name}" TIME_VALUE="{time}"/>'


def aligned_element(name: str, first: str, last: str, text: str) -> str:
    """An annotation with times of its own, those of two time slots."""
    ids = f'ANNOTATION_ID="{name}" TIME_SLOT_REF1="{first}" TIME_SLOT_REF2="{last}"'
    return f"<ANNOTATION><ALIGNABLE_ANNOTATION {ids}>{_value(text)}</ALIGNABLE_ANNOTATION></ANNOTATION>"


def _value(text: str) -> str:
    return f"<ANNOTATION_VALUE>{xml_text(text)}</ANNOTATION_VALUE>"


def tier_lines(name: str, kind: str, parent: str, annotations: Sequence[str]) -> list[str]:
    """The lines of a tier."""
    above = f" PARENT_REF={xml_value(parent)}" if parent else ""
    start = f'    <TIER LINGUISTIC_TYPE_REF="{kind}"{above} TIER_ID={xml_value(name)}'
    return [f"{start}>", *(f"        {a}" for a in annotations), "    </TIER>"] if annotations else [f"{start}/>"]


def type_element(name: str, aligned: str, constraint: str) -> str:
    """A linguistic type; `aligned`, `true` or `false`, whether its annotations have times of their own."""
    bound = f'CONSTRAINTS="{constraint}" ' if constraint else ""
    ids = f'GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="{name}" TIME_ALIGNABLE="{aligned}"'
    return f"<LINGUISTIC_TYPE {bound}{ids}/>"


def _media(recording: Path, folder: Path) -> str:
    """The media descriptor of a recording, with its absolute and its relative address, without escapes, as ELAN writes
    them."""
    path = os.path.abspath(recording).replace("\\", "/")
    address = f"file:{path}" if path.startswith("//") else f"file:///{path.lstrip('/')}"
    try:
        relative = os.path.relpath(recording, folder).replace("\\", "/")
    except ValueError:  # on another disk of Windows
        relative = ""
    if relative and not relative.startswith("../"):
        relative = f"./{relative}"
    mime = MIME_TYPES.get(recording.suffix.lower(), "unknown")
    beside = f" RELATIVE_MEDIA_URL={xml_value(relative)}" if relative else ""
    return f'<MEDIA_DESCRIPTOR MEDIA_URL={xml_value(address)} MIME_TYPE="{mime}"{beside}/>'
