"""The encoder of a model folder: kept with it, or, to save room, only named with the hash of its weights."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

from echo_asr.errors import EchoError
from echo_asr.pretrained.licence import CARD, licence_files
from echo_asr.pretrained.networks import find_family
from echo_asr.pretrained.source import Source, find
from echo_asr.pretrained.weights import (
    CONFIG,
    PREPROCESSOR,
    WEIGHTS,
    DType,
    digest,
    read_json,
    read_preprocessor,
    read_tensors,
)
from echo_asr.storage import make_folder, pack, replace_file, replace_text

ENCODER, SOURCE = "encoder", "source.json"  # folder in a model folder, and the file in it that says what it is
FIELDS = ("name", "revision", "digest", "licence", "dtype", "content")  # of that file; all are strings


def keep(source: Source, folder: Path, slim: bool = False, dtype: DType = "float16") -> Source:
    """Keep an encoder with a model: in `folder/encoder`, its configuration, licence and tensors; `slim`: its name,
    revision and hash alone.

    What is returned, and what `kept` finds later in either case, has the same values to the bit: those of the
    encoder rounded to `dtype`. So a model should be trained with it.

    Args:
        folder: of the model.
        dtype: of real values in the folder. An encoder that comes out of a model folder stays as it was kept there.

    Raises:
        EchoError: the encoder has values too large for `dtype`, the folder cannot be written, or the disk is full.
    """
    target = folder / ENCODER
    kind = source.dtype or dtype
    tensors = read_tensors(source.folder, find_family(source.folder).prefixes, kind)
    make_folder(target)
    if slim:
        _write_note(target, replace(source, dtype=kind), "")
        for path in (target / WEIGHTS, target / CONFIG, target / PREPROCESSOR, target / CARD, *licence_files(target)):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return replace(source, dtype=kind)
    data = pack(tensors)
    replace_file(target / WEIGHTS, lambda part: part.write_bytes(data))
    config, preprocessor = read_json(source.folder / CONFIG), read_preprocessor(source.folder)
    replace_text(target / CONFIG, json.dumps(config, indent=1, ensure_ascii=False) + "\n")
    replace_text(target / PREPROCESSOR, json.dumps(preprocessor, indent=1, ensure_ascii=False) + "\n")
    for path in (source.folder / CARD, *licence_files(source.folder)):
        if path.is_file() and path.parent.resolve() != target.resolve():
            replace_file(target / path.name, lambda part, path=path: shutil.copyfile(path, part))  # type: ignore[misc]
    _write_note(target, replace(source, dtype=kind), digest(target))
    return replace(source, folder=target, dtype=kind)


def kept(folder: Path) -> Source:
    """The encoder of a model folder: the one that it holds, or the one that it names.

    Raises:
        EchoError: the model has none, it is damaged, or what it names is not there or has other weights.
    """
    target = folder / ENCODER
    note = _read_note(target / SOURCE)
    content = note.pop("content")
    own = Source(target, **note)
    if content:
        if digest(target) != content:
            raise EchoError(f"{target}: not what was written there with the model; copy the whole folder again")
        return own
    try:
        found = find(own.name, own.revision)
    except EchoError as error:
        where = f"if it is elsewhere, write where as name in {target / SOURCE}"
        raise EchoError(f"{folder} is without its encoder ({error}); {where}") from None
    if found.digest != own.digest:
        what = f"{folder} was trained with {own.shown} of the hash {own.digest[:12]}"
        raise EchoError(f"{what}, and {found.folder} has {found.digest[:12]}: other weights; give it those it had")
    return replace(own, folder=found.folder)


def has_encoder(folder: Path) -> bool:
    """Whether a model folder has an encoder, or names one."""
    return (folder / ENCODER / SOURCE).is_file()


def _write_note(target: Path, source: Source, content: str) -> None:
    note = {**asdict(source), "content": content}
    text = json.dumps({field: note[field] for field in FIELDS}, indent=1, ensure_ascii=False)
    replace_text(target / SOURCE, text + "\n")


def _read_note(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise EchoError(f"{path.parents[1]}: its encoder is missing ({ENCODER}/{SOURCE}); copy the whole folder again")
    note = read_json(path)
    wrong = [field for field in FIELDS if not isinstance(note.get(field), str)]
    if wrong or note["dtype"] not in ("", *get_args(DType)):
        raise EchoError(f"{path}: {(wrong or ['dtype'])[0]} is not what was written there; copy the whole folder again")
    return {field: note[field] for field in FIELDS}
