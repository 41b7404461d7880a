"""Segments of a recording that have no text yet, in ELAN files and TextGrids, and how one is written into them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import nan
from xml.etree.ElementTree import Element

from echo_asr.annotations.document import Document, xml_text
from echo_asr.annotations.elan import Timeline, choose_tiers
from echo_asr.annotations.textgrid import EVERY, as_spelled, named_tiers, read_textgrid
from echo_asr.annotations.textgrid_writer import quoted
from echo_asr.errors import EchoError
from echo_asr.text.normalize import is_blank
from echo_asr.text.textfile import Change, TextFile


@dataclass(frozen=True)
class Blank:
    """A segment without a text.

    Attributes:
        start, end: seconds of the recording; NaN where they are not known.
        where: its name in messages.
        write: the change of the file that gives it a text, of one line.
    """

    start: float
    end: float
    where: str
    write: Callable[[str], Change]


def elan_blanks(document: Document, wanted: str, offset: float) -> Iterator[Blank]:
    """The annotations without a text of a tier, or of the tiers of a linguistic type, of an ``.eaf`` file.

    Args:
        wanted: as in `choose_tiers`.
        offset: seconds of the recording at which the time of the annotations begins.

    Raises:
        EchoError: there is no such tier, its texts are of a controlled vocabulary, or several of its annotations divide
            one, so that they have no times.
    """
    path, timeline = document.file.path, Timeline(document.root)
    kinds = {kind.get("LINGUISTIC_TYPE_ID"): kind for kind in document.root.iter("LINGUISTIC_TYPE")}
    for tier in choose_tiers(path, document.root, wanted):
        name = tier.get("TIER_ID", "")
        kind = kinds.get(tier.get("LINGUISTIC_TYPE_REF"))
        if kind is not None and kind.get("CONTROLLED_VOCABULARY_REF"):
            what = f"tier {name!r} takes its texts from a controlled vocabulary"
            raise EchoError(f"{path}: {what}; choose one with free texts")
        annotations = timeline.of_tier[tier]
        parts = Counter(annotation.parent for annotation in annotations if annotation.parent)
        for element, annotation in zip(tier.iter("ANNOTATION"), annotations, strict=True):
            if not is_blank(annotation.text) or not len(element):
                continue
            if parts[annotation.parent] > 1:
                what = f"tier {name!r} divides annotations into parts without times of their own"
                raise EchoError(f"{path}: {what}; choose the tier that has the times")
            value = element.find(".//ANNOTATION_VALUE")
            start, end = (time + offset for time in timeline.span(annotation) or (nan, nan))
            write = partial(_valued, document, element[0], value)
            yield Blank(start, end, f"{path}, tier {name}, annotation {annotation.id}", write)


def _valued(document: Document, annotation: Element, value: Element | None, text: str) -> Change:
    if value is None:
        return document.appended(annotation, f"<ANNOTATION_VALUE>{xml_text(text)}</ANNOTATION_VALUE>")
    return document.refilled(value, xml_text(text))


def textgrid_blanks(file: TextFile, wanted: str) -> Iterator[Blank]:
    """The intervals without a text of a tier of a TextGrid.

    Args:
        wanted: a name as in `named_tiers`, or what stands before an `@` in the names of several (`words@Lan`); `*`
            for every tier of intervals, and empty for the only one.

    Raises:
        EchoError: it is no TextGrid, or has no such tier, or several.
    """
    tiers = {name: tier for name, tier in named_tiers(read_textgrid(file)).items() if not tier.points}
    listed, wanted = ", ".join(tiers), as_spelled(wanted, tiers)
    if not tiers:
        raise EchoError(f"{file.path} has no tier of intervals; segment it in Praat first")
    if not wanted and len(tiers) > 1:
        raise EchoError(f"{file.path} has {len(tiers)} tiers; name the one to fill, {file.path}:TIER: {listed}")
    alike = [name for name, tier in tiers.items() if tier.name == wanted]
    if wanted not in tiers and len(alike) > 1:
        raise EchoError(f"{file.path} has {len(alike)} tiers {wanted!r}; name one by its number: {', '.join(alike)}")
    of_speakers = [name for name, tier in tiers.items() if tier.name.partition("@")[0].strip() == wanted]
    chosen = list(tiers) if wanted in ("", EVERY) else [wanted] if wanted in tiers else of_speakers
    if not chosen:
        raise EchoError(f"{file.path} has no tier {wanted!r} of intervals; choose from: {listed}")
    for name in chosen:
        for number, label in enumerate(tiers[name].labels, 1):
            if is_blank(label.text):
                where = f"{file.path}, tier {name}, interval {number}"
                yield Blank(label.start, label.end, where, partial(_labelled, label.first, label.last))


def _labelled(first: int, last: int, text: str) -> Change:
    return Change(first, last, quoted(text))
