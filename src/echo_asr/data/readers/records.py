"""What a reader of a corpus gives: records, and a list of those that are broken.

A reader says what its files say. Whether a record can be used is decided here, alike for every form of corpus: its
recording is there, its times make sense, nothing is listed twice.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from echo_asr.audio import audio_duration, find_file
from echo_asr.audio.segment import OVERSHOOT, AudioSegment
from echo_asr.console import progress_bar
from echo_asr.errors import EchoError

ABOVE = 3  # folders above a list that its paths may start from: data/train lies in the folder of the recipe
LONGEST = 86_400  # seconds that a recording may be stated to last: a day
SPLITS = ("train", "validation", "test")
# Names that splits have elsewhere; what follows after a dot, an underscore or a hyphen is a part of one (train.100).
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development", "cv", "dt"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "et"), "test"),
}
Recording = Path | AudioSegment  # a whole file, or a stretch of one


@dataclass(frozen=True, slots=True)
class Record:
    """A recording and its text, as a file tells of them."""

    source: Path  # the file that tells of it
    line: int  # of that file, from 1; 0 where it has no lines
    id: str
    audio: Recording
    text: str
    speaker: str = ""
    split: str = "train"
    duration: float | None = None  # seconds; None: look into the audio file
    unwritten: bool = False  # an empty text means that nobody has written it yet, not that nobody speaks

    @property
    def where(self) -> str:
        """The file and the line."""
        return place(self.source, self.line)


@dataclass(frozen=True)
class Broken:
    """A record that cannot be used."""

    where: str  # file and line
    message: str  # one line: where, what, what to do


@dataclass(frozen=True)
class Doubt:
    """What a person should look at in a corpus that can be used as it is."""

    kind: str  # what it is called in counts, such as "empty texts"
    where: str  # the file, or the corpus
    message: str  # follows its place in a sentence


@dataclass
class Problems:
    """The broken records of a corpus, in the order in which they were found, and what else a person should know."""

    found: list[Broken] = field(default_factory=list)
    missing: list[tuple[Path, str]] = field(default_factory=list)  # list of recordings, and one that is not there
    doubts: list[Doubt] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        """Note a broken record; `what` follows its place in a sentence: "has no text; write it"."""
        self.found.append(Broken(where, f"{where} {what}"))

    def add_error(self, where: str, error: EchoError) -> None:
        """Note what an error says, which is a sentence of its own."""
        self.found.append(Broken(where, str(error)))

    def add_missing(self, record: Record) -> None:
        """Note a record without its recording."""
        path = file_of(record.audio)
        try:
            name = str(path.relative_to(record.source.parent))
        except ValueError:
            name = str(path)
        self.missing.append((record.source, name))
        what = f"names the audio file {name}, which is not there; put it there, or take the line out"
        self.add(record.where, what)

    def refuse(self) -> None:
        """Raises EchoError if there are any: the first, and how many more."""
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


def one_of_many(records: Iterable[Record], source: Path, problems: Problems) -> Iterator[Record]:
    """The records of one file or folder of many: an error that ends them is a problem, not the end of the others."""
    try:
        yield from records
    except EchoError as error:
        problems.add_error(str(source), error)


def place(source: Path, line: int) -> str:
    """A file and a line, for errors."""
    return f"{source} line {line}" if line else str(source)


def file_of(audio: Recording) -> Path:
    """The sound file that a recording is, or is a stretch of."""
    return audio.path if isinstance(audio, AudioSegment) else audio


def known_split(name: str) -> str | None:
    """The split that a name such as `dev`, `train.100` or `test_other` stands for; None for other names."""
    return SPLIT_NAMES.get(re.split(r"[._\- ]", name.lower(), maxsplit=1)[0])


def map_splits(names: Iterable[str]) -> dict[str, str]:
    """Those of the names that stand for a split, and for which one.

    Where one is the very name of a split (`train`), longer ones (`train_sp`, `train.100`) are taken for variants of it
    and left out.
    """
    names = list(names)
    split_of = {name: split for name in names if (split := known_split(name))}
    exact = {split_of[name] for name in split_of if name.lower() in SPLIT_NAMES}
    return {n: s for n, s in split_of.items() if s not in exact or n.lower() in SPLIT_NAMES}


class Base:
    """Where relative paths of a list start: many tools mean the folder that they ran in, which is not written down.

    It is the list's folder, one of the three above it, or the working directory, whichever has the first file named.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._base: Path | None = None

    def resolve(self, name: str) -> Path:
        """The path that a name stands for."""
        if os.path.isabs(name):
            return Path(name)
        if self._base is None:
            places = [self.folder, *self.folder.absolute().parents[:ABOVE], Path()]
            self._base = next((place for place in places if find_file(place / name)), None)
        return (self._base or self.folder) / name


