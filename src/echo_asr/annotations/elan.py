"""ELAN's annotation files, ``.eaf`` (https://archive.mpi.nl/tla/elan): tiers, times, and where the recording is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from echo_asr.annotations.document import Document, read_document
from echo_asr.audio import find_file, same_name
from echo_asr.audio.files import leads_into_network
from echo_asr.audio.tree import AUDIO_SUFFIXES, VIDEO_SUFFIXES, recordings_beside
from echo_asr.errors import EchoError

SUFFIX = ".eaf"


@dataclass
class Annotation:
    """An annotation of a tier.

    Attributes:
        parent: id of the annotation that it refers to; empty for one with times of its own.
        slots: ids of its time slots.
    """

    id: str
    parent: str
    text: str
    slots: tuple[str, str] = ("", "")


def read_elan_document(path: Path) -> Document:
    """An ``.eaf`` file.

    Raises:
        EchoError: it cannot be read, or is none.
    """
    document = read_document(path)
    if document.root.tag != "ANNOTATION_DOCUMENT":
        raise EchoError(f"{path} is no ELAN file, but one of {document.root.tag}; give an .eaf file")
    return document


def choose_tiers(path: Path, root: Element, wanted: str) -> list[Element]:
    """The tier of an id, or the tiers of a linguistic type; where none is wanted, the only one with annotations.

    Raises:
        EchoError: there is none, or there are several and none is wanted.
    """
    tiers = [tier for tier in root.iter("TIER") if tier.find("ANNOTATION") is not None]
    listed = ", ".join(tier.get("TIER_ID", "") for tier in tiers)
    if not tiers:
        raise EchoError(f"{path} has no annotations; transcribe it in ELAN first")
    if wanted:
        found = [t for t in tiers if same_name(t.get("TIER_ID", ""), wanted)]
        found = found or [t for t in tiers if same_name(t.get("LINGUISTIC_TYPE_REF", ""), wanted)]
        if not found and any(same_name(t.get("TIER_ID", ""), wanted) for t in root.iter("TIER")):
            mend = "make them in ELAN, of a dependent tier by Tier > Create Annotations on Dependent Tiers"
            raise EchoError(f"{path}: tier {wanted!r} has no annotations, not even empty ones; {mend}")
        if not found:
            raise EchoError(f"{path} has no tier {wanted!r} with annotations; choose from: {listed}")
        return found
    if len(tiers) > 1:
        raise EchoError(f"{path} has {len(tiers)} tiers; name the one with the texts, {path}:TIER: {listed}")
    return tiers


def find_recording(path: Path, root: Element) -> tuple[Path, float]:
    """The recording of an ``.eaf`` file, and its time in seconds at which the time of the annotations begins.

    It is found by the relative media descriptor, by the absolute one, or by the same name beside the file.

    Raises:
        EchoError: it is not there, or there are several.
    """
    there: dict[Path, float] = {}
    named = []
    for media in root.iter("MEDIA_DESCRIPTOR"):
        for key in ("RELATIVE_MEDIA_URL", "MEDIA_URL"):
            files = _local(media.get(key, ""))
            if any(leads_into_network(file, path) for file in files):
                files = [os.path.basename(file) for file in files]  # a copy may lie beside the .eaf file
            named += files[:1]
            candidates = [path.parent / name for file in files for name in (file, os.path.basename(file))]
            found = next(filter(None, map(find_file, map(os.path.normpath, candidates))), None)
            if found:
                there.setdefault(found, _origin(media))
                break
    for suffixes in (AUDIO_SUFFIXES, VIDEO_SUFFIXES):
        recordings = {file: offset for file, offset in there.items() if file.suffix.lower() in suffixes}
        if not recordings:
            recordings = {file: 0.0 for file in recordings_beside(path, path.stem) if file.suffix.lower() in suffixes}
        if len(recordings) > 1:
            names = ", ".join(file.name for file in recordings)
            raise EchoError(f"{path} has {len(recordings)} recordings, {names}; keep the one that the tier is of")
        if recordings:
            return next(iter(recordings.items()))
    stated = f"it names {', '.join(dict.fromkeys(filter(None, named)))}" if any(named) else "it names none"
    raise EchoError(f"{path}: its recording is not there ({stated}); put it beside the file, as {path.stem}.wav")


def media_offset(root: Element, recording: Path) -> float:
    """The time in seconds of a recording at which the time of the annotations begins: as the media descriptor of a file
    of that name states, else 0."""
    for media in root.iter("MEDIA_DESCRIPTOR"):
        names = [
            os.path.basename(file) for key in ("RELATIVE_MEDIA_URL", "MEDIA_URL") for file in _local(media.get(key, ""))
        ]
        if recording.name in names:
            return _origin(media)
    return 0.0


def _origin(media: Element) -> float:
    origin = media.get("TIME_ORIGIN", "")
    return int(origin) / 1000 if re.fullmatch(r"\d{1,12}", origin) else 0.0  # ms


def _local(url: str) -> list[str]:
    """The paths that a media descriptor may stand for: ``file:///C:/x/my%20rec.wav``, ``./rec.wav``; of old versions
    ``file:/./rec.wav``. ELAN leaves out escapes, other programs write them."""
    names = dict.fromkeys((unquote(url), url))
    return [re.sub(r"^file:/*(?=[A-Za-z]:|/|\.)", "", name).replace("\\", "/") for name in names if name]


def slot_times(root: Element) -> dict[str, float]:
    """Seconds of the time slots that have a time."""
    times = {}
    for slot in root.iter("TIME_SLOT"):
        value = slot.get("TIME_VALUE", "")
        if re.fullmatch(r"-?\d{1,12}", value):
            times[slot.get("TIME_SLOT_ID", "")] = int(value) / 1000  # ms
    return times


def parse_annotation(element: Element) -> Annotation:
    """An ``ANNOTATION``; its id is empty if it is not whole."""
    inner = element.find("ALIGNABLE_ANNOTATION")
    text = " ".join((element.findtext(".//ANNOTATION_VALUE") or "").split())
    if inner is not None:
        slots = inner.get("TIME_SLOT_REF1", ""), inner.get("TIME_SLOT_REF2", "")
        return Annotation(inner.get("ANNOTATION_ID", ""), "", text, slots)
    inner = element.find("REF_ANNOTATION")
    if inner is None:
        return Annotation("", "", text)
    return Annotation(inner.get("ANNOTATION_ID", ""), inner.get("ANNOTATION_REF", ""), text)


class Timeline:
    """The times of the annotations of a file; those without times take those of the annotation that they refer to."""

    def __init__(self, root: Element) -> None:
        times = slot_times(root)
        tiers = [[parse_annotation(element) for element in tier.iter("ANNOTATION")] for tier in root.iter("TIER")]
        self.of_tier = dict(zip(root.iter("TIER"), tiers, strict=True))
        self._by_id = {annotation.id: annotation for tier in tiers for annotation in tier}
        self._spans = dict(span for tier in tiers for span in _spans(tier, times))

    def span(self, annotation: Annotation) -> tuple[float, float] | None:
        """Start and end of an annotation, in seconds; None where they are not known."""
        seen: set[str] = set()
        while annotation.parent in self._by_id and annotation.id not in seen:  # circles are cut
            seen.add(annotation.id)
            annotation = self._by_id[annotation.parent]
        return self._spans.get(annotation.id)


def _spans(annotations: list[Annotation], times: dict[str, float]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Id, and start and end in seconds, of a tier's annotations with slots; those between two known times share
    evenly."""
    run: list[Annotation] = []  # since the last known time
    for annotation in annotations:
        if annotation.parent or not annotation.id:
            continue
        if annotation.slots[0] in times:
            run = []
        run.append(annotation)
        start, end = times.get(run[0].slots[0]), times.get(annotation.slots[1])
        if end is None or start is None:
            continue
        step = (end - start) / len(run)
        yield from ((a.id, (start + i * step, start + (i + 1) * step)) for i, a in enumerate(run))
        run = []
