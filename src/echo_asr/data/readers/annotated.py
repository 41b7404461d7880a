"""Reads files of annotations that lie beside their recordings: one of them, or all below a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from echo_asr.audio.tree import files_below
from echo_asr.data.readers import elan, subtitles, textgrid
from echo_asr.data.readers.records import Notice, Problems, Record, map_splits, note_errors

# The file, the tier that is asked for (empty: the only one), problems, and what ids begin with.
ReadFile = Callable[[Path, str, Problems, str], Iterator[Record]]


class Annotations(NamedTuple):
    """A form of annotation files."""

    name: str
    suffixes: tuple[str, ...]  # in lower case
    read: ReadFile
    choose: Callable[[list[Path], str, Problems], list[Path]] | None = None  # of several files, those that tier is of


# In order of precedence: a folder with files of several forms is read in the first.
FORMS = (
    Annotations("ELAN", (elan.SUFFIX,), elan.read_elan),
    Annotations("TextGrid", (textgrid.SUFFIX,), textgrid.read_textgrid),
    Annotations("subtitles", subtitles.SUFFIXES, subtitles.read_subtitles, subtitles.choose_language),
)
ENDINGS = (".eaf", ".TextGrid", ".srt", ".vtt")  # as people write them
SUFFIXES = tuple(suffix for form in FORMS for suffix in form.suffixes)


def form_of(path: Path) -> Annotations | None:
    """The form of a file of annotations; None for another file, and for what is no file."""
    return next((form for form in FORMS if path.suffix.lower() in form.suffixes and path.is_file()), None)


def read_file(path: Path, tier: str, problems: Problems) -> Iterator[Record]:
    """The records of one file. An error of it is a broken record."""
    form = form_of(path)
    assert form is not None
    return note_errors(form.read(path, tier, problems, ""), path, problems)


def read_folder(folder: Path, tier: str, problems: Problems) -> Iterator[Record] | None:
    """The records of all annotation files below a folder, in the first of `FORMS` that any of them has; None if there
    are none.

    Ids begin with a file's path in the folder, without its ending, where there are several. Where the folders in it are
    named as splits, they are splits. Where one of them is `train`, folders of other names are left out, with a notice;
    elsewhere all must have names of splits. Where files lie beside the folders, none is a split.
    """
    files = files_below(folder, SUFFIXES)
    for form in FORMS:
        own = [file for file in files if file.suffix.lower() in form.suffixes]
        if own:
            others = [file for file in files if file.suffix.lower() not in form.suffixes]
            if others:
                what = f"has {len(own)} files of {form.name}, which are read, and leaves out {others[0]}"
                more = f" and {len(others) - 1} more in another form" if others[1:] else ", in another form"
                problems.notices.append(Notice("other annotations", str(folder), f"{what}{more}: give it by itself"))
            return _read_all(form, folder, own, tier, problems)
    return None


def _read_all(form: Annotations, folder: Path, files: list[Path], tier: str, problems: Problems) -> Iterator[Record]:
    splits = _splits(folder, files)
    if splits is not None:
        left_out = [file for file in files if file.relative_to(folder).parts[0] not in splits]
        files = [file for file in files if file.relative_to(folder).parts[0] in splits]
        if left_out:
            what = f"has folders of splits, {', '.join(splits)}, and leaves out what is beside them"
            first = f"{left_out[0]}" + (f" and {len(left_out) - 1} more" if left_out[1:] else "")
            problems.notices.append(Notice("beside splits", str(folder), f"{what}: {first}; move or rename them"))
    if form.choose:
        files = form.choose(files, tier, problems)
    for file in files:
        inner = file.relative_to(folder)
        prefix = f"{inner.with_suffix('').as_posix()}/" if len(files) > 1 else ""
        split = (splits or {}).get(inner.parts[0], "train")
        for record in note_errors(form.read(file, tier, problems, prefix), file, problems):
            yield record if split == "train" else replace(record, split=split)


def _splits(folder: Path, files: list[Path]) -> dict[str, str] | None:
    """The split of each folder that stands for one; None if the folders are none."""
    inner = [file.relative_to(folder).parts for file in files]
    names = dict.fromkeys(parts[0] for parts in inner)
    if any(len(parts) == 1 for parts in inner):
        return None
    named = map_splits(names)
    complete = any(name.lower() in ("train", "training") for name in named)
    return named if named and (complete or len(named) == len(names)) else None
