"""The records that readers of corpora yield, and a list of broken ones.

Readers only parse. Whether a record can be used is checked here, in the same way for every form of corpus: its
recording exists, its times are possible, nothing is listed twice.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from echo_asr.audio import audio_duration, find_file
from echo_asr.audio.files import leads_into_network
from echo_asr.audio.segment import OVERSHOOT, AudioSegment
from echo_asr.console import progress_bar
from echo_asr.errors import EchoError

ABOVE = 3  # folders above a list that its paths may start from: data/train lies in the folder of the recipe
LONGEST = 86_400  # seconds that a recording may be stated to last: a day
SPLITS = ("train", "validation", "test")
# Other names of splits; what follows after a dot, an underscore or a hyphen is a part of one (train.100).
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development", "cv", "dt"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "et"), "test"),
}
Recording = Path | AudioSegment  # a whole file, or a segment of one


@dataclass(frozen=True, slots=True)
class Record:
    """A recording and its text, as read from a list."""

    source: Path  # the file that lists it
    line: int  # of that file, from 1; 0 where it has no lines
    id: str
    audio: Recording
    text: str
    speaker: str = ""
    split: str = "train"
    duration: float | None = None  # seconds; None: in the header of the audio file
    unwritten: bool = False  # an empty text means: not yet transcribed, instead of: no speech

    @property
    def where(self) -> str:
        """The file and the line."""
        return location(self.source, self.line)


@dataclass(frozen=True)
class BrokenRecord:
    """A record that cannot be used."""

    where: str  # file and line
    message: str  # one line: where, what, what to do


@dataclass(frozen=True)
class Notice:
    """Something in a usable corpus that its owner should check."""

    kind: str  # name in counts, such as "empty texts"
    where: str  # the file, or the corpus
    message: str  # a predicate, after `where`


class Unusable(Exception):
    """A record cannot be used; the message is a predicate, after its place: "has no text; write it"."""


@dataclass
class Problems:
    """The broken records of a corpus, in the order in which they were found, and notices."""

    found: list[BrokenRecord] = field(default_factory=list)
    missing: list[tuple[Path, str]] = field(default_factory=list)  # a list, and a recording in it that does not exist
    notices: list[Notice] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        """Note a broken record; `what` is a predicate, after `where`: "has no text; write it"."""
        self.found.append(BrokenRecord(where, f"{where} {what}"))

    def add_line(self, source: Path, line: int, what: str) -> None:
        """Note the broken record of a line of a file."""
        self.add(location(source, line), what)

    def noting(self, source: Path, line: int) -> _Noting:
        """A context that notes the record of a line if it proves to be `Unusable`."""
        return _Noting(self, source, line)

    def add_error(self, where: str, error: EchoError) -> None:
        """Note the message of an error, a whole sentence, as a broken record."""
        self.found.append(BrokenRecord(where, str(error)))

    def add_missing(self, record: Record) -> None:
        """Note a record whose recording does not exist."""
        path = file_of(record.audio)
        folder = record.source.parent
        name = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
        self.missing.append((record.source, name))
        what = f"names the audio file {name}, which is not there; put it there, or take the line out"
        self.add(record.where, what)

    def refuse(self) -> None:
        """Raise EchoError if there are broken records: the first, and how many more."""
        if not self.found:
            return
        more = len(self.found) - 1
        message = self.found[0].message
        if self.missing and len(self.missing) == len(self.found):
            source, names = self.missing[0][0], [name for _, name in self.missing]
            first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            files = f"audio file{'s' * (len(names) > 1)} not found in {source.parent}"
            message = f"{source} names {len(names)} {files}: {first}; put them there, or take their lines out"
        elif more:
            message += f" (and {more} more broken: echo-asr corpus check lists them, --broken skip leaves them out)"
        raise EchoError(message)


@dataclass(slots=True)
class _Noting:
    """A context of its own, since it is entered for each record: that of `contextlib` takes several times as long."""

    problems: Problems
    source: Path
    line: int

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Unusable):
            self.problems.add_line(self.source, self.line, str(error))
        return kind is Unusable


def note_errors(records: Iterable[Record], source: Path, problems: Problems) -> Iterator[Record]:
    """The records of one of several files or folders; an error that ends them is noted, so that the others are read."""
    try:
        yield from records
    except EchoError as error:
        problems.add_error(str(source), error)


def location(source: Path, line: int) -> str:
    """A file and a line, for errors."""
    return f"{source} line {line}" if line else str(source)


def file_of(audio: Recording) -> Path:
    """The audio file of a recording."""
    return audio.path if isinstance(audio, AudioSegment) else audio


def known_split(name: str) -> str | None:
    """The split that a name such as `dev`, `train.100` or `test_other` stands for; None for other names."""
    return SPLIT_NAMES.get(re.split(r"[._\- ]", name.lower(), maxsplit=1)[0])


def map_splits(names: Iterable[str]) -> dict[str, str]:
    """Those of the names that stand for a split, and for which one.

    If one is exactly the name of a split (`train`), longer ones (`train_sp`, `train.100`) are taken for variants of it
    and left out.
    """
    names = list(names)
    split_of = {name: split for name in names if (split := known_split(name))}
    exact = {split_of[name] for name in split_of if name.lower() in SPLIT_NAMES}
    return {n: s for n, s in split_of.items() if s not in exact or n.lower() in SPLIT_NAMES}


class Resolver:
    """Resolves relative paths of a list. Many tools write them relative to the folder they ran in, which is unknown.

    They start from the list's folder, one of the three above it, or the working directory: the first of these that has
    the first file named.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._base: Path | None = None

    def resolve(self, name: str) -> Path:
        """The path that a name stands for."""
        if os.path.isabs(name):
            return Path(name)
        if self._base is None:
            folders = [self.folder, *self.folder.absolute().parents[:ABOVE], Path()]
            self._base = next((folder for folder in folders if find_file(folder / name)), None)
        return (self._base or self.folder) / name


