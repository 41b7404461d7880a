"""Finds the form of the corpus that a spec names, and its reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from echo_asr.data.readers import commonvoice, elan, kaldi, ljspeech, manifests, metadata
from echo_asr.data.readers.records import Problems, Record, map_splits, note_errors
from echo_asr.errors import EchoError

SYNTH_PREFIX = "synth:"
HUB_PREFIX = "hf:"
Reader = Callable[[Path, Problems], Iterator[Record]]


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
    path, tier = _split_tier(spec)
    if elan.is_elan(path):
        return str(path), elan.read_elan(path, tier, problems)
    chosen = None if path.exists() else ljspeech.field_of(spec)
    if chosen:
        return str(chosen[0]), ljspeech.read_ljspeech(chosen[0], problems, chosen[1])
    if not path.exists():
        mend = f"give a folder with {metadata.METADATA} or in another form (docs/corpora.md)"
        raise EchoError(f"corpus folder {path} does not exist; {mend}, synth:NAME or hf:REPO:CONFIG")
    if not path.is_dir():
        if manifests.is_manifest(path):
            return str(path), manifests.read_manifest(path, problems)
        mend = f"give the folder that holds {metadata.METADATA} and the audio"
        raise EchoError(f"corpus {path} is a file; {mend}, or a file that ends in .eaf, .jsonl or .jsonl.gz")
    return _find_folder(path, problems)


def _split_tier(spec: str) -> tuple[Path, str]:
    """`PATH:TIER` as its path and the name of a tier of ELAN, empty if there is none."""
    path = Path(spec).expanduser()
    if elan.is_elan(path) or path.exists():
        return path, ""
    with_tier = re.fullmatch(r"(?s)(.+?\.eaf):(.+)", spec, re.IGNORECASE) or re.fullmatch(r"(?s)(.+?):(.+)", spec)
    if with_tier and elan.is_elan(before := Path(with_tier[1]).expanduser()):
        return before, with_tier[2]
    return path, ""


def _find_folder(folder: Path, problems: Problems) -> tuple[str, Iterator[Record]]:
    reader = _reader_of(folder)
    if reader is not None:
        table = folder / metadata.METADATA
        return str(table if table.is_file() else folder), reader(folder, problems)
    within = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()}
    splits = [(within[name], split) for name, split in map_splits(within).items()]
    parts = [(path, split, reader) for path, split in splits if (reader := _reader_of(path)) is not None]
    if parts:
        return str(folder), _joined(parts, problems)
    inner = next((path for path in within.values() if _reader_of(path) is not None), None)
    if inner is not None:
        raise EchoError(f"corpus folder {folder} has no {metadata.METADATA}, but {inner} in it is a corpus; give that")
    add = f"add one with the columns {', '.join(metadata.REQUIRED_COLUMNS)}, or give a folder in another form"
    forms = "metadata.jsonl, LJSpeech, Kaldi, Common Voice, ELAN, lhotse (docs/corpora.md)"
    raise EchoError(f"corpus folder {folder} has no {metadata.METADATA}; {add}: {forms}")


def _reader_of(folder: Path) -> Reader | None:
    return next((read for _, matches, read in FOLDERS if matches(folder)), None)


def _joined(parts: list[tuple[Path, str, Reader]], problems: Problems) -> Iterator[Record]:
    """The records of folders that are splits of one corpus; ids begin with the folder's name, to be unique."""
    for path, split, reader in parts:
        for record in note_errors(reader(path, problems), path, problems):
            own = split if record.split == "train" else record.split
            yield replace(record, id=f"{path.name}/{record.id}", split=own)