def leads_into_network(path: str | os.PathLike[str], source: Path, windows: bool = os.name == "nt") -> bool:
    """Whether a path that a file names is one of another machine, which Windows would look for; not where the file
    itself lies in the network."""

    def shared(name: str) -> bool:
        return name.replace("/", "\\").startswith("\\\\")

    return windows and shared(os.fspath(path)) and not shared(str(source))


class Listing:
    """Which files there are, by one look into each folder and not one for each file."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def find(self, path: Path) -> Path | None:
        """The file that a name means, see `find_file`; None where there is none."""
        folder, separator, name = os.fspath(path).rpartition(os.sep)
        folder += separator
        if folder not in self._names:
            self._names[folder] = _names_in(folder)
        # The second look finds what only the file system, or a reader, takes for the same name.
        return path if name in self._names[folder] else find_file(path)


def _names_in(folder: str) -> set[str]:
    try:
        with os.scandir(folder or ".") as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except (OSError, ValueError):
        return set()


def _moved(record: Record, path: Path) -> Record:
    audio = record.audio
    return replace(record, audio=replace(audio, path=path) if isinstance(audio, AudioSegment) else path)


class Lengths:
    """How long sound files are, each looked into once."""

    def __init__(self) -> None:
        self._seconds: dict[Path, float] = {}

    def of(self, path: Path) -> float:
        """Seconds. Raises EchoError for a file that cannot be read."""
        if path not in self._seconds:
            self._seconds[path] = audio_duration(path)
        return self._seconds[path]


def stretch_error(start: float, end: float, length: float | None) -> str | None:
    """What is wrong with the times of a stretch (seconds) of a file of that length, in words; None: nothing."""
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
        return f"has the times {start:g} to {end:g} s; expected a start from 0 and an end after it"
    if length is not None and end > length + OVERSHOOT:
        return f"ends at {end:g} s, and its recording lasts {length:.3f} s; correct its times"
    return None


def usable(records: Iterable[Record], problems: Problems) -> Iterator[Record]:
    """The records that can be used, with their durations; the others are noted as problems.

    A file is looked into only where nobody says how long it lasts.
    """
    good, seen, listing = [], set[str](), Listing()
    for record in records:
        if not record.id:
            problems.add(record.where, "has no id; give it one, or take it out")
        elif record.id in seen:
            problems.add(record.where, f"lists {record.id} again; list each file once")
        elif record.duration is not None and not 0 < record.duration <= LONGEST:  # false of NaN, too
            expected = f"expected seconds above 0, at most {LONGEST}, or nothing"
            problems.add(record.where, f"has the duration {record.duration:g}; {expected}")
        elif leads_into_network(file_of(record.audio), record.source):
            seen.add(record.id)
            what = f"names {file_of(record.audio)}, a place in the network, which is not asked; copy it to this machine"
            problems.add(record.where, what)
        elif (there := listing.find(file_of(record.audio))) is None:
            seen.add(record.id)
            problems.add_missing(record)
        else:
            seen.add(record.id)
            good.append(record if there == file_of(record.audio) else _moved(record, there))
    unknown = sum(record.duration is None for record in good)
    if not unknown:
        yield from good
        return
    looked = 0
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