class FileIndex:
    """Looks up files with one scan of each folder, instead of one check for each file."""

    def __init__(self) -> None:
        self._names = cache(_names_in)

    def find(self, path: Path) -> Path | None:
        """The file of a path, as `find_file` finds it; None where there is none."""
        folder, separator, name = os.fspath(path).rpartition(os.sep)
        # `find_file` also finds names that differ in Unicode form, or in case where the file system ignores it.
        return path if name in self._names(folder + separator) else find_file(path)


def _names_in(folder: str) -> set[str]:
    try:
        with os.scandir(folder or ".") as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except (OSError, ValueError):
        return set()


def _moved(record: Record, path: Path) -> Record:
    audio = record.audio
    return replace(record, audio=replace(audio, path=path) if isinstance(audio, AudioSegment) else path)


def parse_number(word: str) -> float | None:
    """The number that a word is; None for other words."""
    try:
        return float(word)
    except ValueError:
        return None


def segment_error(start: float, end: float, length: float | None) -> str | None:
    """What is wrong with the times of a segment (seconds) of a file of that length; None if nothing is."""
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
        return f"has the times {start:g} to {end:g} s; expected a start from 0 and an end after it"
    if length is not None and end > length + OVERSHOOT:
        return f"ends at {end:g} s, and its recording lasts {length:.3f} s; correct its times"
    return None


def valid_records(records: Iterable[Record], problems: Problems) -> Iterator[Record]:
    """The records that can be used, with their durations; the others are noted as problems.

    The header of a file is read only if its list states no duration.
    """
    good, seen, listing = [], set[str](), FileIndex()
    for record in records:
        path = file_of(record.audio)
        with problems.noting(record.source, record.line):
            if not record.id:
                raise Unusable("has no id; give it one, or take it out")
            if record.id in seen:
                raise Unusable(f"lists {record.id} again; list each file once")
            if record.duration is not None and not 0 < record.duration <= LONGEST:  # false of NaN, too
                expected = f"expected seconds above 0, at most {LONGEST}, or nothing"
                raise Unusable(f"has the duration {record.duration:g}; {expected}")
            seen.add(record.id)
            if leads_into_network(path, record.source):
                raise Unusable(f"names {path}, a path on the network, which is not read; copy it to this machine")
            if (there := listing.find(path)) is None:
                problems.add_missing(record)
            else:
                good.append(record if there == path else _moved(record, there))
    looked, unknown = 0, sum(record.duration is None for record in good)
    with progress_bar("reading headers of audio files", unknown) as advance:
        for record in good:
            if record.duration is None:
                looked += 1
                advance(looked, "")
                try:
                    record = replace(record, duration=audio_duration(record.audio))
                except EchoError as error:
                    problems.add(record.where, f"names a recording that cannot be read: {error}")
                    continue
            yield record
