"""Reads ELAN's annotation files, ``.eaf`` (https://archive.mpi.nl/tla/elan): the timed annotations of a tier."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from echo_asr.audio import audio_duration, find_file
from echo_asr.audio.segment import AudioSegment
from echo_asr.audio.tree import AUDIO_SUFFIXES, VIDEO_SUFFIXES, recordings_beside
from echo_asr.data.readers.records import Problems, Record, leads_into_network, segment_error
from echo_asr.errors import EchoError
from echo_asr.text.normalize import is_blank

SUFFIX = ".eaf"
LARGEST = 100 << 20  # bytes of a file; one for a recording of a day has 10 MB
ELEMENTS = 500_000  # of XML in a file, at most: an annotation is three of them, and its times two
DEPTH = 50  # levels of XML, at most: ELAN has five


@dataclass
class _Annotation:
    id: str
    parent: str  # id of the annotation that it refers to; empty for one with times of its own
    text: str
    slots: tuple[str, str] = ("", "")


class _Refused(Exception):
    """A file is none that ELAN writes; the message follows its path."""


class _Builder(ElementTree.TreeBuilder):
    """Refuses what no ELAN file has and what could exhaust memory: entity declarations, and endless elements."""

    elements = depth = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _Refused("declares a document type")

    def start(self, tag: Any, attrs: dict[Any, Any]) -> ElementTree.Element:
        self.elements += 1
        self.depth += 1
        if self.elements > ELEMENTS or self.depth > DEPTH:
            over = f"{DEPTH} levels" if self.depth > DEPTH else f"{ELEMENTS} elements"
            raise _Refused(f"has over {over} of XML")
        return super().start(tag, attrs)

    def end(self, tag: Any) -> ElementTree.Element:
        self.depth -= 1
        return super().end(tag)


def read_elan(path: Path, wanted: str, problems: Problems, prefix: str) -> Iterator[Record]:
    """The annotations of a tier of a file; each is a segment of the file's recording.

    A tier is named by its id or by its linguistic type (several tiers, one a speaker, may share one); where it is not
    named, there must be but one that has annotations. The speaker is the tier's participant. Annotations without times
    of their own take those of the annotation they refer to, and several that divide one are joined; slots without a
    time lie evenly between those that have one. The recording is found by the relative media descriptor, by the
    absolute one, or by the same name beside the file. An annotation without a text counts as not yet transcribed.

    Args:
        wanted: the tier or type; empty for the only tier.
        prefix: before every id.

    Raises:
        EchoError: the file is not a valid ``.eaf``, has no such tier, several where none is named, or no recording.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise _Refused(f"is larger than {LARGEST >> 20} MB")
        root = ElementTree.parse(path, ElementTree.XMLParser(target=_Builder())).getroot()
    except _Refused as error:
        raise EchoError(f"{path} {error}; give a file as ELAN saves it") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise EchoError(f"{path} is no legal ELAN file: {error}; save it again in ELAN") from None
    except OSError as error:
        raise EchoError(f"{path} cannot be read: {error.strerror}; check its permissions") from None
    if root.tag != "ANNOTATION_DOCUMENT":
        raise EchoError(f"{path} is no ELAN file, but one of {root.tag}; give an .eaf file")
    tiers = _choose_tiers(path, root, wanted)
    audio, offset = _find_audio(path, root)
    length = audio_duration(audio)
    times = _slot_times(root)
    annotations = {id(tier): [_parse(element) for element in tier.iter("ANNOTATION")] for tier in root.iter("TIER")}
    by_id = {a.id: a for group in annotations.values() for a in group}
    spans = dict(span for group in annotations.values() for span in _spans(group, times))
    for tier in tiers:
        speaker = tier.get("PARTICIPANT", "")
        for first, text, unwritten in _joined(annotations[id(tier)]):
            start, end = (time + offset for time in spans.get(_root_of(first, by_id), (math.nan, math.nan)))
            no_time = "has no time; align it in ELAN, or delete it" if math.isnan(start) else None
            wrong = no_time or segment_error(start, end, length)
            if wrong and not unwritten:
                problems.add(f"{path}, tier {tier.get('TIER_ID', '')}, annotation {first.id}", wrong)
                continue
            seconds = 0.0 if wrong else min(end, length) - start
            segment = AudioSegment(audio, start, seconds)
            yield Record(path, 0, prefix + first.id, segment, text, speaker, duration=seconds, unwritten=unwritten)


