"""Reads ELAN's annotation files, ``.eaf`` (https://archive.mpi.nl/tla/elan): the timed annotations of a tier."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from echo_asr.annotations.elan import (
    SUFFIX,
    Annotation,
    Timeline,
    choose_tiers,
    find_recording,
    read_elan_document,
)
from echo_asr.audio import audio_duration
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.readers.records import Problems, Record, note_errors, segment_error
from echo_asr.text.normalize import is_blank


def is_elan(path: Path) -> bool:
    """Whether a path is an ``.eaf`` file, or a folder that has some and no corpus of another kind."""
    if path.suffix.lower() == SUFFIX:
        return path.is_file()
    others = ("metadata.csv", "metadata.jsonl", "wav.scp")
    return path.is_dir() and bool(_files(path)) and not any((path / name).exists() for name in others)


def read_elan(path: Path, tier: str, problems: Problems) -> Iterator[Record]:
    """The annotations of a tier, of one file or of all in a folder; each is a segment of the file's recording.

    A tier is named by its id or by its linguistic type (several tiers, one a speaker, may share one); where it is not
    named, there must be but one that has annotations. The speaker is the tier's participant. Annotations without times
    of their own take those of the annotation they refer to, and several that divide one are joined; slots without a
    time lie evenly between those that have one. The recording is found by the relative media descriptor, by the
    absolute one, or by the same name beside the file. An annotation without a text counts as not yet transcribed.

    A file that is not a valid ``.eaf``, has no such tier, several where none is named, or no recording, is a problem.
    """
    files = _files(path) if path.is_dir() else [path]
    for file in files:
        records = _read_file(file, tier, problems, f"{file.stem}/" if len(files) > 1 else "")
        yield from note_errors(records, file, problems)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if _is_eaf(file))
    except OSError:
        return []


def _is_eaf(file: Path) -> bool:
    hidden = file.name.startswith(".")  # such as ._rec.eaf, which macOS leaves on other disks
    return file.suffix.lower() == SUFFIX and not hidden and file.is_file()


def _read_file(path: Path, wanted: str, problems: Problems, prefix: str) -> Iterator[Record]:
    root = read_elan_document(path).root
    tiers = choose_tiers(path, root, wanted)
    audio, offset = find_recording(path, root)
    length = audio_duration(audio)
    timeline = Timeline(root)
    for tier in tiers:
        speaker = tier.get("PARTICIPANT", "")
        for first, text, unwritten in _joined(timeline.of_tier[tier]):
            start, end = (time + offset for time in timeline.span(first) or (math.nan, math.nan))
            no_time = "has no time; align it in ELAN, or delete it" if math.isnan(start) else None
            wrong = no_time or segment_error(start, end, length)
            if wrong and not unwritten:
                problems.add(f"{path}, tier {tier.get('TIER_ID', '')}, annotation {first.id}", wrong)
                continue
            seconds = 0.0 if wrong else min(end, length) - start
            segment = AudioSegment(audio, start, seconds)
            yield Record(path, 0, prefix + first.id, segment, text, speaker, duration=seconds, unwritten=unwritten)


def _joined(annotations: list[Annotation]) -> Iterator[tuple[Annotation, str, bool]]:
    """Annotations with their texts, and whether any of it is not yet written; those that refer to the same
    annotation are joined to the first of them."""
    groups: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        groups.setdefault(annotation.parent or f" {annotation.id}", []).append(annotation)
    for group in groups.values():
        yield group[0], " ".join(filter(None, (a.text for a in group))), any(is_blank(a.text) for a in group)
