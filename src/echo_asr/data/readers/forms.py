"""Finds the form of the corpus that a spec names, and its reader."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from echo_asr.audio.tree import files_in, folders_below, subfolders
from echo_asr.data.readers import annotated, commonvoice, elan, kaldi, ljspeech, manifests, metadata
from echo_asr.data.readers.records import Problems, Record, map_splits, note_errors
from echo_asr.errors import EchoError

SYNTH_PREFIX = "synth:"
HUB_PREFIX = "hf:"
Reader = Callable[[Path, Problems], Iterator[Record]]


class _Corpus(NamedTuple):
    """A folder that is a corpus by itself."""

    folder: Path
    form: str
    read: Reader


def _read_shar(folder: Path, problems: Problems) -> Iterator[Record]:
    from echo_asr.data.readers.shar import read_shar  # here, since it writes what it unpacks

    return read_shar(folder, problems)


# In order of precedence: the name of a form of corpus, whether a folder has it, and its reader.
FOLDERS: tuple[tuple[str, Callable[[Path], bool], Reader], ...] = (
    ("LJSpeech", ljspeech.is_ljspeech, ljspeech.read_ljspeech),
    ("metadata", metadata.has_metadata, metadata.read_metadata),
    ("Kaldi", kaldi.is_kaldi, kaldi.read_kaldi),
    ("Shar", manifests.is_shar, _read_shar),
    ("Common Voice", commonvoice.is_common_voice, commonvoice.read_common_voice),
    ("lhotse", manifests.has_manifests, manifests.read_manifests),
)


def find_records(spec: str, problems: Problems) -> tuple[str, Iterator[Record]]:
    """The records of the corpus that `spec` names, and the file or folder to name in a message if there are none.

    Raises:
        EchoError: there is no corpus of that name in a known form.
    """
    if spec.startswith(SYNTH_PREFIX):
        from echo_asr.data.synth import synthetic_corpus  # here, so that reading a folder never loads it

        folder = synthetic_corpus(spec.removeprefix(SYNTH_PREFIX))
        return str(folder / metadata.METADATA), metadata.read_metadata(folder, problems)
    if spec.startswith(HUB_PREFIX):
        from echo_asr.data.readers.hub import read_hub

        return spec, read_hub(spec.removeprefix(HUB_PREFIX), problems)
    chosen = None if Path(spec).expanduser().exists() else ljspeech.field_of(spec)
    if chosen:
        return str(chosen[0]), ljspeech.read_ljspeech(chosen[0], problems, chosen[1])
    path, tier = _split_tier(spec)
    if annotated.form_of(path):
        return str(path), annotated.read_file(path, tier, problems)
    if not path.exists():
        mend = f"give a folder with {metadata.METADATA} or in another form (docs/corpora.md)"
        raise EchoError(f"corpus folder {path} does not exist; {mend}, synth:NAME or hf:REPO:CONFIG")
    if not path.is_dir():
        if manifests.is_manifest(path):
            return str(path), manifests.read_manifest(path, problems)
        mend = f"give the folder that holds {metadata.METADATA} and the audio"
        endings = ", ".join(annotated.ENDINGS)
        raise EchoError(f"corpus {path} is a file; {mend}, or a file that ends in {endings}, .jsonl or .jsonl.gz")
    return _read_folder(path, tier, problems)


def _split_tier(spec: str) -> tuple[Path, str]:
    """`PATH:TIER` as its path and the name of a tier of annotations, empty if there is none."""
    path = Path(spec).expanduser()
    if path.exists():
        return path, ""
    for colon in re.finditer(":", spec):
        before, tier = Path(spec[: colon.start()]).expanduser(), spec[colon.end() :]
        if tier and colon.start() and (annotated.form_of(before) or before.is_dir()):
            return before, tier
    return path, ""


def _read_folder(folder: Path, tier: str, problems: Problems) -> tuple[str, Iterator[Record]]:
    """The records of a folder, or of those in it or below."""
    if not (tier or _is_elan(folder)):
        if form := _reader_of(folder):
            table = folder / metadata.METADATA
            return str(table if table.is_file() else folder), form[1](folder, problems)
        if parts := _splits_of(folder):
            return str(folder), _joined(parts, problems)
        if not files_in(folder, annotated.SUFFIXES):
            return str(folder), _read_tree(folder, problems)
    records = annotated.read_folder(folder, tier, problems)
    if records is None:
        what = f"corpus folder {folder} has no annotations of a tier {tier!r}"
        raise EchoError(f"{what}: no file in it or below ends in {', '.join(annotated.ENDINGS)}")
    return str(folder), records


def _read_tree(folder: Path, problems: Problems) -> Iterator[Record]:
    """The records of folders below one, such as one for each session: files of annotations, or several corpora of one
    form."""
    within = _corpora_below(folder)
    forms = {corpus.form for corpus in within}
    records = annotated.read_folder(folder, "", problems)
    if records and not within:
        return records
    if (len(within) == 1 and not records) or "Common Voice" in forms:
        what = f"corpus folder {folder} has no {metadata.METADATA}, but {within[0].folder} in it is a corpus"
        raise EchoError(f"{what}; give that")
    if len(forms) > 1 or (within and records):
        listed = ", ".join(sorted(forms) + ["annotations"] * bool(records))
        raise EchoError(f"corpus folder {folder} holds several forms ({listed}); give one, such as {within[0].folder}")
    if within:
        return _all_of(folder, within, problems)
    add = f"add one with the columns {', '.join(metadata.REQUIRED_COLUMNS)}, or give a folder in another form"
    known = "metadata.jsonl, LJSpeech, Kaldi, Common Voice, ELAN, TextGrid, subtitles, lhotse (docs/corpora.md)"
    raise EchoError(f"corpus folder {folder} has no {metadata.METADATA}; {add}: {known}")


def _is_elan(folder: Path) -> bool:
    """Whether a folder has ``.eaf`` files and no corpus of another kind."""
    others = (metadata.METADATA, metadata.METADATA_LINES, kaldi.RECORDINGS)
    return bool(files_in(folder, (elan.SUFFIX,))) and not any((folder / name).exists() for name in others)


def _reader_of(folder: Path) -> tuple[str, Reader] | None:
    """The form of a folder and its reader; None if it is a corpus in none of them, or cannot be read."""
    if not os.access(folder, os.R_OK | os.X_OK):
        return None
    return next(((form, read) for form, matches, read in FOLDERS if matches(folder)), None)


def _splits_of(folder: Path) -> list[tuple[_Corpus, str]]:
    """The corpora in a folder that are named as splits, and for which."""
    within = {path.name: path for path in subfolders(folder)}
    splits = [(within[name], split) for name, split in map_splits(within).items()]
    return [(_Corpus(path, *found), split) for path, split in splits if (found := _reader_of(path)) is not None]


def _joined(parts: list[tuple[_Corpus, str]], problems: Problems) -> Iterator[Record]:
    """The records of folders that are splits of one corpus; ids begin with the folder's name, to be unique."""
    for (path, _, read), split in parts:
        for record in note_errors(read(path, problems), path, problems):
            own = split if record.split == "train" else record.split
            yield replace(record, id=f"{path.name}/{record.id}", split=own)


def _corpora_below(folder: Path) -> list[_Corpus]:
    """The corpora below a folder that are not within another."""
    found: list[_Corpus] = []

    def is_none(inner: Path) -> bool:
        if inner != folder and (of := _reader_of(inner)):
            found.append(_Corpus(inner, *of))
        elif inner != folder and (parts := _splits_of(inner)):
            found.append(_Corpus(inner, parts[0][0].form, lambda _, problems: _joined(parts, problems)))
        else:
            return True
        return False

    for _ in folders_below(folder, enter=is_none):
        pass
    return found


def _all_of(folder: Path, within: list[_Corpus], problems: Problems) -> Iterator[Record]:
    """The records of corpora below a folder; ids begin with their paths in it, to be unique."""
    for path, _, read in within:
        for record in note_errors(read(path, problems), path, problems):
            yield replace(record, id=f"{path.relative_to(folder).as_posix()}/{record.id}")