def _choose_tiers(path: Path, root: ElementTree.Element, wanted: str) -> list[ElementTree.Element]:
    tiers = [tier for tier in root.iter("TIER") if tier.find("ANNOTATION") is not None]
    listed = ", ".join(tier.get("TIER_ID", "") for tier in tiers)
    if not tiers:
        raise EchoError(f"{path} has no annotations; transcribe it in ELAN first")
    if wanted:
        found = [t for t in tiers if t.get("TIER_ID") == wanted]
        found = found or [t for t in tiers if t.get("LINGUISTIC_TYPE_REF") == wanted]
        if not found:
            raise EchoError(f"{path} has no tier {wanted!r} with annotations; choose from: {listed}")
        return found
    if len(tiers) > 1:
        raise EchoError(f"{path} has {len(tiers)} tiers; name the one with the texts, {path}:TIER: {listed}")
    return tiers


def _find_audio(path: Path, root: ElementTree.Element) -> tuple[Path, float]:
    """The recording, and its time in seconds at which the time of the annotations begins."""
    there: dict[Path, float] = {}
    named = []
    for media in root.iter("MEDIA_DESCRIPTOR"):
        origin = media.get("TIME_ORIGIN", "")
        offset = int(origin) / 1000 if re.fullmatch(r"\d{1,12}", origin) else 0.0  # ms
        for key in ("RELATIVE_MEDIA_URL", "MEDIA_URL"):
            file = _local(media.get(key, ""))
            if leads_into_network(file, path):
                file = os.path.basename(file)  # a copy may lie beside the .eaf file
            named.append(file)
            candidates = (path.parent / file, path.parent / os.path.basename(file)) if file else ()
            found = next(filter(None, map(find_file, map(os.path.normpath, candidates))), None)
            if found:
                there.setdefault(found, offset)
                break
    for suffixes in (AUDIO_SUFFIXES, VIDEO_SUFFIXES):
        recordings = {file: offset for file, offset in there.items() if file.suffix.lower() in suffixes}
        if not recordings:
            beside = recordings_beside(path, path.stem)
            recordings = {file: 0.0 for file in beside if file.suffix.lower() in suffixes}
        if len(recordings) > 1:
            names = ", ".join(file.name for file in recordings)
            raise EchoError(f"{path} has {len(recordings)} recordings, {names}; keep the one that the tier is of")
        if recordings:
            return next(iter(recordings.items()))
    stated = f"it names {', '.join(dict.fromkeys(filter(None, named)))}" if any(named) else "it names none"
    raise EchoError(f"{path}: its recording is not there ({stated}); put it beside the file, as {path.stem}.wav")


def _local(url: str) -> str:
    """The path of a media descriptor: ``file:///C:/x/my%20rec.wav``, ``./rec.wav``."""
    return re.sub(r"^file:/*(?=[A-Za-z]:|/)", "", unquote(url)).replace("\\", "/")


def _slot_times(root: ElementTree.Element) -> dict[str, float]:
    """Seconds of the time slots that have a time."""
    times = {}
    for slot in root.iter("TIME_SLOT"):
        value = slot.get("TIME_VALUE", "")
        if re.fullmatch(r"-?\d{1,12}", value):
            times[slot.get("TIME_SLOT_ID", "")] = int(value) / 1000  # ms
    return times


def _parse(element: ElementTree.Element) -> _Annotation:
    inner = element.find("ALIGNABLE_ANNOTATION")
    text = " ".join((element.findtext(".//ANNOTATION_VALUE") or "").split())
    if inner is not None:
        slots = inner.get("TIME_SLOT_REF1", ""), inner.get("TIME_SLOT_REF2", "")
        return _Annotation(inner.get("ANNOTATION_ID", ""), "", text, slots)
    inner = element.find("REF_ANNOTATION")
    if inner is None:
        return _Annotation("", "", text)
    return _Annotation(inner.get("ANNOTATION_ID", ""), inner.get("ANNOTATION_REF", ""), text)


def _spans(annotations: list[_Annotation], times: dict[str, float]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Id, and start and end in seconds, of a tier's annotations with slots; those between two known times share
    evenly."""
    run: list[_Annotation] = []  # since the last known time
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


def _joined(annotations: list[_Annotation]) -> Iterator[tuple[_Annotation, str, bool]]:
    """Annotations with their texts, and whether any of it is not yet written; those that refer to the same
    annotation are joined to the first of them."""
    groups: dict[str, list[_Annotation]] = {}
    for annotation in annotations:
        groups.setdefault(annotation.parent or f" {annotation.id}", []).append(annotation)
    for group in groups.values():
        yield group[0], " ".join(filter(None, (a.text for a in group))), any(is_blank(a.text) for a in group)


def _root_of(annotation: _Annotation, by_id: dict[str, _Annotation]) -> str:
    """The id of the annotation with times that one refers to, perhaps through others; circles are cut."""
    seen: set[str] = set()
    while annotation.parent in by_id and annotation.id not in seen:
        seen.add(annotation.id)
        annotation = by_id[annotation.parent]
    return annotation.id
