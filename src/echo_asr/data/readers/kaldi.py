"""Reads Kaldi's data folders (https://kaldi-asr.org/doc/data_prep.html): ``wav.scp``, ``text``, ``segments``,
``utt2spk``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from echo_asr.audio import audio_duration
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.readers.lines import read_lines
from echo_asr.data.readers.records import FileIndex, Problems, Record, Resolver, Unusable, parse_number, segment_error
from echo_asr.errors import EchoError

RECORDINGS, TEXT, SEGMENTS = "wav.scp", "text", "segments"
Table = dict[str, tuple[int, str]]  # line number and rest of the line, by its first word


def is_kaldi(folder: Path) -> bool:
    """Whether a folder has ``wav.scp``."""
    return _find(folder, RECORDINGS).is_file()


def read_kaldi(folder: Path, problems: Problems) -> Iterator[Record]:
    """The records of a data folder.

    ``wav.scp`` lists recordings and ``text`` transcripts; ``segments`` cuts recordings into utterances, of one channel
    where it names one; without it, each recording is an utterance. ``utt2spk``, ``utt2dur`` and ``reco2dur`` are
    read where there are some; a speaker of the same name as the utterance is unknown. A relative path starts from the
    data folder or a folder above it (Kaldi's own start from where it ran). An entry that is a command (it ends in
    ``|``) is a broken record: commands are never run. Each of these files may be packed (``text.gz``).

    Raises:
        EchoError: a file is unreadable, or there is no ``text``.
    """
    scp, texts, segments = (_find(folder, name) for name in (RECORDINGS, TEXT, SEGMENTS))
    if not texts.is_file():
        raise EchoError(f"{folder} has {RECORDINGS} and no {TEXT}; add it: an utterance a line, its id before its text")
    listed = _table(scp, problems)
    recordings = _paths(scp, listed, problems)
    speakers = _optional(folder, "utt2spk", problems)
    speakers = {name: speaker for name, speaker in speakers.items() if speaker != name}
    written = _table(texts, problems)
    if segments.is_file():
        yield from _segments(segments, listed, recordings, written, speakers, problems)
        return
    durations = _optional(folder, "utt2dur", problems) or _optional(folder, "reco2dur", problems)
    for name, (line, text) in written.items():
        if name in recordings:
            seconds = parse_number(durations.get(name, ""))
            yield Record(texts, line, name, recordings[name], text, speakers.get(name, ""), duration=seconds)
        elif name not in listed:  # else it is a problem already
            problems.add_line(texts, line, f"is of {name}, which is not in {scp}; add it, or delete this line")
    for name in recordings:  # silence has a line in ``text``, with nothing after the id
        if name not in written:
            problems.add_line(scp, listed[name][0], f"has {name}, which has no line in text; add it, or delete this")


def _segments(
    source: Path, scp: Table, recordings: dict[str, Path], written: Table, speakers: dict[str, str], problems: Problems
) -> Iterator[Record]:
    folder, used = source.parent, set[str]()
    texts = _find(folder, TEXT)
    stated, lengths, listing = _optional(folder, "reco2dur", problems), cache(audio_duration), FileIndex()
    for name, (line, rest) in _table(source, problems).items():
        used.add(name)
        with problems.noting(source, line):
            fields = rest.split()
            start, end = (parse_number(word) for word in (fields[1:3] if len(fields) > 2 else ("", "")))
            if start is None or end is None:
                raise Unusable("is no segment; expected: utterance, recording, start and end in seconds")
            if len(fields) > 4 or (len(fields) == 4 and not re.fullmatch(r"-1|[0-9]{1,4}", fields[3])):
                raise Unusable(f"has {' '.join(fields[3:])!r} after its times; expected a channel from 0, or nothing")
            channel = int(fields[3]) if len(fields) == 4 and fields[3] != "-1" else None  # -1: none in particular
            if name not in written:
                raise Unusable(f"names {name}, which has no line in {texts}; add it, or take this out")
            audio = recordings.get(fields[0])
            if audio is None:
                if fields[0] in scp:
                    continue  # its line is a problem already
                raise Unusable(f"names the recording {fields[0]}, which is not in {_find(folder, RECORDINGS)}; add it")
            length = parse_number(stated.get(fields[0], ""))
            if length is None and listing.find(audio):
                try:
                    length = lengths(audio)
                except EchoError as error:
                    raise Unusable(f"names a recording that cannot be read: {error}") from None
            if end == -1 and length is not None:  # Kaldi's mark for: to the end
                end = length
            wrong = segment_error(start, end, length)
            if wrong:
                raise Unusable(wrong)
            seconds = (end if length is None else min(end, length)) - start
            segment = AudioSegment(audio, start, seconds, channel)
            yield Record(source, line, name, segment, written[name][1], speakers.get(name, ""), duration=seconds)
    for name, (line, _) in written.items():
        if name not in used:
            problems.add_line(texts, line, f"is of {name}, which is not in {source}; add it there")


def _paths(source: Path, table: Table, problems: Problems) -> dict[str, Path]:
    """The audio files by recording."""
    found, base = dict[str, Path](), Resolver(source.parent)
    for name, (line, entry) in table.items():
        with problems.noting(source, line):
            if entry.endswith("|") or entry.startswith("|"):
                what = f"is a command ({entry[:60]}), which Echo does not run"
                raise Unusable(f"{what}; write its output to a file and name that")
            if not entry:
                raise Unusable(f"names no file for {name}; write its path after the id")
            if re.search(r"\.ark:\d+$", entry):
                raise Unusable(f"is an entry of an archive ({entry}); write its audio to a file and name that")
            found[name] = base.resolve(entry)
    return found


def _table(path: Path, problems: Problems) -> Table:
    """Line number and rest of the line, by its first word."""
    table: Table = {}
    for line, row in read_lines(path, problems):
        name, _, rest = row.strip().partition(" ") if " " in row.strip() else row.strip().partition("\t")
        if "\t" in name:  # the first of the two ends the word
            name, _, first = name.partition("\t")
            rest = f"{first} {rest}"
        if name in table:
            problems.add_line(path, line, f"has {name} again, after line {table[name][0]}; keep one")
        else:
            table[name] = (line, rest.strip())
    return table


def _find(folder: Path, name: str) -> Path:
    """The path of a table of a folder, `NAME` or else `NAME.gz`, whether or not it exists."""
    packed = folder / f"{name}.gz"
    return packed if not (folder / name).is_file() and packed.is_file() else folder / name


def _optional(folder: Path, name: str, problems: Problems) -> dict[str, str]:
    path = _find(folder, name)
    return {name: rest for name, (_, rest) in _table(path, problems).items()} if path.is_file() else {}
