"""Reads Praat's TextGrid files (https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html): the labelled
intervals of a tier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from echo_asr.annotations.textgrid import EVERY, SUFFIX, GridTier, as_spelled, named_tiers
from echo_asr.annotations.textgrid import read_textgrid as parse_textgrid
from echo_asr.audio import audio_duration
from echo_asr.audio.segment import AudioSegment
from echo_asr.audio.tree import find_recording
from echo_asr.data.readers.lines import note_encoding
from echo_asr.data.readers.records import Problems, Record, segment_error
from echo_asr.errors import EchoError
from echo_asr.text.normalize import is_blank
from echo_asr.text.textfile import read_text_file

__all__ = ["SUFFIX", "read_textgrid"]


def read_textgrid(path: Path, wanted: str, problems: Problems, prefix: str) -> Iterator[Record]:
    """The labelled intervals of a tier; each is a segment of the recording of the same name beside the file.

    Empty intervals are pauses, and are left out. A tier is named by its name, by `NAME#2` if it is the second of that
    name, or by what stands before an `@` in the names of several (`words@Lan`, `words@Minh`); where it is not named,
    there must be but one interval tier that has labels. What follows an `@` is the speaker. `*` stands for every
    interval tier that has labels, each of the speaker of its name.

    Args:
        wanted: the tier; empty for the only one.
        prefix: before every id, which is the tier and the number of the interval, as Praat counts them.

    Raises:
        EchoError: the file is no TextGrid, has no such tier, several where none is named, or no recording.
    """
    file = read_text_file(path)
    note_encoding(file, problems)
    tiers = named_tiers(parse_textgrid(file))
    chosen = _choose(path, tiers, as_spelled(wanted, tiers))
    audio = find_recording(path, path.stem)
    length = audio_duration(audio)
    for label in chosen:
        name = tiers[label].name
        speaker = name.partition("@")[2].strip() or (name if wanted == EVERY else "")
        for number, interval in enumerate(tiers[label].labels, start=1):
            start, end, text = interval.start, interval.end, " ".join(interval.text.split())
            if is_blank(text):
                continue
            wrong = segment_error(start, end, length)
            if wrong:
                problems.add(f"{path}, tier {label}, interval {number}", wrong)
                continue
            seconds = min(end, length) - start
            segment = AudioSegment(audio, start, seconds)
            yield Record(path, 0, f"{prefix}{label}/{number}", segment, text, speaker, duration=seconds)


def _choose(path: Path, tiers: dict[str, GridTier], wanted: str) -> list[str]:
    """The labels of the tiers that are asked for."""
    filled = [label for label, tier in tiers.items() if not tier.points and any(i.text.strip() for i in tier.labels)]
    listed = ", ".join(filled)
    if wanted in ("", EVERY):
        if len(filled) > 1 and not wanted:
            raise EchoError(f"{path} has {len(filled)} tiers; name the one with the texts, {path}:TIER: {listed}")
        if not filled:
            raise EchoError(f"{path} has no interval with a label; transcribe it in Praat first")
        return filled
    alike = [label for label, tier in tiers.items() if tier.name == wanted]
    found = [wanted] if wanted in tiers else alike
    if len(found) > 1:
        raise EchoError(f"{path} has {len(found)} tiers {wanted!r}; name one by its number: {', '.join(found)}")
    found = found or [label for label in filled if tiers[label].name.partition("@")[0].strip() == wanted]
    if not found:
        raise EchoError(
            f"{path} has no tier {wanted!r}; choose from: {listed or 'none, since no interval has a label'}"
        )
    if tiers[found[0]].points:
        raise EchoError(f"{path}: the tier {wanted!r} is of points, which have no duration; choose from: {listed}")
    if found[0] not in filled:
        raise EchoError(f"{path}: the tier {wanted!r} has no interval with a label; transcribe it in Praat first")
    return found
