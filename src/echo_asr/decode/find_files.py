"""Looks through lists of files. One that cannot be read does not stop the others; an interruption loses no place."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from echo_asr.audio.segment import AudioSegment
from echo_asr.console import counted, progress_bar
from echo_asr.decode.files import header_seconds, output_files, printable
from echo_asr.decode.find import Search, find_each
from echo_asr.decode.formats import ENDINGS
from echo_asr.decode.outputs import refuse_existing
from echo_asr.decode.place_formats import COLUMNS, render_places, table
from echo_asr.decode.results import Found
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.storage import make_folder, replace_text

NAMED = 10  # words that a line names


@dataclass(frozen=True)
class Output:
    """Where places are written, and which.

    Attributes:
        form: one of `place_formats.FORMATS`.
        words: all that are looked for.
        most: places of each word, the most probable ones; None for all.
        out: the file; None for standard output.
        folder: for a file for each recording instead.
        above: the folder from which these keep the tree of the recordings, as in `output_names`.
        overwrite: files that are there are replaced.
        least: the probability under which a place is left out.
    """

    form: str
    words: Sequence[str]
    most: int | None = None
    out: Path | None = None
    folder: Path | None = None
    above: Path | None = None
    overwrite: bool = False
    least: float = 0.5

    def targets(self, paths: Sequence[Path]) -> dict[Path, Path]:
        """The files that are written for each recording, none without a folder; folders are made.

        Raises:
            EchoError: several recordings would be written into one file, a file is there, or a folder cannot be made.
        """
        if not self.folder and len(paths) > 1 and self.form in ("eaf", "textgrid"):
            many = f"{len(paths)} recordings make {len(paths)} {self.form} files"
            raise EchoError(f"{many}; name a folder for them: --output-dir")
        ending = ENDINGS.get(self.form, self.form)
        targets = output_files(paths, self.folder, ending, self.above) if self.folder else {}
        if self.out:
            make_folder(self.out.parent, "choose another --out")
            if self.out.is_dir():
                raise EchoError(f"{self.out}: is a folder; name a file, or give --output-dir")
        refuse_existing([*targets.values(), *([self.out] if self.out else [])], self.overwrite)
        return targets


def find_in_files(
    recognizer: Recognizer,
    paths: Sequence[Path],
    search: Search,
    output: Output,
    targets: Mapping[Path, Path],
    channel: int | None = None,
) -> int:
    """Look for something in files, and write the places; returns the exit status, 1 if a file could not be read, which
    is reported on standard error.

    Places are printed as soon as a recording is searched, unless they go to one file or only the most probable are
    asked for. Ctrl-C writes the places in the recordings that were searched. No file is written where no recording
    could be read.

    Args:
        targets: of these recordings, as of `Output.targets`.
        channel: of every recording, from 0; None for the mean of all.

    Raises:
        KeyboardInterrupt: Ctrl-C; its message states how many recordings were searched.
    """
    done: list[tuple[Path, Found]] = []
    gathered = output.out is not None or output.most is not None
    seconds = [header_seconds(path) for path in paths]
    sources = [path if channel is None else AudioSegment(path, channel=channel) for path in paths]
    before = list(accumulate(seconds, initial=0.0))
    failed, index, counts = 0, 0, Counter[str]()
    with progress_bar("seconds", max(1, round(sum(seconds)))) as advance:
        each = find_each(recognizer, sources, search, progress=lambda i, end: advance(round(before[i] + end), ""))
        try:
            for index, (path, found) in enumerate(zip(paths, each, strict=True), 1):
                if isinstance(found, EchoError):
                    failed += 1
                    print(f"echo-asr find: {found}", file=sys.stderr)
                    continue
                if gathered:
                    done.append((path, found))
                else:
                    counts.update(place.word for place in found.places)
                    _write_one(path, found, output, targets, first=index == failed + 1)
                advance(round(before[index]), "")
        except KeyboardInterrupt:
            if gathered:
                _write_all(done, output, targets)
            where = f", whose places are in {output.out}" if output.out and done else ""
            message = f"interrupted; {len(done) if gathered else index} of {len(paths)} recordings are searched{where}"
            raise KeyboardInterrupt(message) from None
    if gathered:
        counts = _write_all(done, output, targets)
    _summarise(output, counts, failed, len(paths))
    return 1 if failed else 0


def _write_all(done: Sequence[tuple[Path, Found]], output: Output, targets: Mapping[Path, Path]) -> Counter[str]:
    """Write the places of all recordings, the most probable ones where a number is set; returns how many each word
    has. Without a recording nothing is written."""
    if not done:
        return Counter()
    kept = _most_probable(done, output.most)
    if output.folder:
        for path, found in kept:
            _write_one(path, found, output, targets)
    else:
        head = table([COLUMNS]) if output.form == "csv" else ""
        text = head + "".join(render_places(printable(path), found, output.words, output.form, _beside(output.out))
                              for path, found in kept)  # fmt: skip
        if output.out:
            replace_text(output.out, text)
        else:
            print(text, end="", flush=True)
    return Counter(place.word for _, found in kept for place in found.places)


def _write_one(path: Path, found: Found, output: Output, targets: Mapping[Path, Path], first: bool = True) -> None:
    """Write the places of a recording to its file, or print them; a table has a head, printed before the first."""
    target = targets.get(path)
    text = render_places(printable(path), found, output.words, output.form, _beside(target))
    if output.form == "csv" and (target or first):
        text = table([COLUMNS]) + text
    if target is None:
        print(text, end="", flush=True)
        return
    replace_text(target, text)


def _beside(target: Path | None) -> Path | None:
    return None if target is None else target.parent


def _most_probable(done: Sequence[tuple[Path, Found]], most: int | None) -> list[tuple[Path, Found]]:
    """The recordings with the most probable places of each word; all without a number."""
    if most is None:
        return list(done)
    ranked = sorted((place for _, found in done for place in found.places), key=lambda place: -place.probability)
    counts: Counter[str] = Counter()
    kept: set[int] = set()
    for place in ranked:
        if counts[place.word] < most:
            counts[place.word] += 1
            kept.add(id(place))
    return [
        (path, replace(found, places=tuple(place for place in found.places if id(place) in kept)))
        for path, found in done
    ]


def _summarise(output: Output, counts: Counter[str], failed: int, total: int) -> None:
    """Lines on standard error: how much was found, and what was not. Where no recording could be read, that has been
    said of one, and of several is said here."""
    if failed < total:
        where = counted(total - failed, "recording")
        print(f"echo-asr find: {counted(sum(counts.values()), 'place')} in {where}", file=sys.stderr)
        for line in _missing(output, counts):
            print(f"echo-asr find: {line}", file=sys.stderr)
    if failed and total > 1:
        print(f"echo-asr find: {failed} of {counted(total, 'recording')} could not be read", file=sys.stderr)


def _missing(output: Output, counts: Counter[str]) -> Iterator[str]:
    """What is said of words without a place, and of those with fewer than were asked for."""
    missing = [word for word in output.words if not counts[word]]
    if missing:
        lower = "a lower --threshold shows" if output.most else "a lower --threshold, or --most 10, shows"
        more = f"{lower} less probable places" if output.least else "nothing is at all like them"
        yield f"not found: {_named(missing)}; {more}"
    most = output.most or 0
    few = [f"{word} ({counts[word]})" for word in output.words if 0 < counts[word] < most]
    if few and not output.least:
        yield f"fewer than {most} places of: {_named(few)}; nothing else is at all like them"


def _named(words: Sequence[str]) -> str:
    return ", ".join(words[:NAMED]) + (f" and {len(words) - NAMED} more" if len(words) > NAMED else "")
