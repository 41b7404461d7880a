"""Reads data sets of the Hugging Face hub, streamed once into the cache. The only module that imports ``datasets``.

Only the bytes of the audio files are requested (``Audio(decode=False)``) and decoded here, so that no decoder of that
library is needed.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

from echo_asr.console import print_message, progress_bar
from echo_asr.data.readers.export import Export, export_folder, export_once, state_of
from echo_asr.data.readers.hub_files import FileError, HubFiles
from echo_asr.data.readers.metadata import read_metadata
from echo_asr.data.readers.records import Problems, Record, map_splits
from echo_asr.errors import EchoError
from echo_asr.storage import replace_text

PARTS = "splits.json"  # of an export that is complete: the repository's splits, and Echo's
TEXT = (
    "text", "sentence", "transcription", "raw_transcription", "transcript", "transcripts", "normalized_text",
    "raw_text", "transcript_text", "utterance", "target_text",
)  # fmt: skip
SPEAKER = ("speaker_id", "client_id", "speaker", "spk_id", "speaker_name", "user_id", "reader_id")
AUDIO = ("audio", "file", "path", "wav", "speech", "recording")
HUB = "https://huggingface.co"
TABLES = (".parquet", ".arrow")
ROWS = 8  # of a table in memory at a time


def read_hub(name: str, problems: Problems) -> Iterator[Record]:
    """The records of ``REPO``, ``REPO:CONFIG`` or ``REPO:CONFIG:CLIPS``.

    The data set is streamed, and only audio (unchanged), text and speaker are kept: in the cache folder, a split at a
    time, each whole or not at all. Later it is read from there, without the network. With ``CLIPS``, a number, only the
    first so many clips of each split are requested.

    A local repository (``./path``, in the hub's own layout) is read in the same way where it holds tables of parquet;
    one of plain audio files with ``metadata.csv`` is read where it lies.

    Raises:
        EchoError: no such data set or configuration, no network, no column of audio or text, or a full disk.
    """
    repo, config, clips = parse_name(name)
    local = _local_folder(repo)
    files = HubFiles(repo, local)
    if local is None:
        folder = export_folder("hub", f"{repo}-{config}", (repo, config, clips))
        if not (folder / PARTS).is_file():
            _need_network(name)
    else:
        tables = [path for path in local.rglob("*") if path.suffix in TABLES]
        if not tables:
            return files.records(_read_plain(local, config, clips, problems), problems)
        content = (config, clips, state_of([*tables, *local.glob("*.md")]))
        folder = export_folder("hub", f"{local.name}-{config}", content)
    if not (folder / PARTS).is_file():
        files.check_card()
        _export(f"hf:{name}", files, config, clips, folder)
    splits = json.loads((folder / PARTS).read_text(encoding="utf-8"))
    parts = [read_metadata(folder / part, problems, split, prefix=f"{part}/") for part, split in splits.items()]
    return itertools.chain(*parts)


def parse_name(name: str) -> tuple[str, str, int | None]:
    """``REPO[:CONFIG[:CLIPS]]`` as its parts; the letter of a drive is part of the path.

    Raises:
        EchoError: it has no such form.
    """
    match = re.fullmatch(r"((?:[A-Za-z]:[\\/])?[^:]+)(?::([^:]*))?(?::(\d+))?", name)
    if not match or match[3] == "0":
        expected = "expected hf:REPO, hf:REPO:CONFIG or hf:REPO:CONFIG:CLIPS, the number of clips of each split"
        raise EchoError(f"hf:{name} names no data set; {expected}")
    return match[1], match[2] or "", int(match[3]) if match[3] else None


def _local_folder(repo: str) -> Path | None:
    """The folder that a local repository is; None for one of the hub."""
    if not re.match(r"\.{0,2}[\\/]|~|\.{1,2}$|[A-Za-z]:[\\/]", repo):
        return None
    folder = Path(repo).expanduser()
    if not folder.is_dir():
        raise EchoError(f"hf:{repo}: no such folder; give hf:./PATH:CONFIG, or hf:REPO:CONFIG for one of the hub")
    return folder


def _read_plain(folder: Path, config: str, clips: int | None, problems: Problems) -> Iterator[Record]:
    """A repository of plain files: as the form of corpus that it is, or that the folder of its configuration is."""
    from echo_asr.data.readers.forms import find_records  # here, since that module chooses this one

    inner = folder / config if config and (folder / config).is_dir() else folder
    records = find_records(str(inner), problems)[1]
    if clips is None:
        return records
    counts: Counter[str] = Counter()

    def is_wanted(record: Record) -> bool:
        counts[record.split] += 1
        return counts[record.split] <= clips

    return filter(is_wanted, records)


def _export(name: str, files: HubFiles, config: str, clips: int | None, folder: Path) -> None:
    repo = str(files.folder or files.repo)
    print_message(f"importing {name}, once, into {folder}")
    try:
        streams, faults = _open(repo, config, files)
        splits = map_splits(streams) or dict.fromkeys(streams, "train")
        empty = 0  # rows without a recording
        held = any((folder / part).is_dir() for part in splits)  # whether any row has one, perhaps in an earlier import
        for part in splits:
            with progress_bar(f"{name} {part}", clips or _size(streams[part])) as advance:

                def write(export: Export, part: str = part, advance: Any = advance) -> None:
                    nonlocal empty, held
                    for fault in faults.get(part, ()):
                        export.add_broken(fault)
                    for done, row in enumerate(_rows(name, streams[part], clips), start=1):
                        advance(done, "")
                        has_recording = bool(row.data or row.path)
                        held, empty = held or has_recording, empty + (not has_recording)
                        try:
                            data = files.read(row.path) if row.data is None else row.data
                        except FileError as error:
                            export.add_broken(f"is row {done} of {part}, which {error}")
                        else:
                            export.add_row(export.add(data, row.path), row.text, row.speaker)
                            export.unpacked += len(row.data or b"")
                            files.bound(export.unpacked)

                export_once(folder / part, write)
        if empty and not held:
            shutil.rmtree(folder, ignore_errors=True)  # so that the next try ends with the same message
            raise EchoError(f"{name} holds no audio files: none of its rows has one ({empty}); give another repository")
        replace_text(folder / PARTS, json.dumps(splits))
    except EchoError:
        raise
    except ImportError as error:
        if "torchcodec" not in str(error):
            raise
        download = f"hf download {repo} --repo-type dataset --local-dir FOLDER"
        what = "holds plain audio files, which cannot be streamed"
        raise EchoError(f"{name} {what}; download it ({download}) and give FOLDER") from None
    except Exception as error:  # the libraries raise many kinds of errors, all of the repository or the network
        raise EchoError(f"{name} cannot be read ({_reason(error)}); {_remedy(error)}") from None


def _need_network(name: str) -> None:
    """Raise at once if there is no network: the libraries would try for half a minute first."""
    offline = any(os.environ.get(switch, "") not in ("", "0") for switch in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"))
    if offline or getproxies():  # the libraries raise quickly; a proxy may resolve names that this machine cannot
        return
    host = urlsplit(os.environ.get("HF_ENDPOINT") or HUB).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        what = f"hf:{name} comes over the network, and {host} cannot be found from here ({error.strerror})"
        raise EchoError(f"{what}; check the network, or give a copy of it as hf:./PATH:CONFIG") from None


def _open(repo: str, config: str, files: HubFiles) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The streams of a data set by split, and for each split what is wrong with the tables that are left out."""
    try:
        import datasets
    except ImportError as error:
        what = f"hf:{repo} needs the optional datasets ({error})"
        raise EchoError(f"{what}; install the extra: pip install 'echo-asr[datasets]'") from None
    try:
        builder = datasets.load_dataset_builder(repo, config or None)
    except RuntimeError as error:
        if "script" not in str(error):
            raise
        # Older repositories have a loading script, which is not run; the hub keeps their tables in another revision.
        builder = datasets.load_dataset_builder(repo, config or None, revision="refs/convert/parquet")
    faults = {str(part): files.take_out(tables) for part, tables in (builder.config.data_files or {}).items()}
    if hasattr(builder.config, "batch_size"):  # else the row groups of a table determine it
        builder.config.batch_size = ROWS
    return dict(builder.as_streaming_dataset()), faults


def _size(stream: Any) -> int:
    """Clips of a split, 0 where the repository does not state it."""
    splits = getattr(stream.info, "splits", None) or {}
    return int(getattr(splits.get(str(stream.split)), "num_examples", 0) or 0)


class _Row(NamedTuple):
    """A clip of a split."""

    data: bytes | None  # of the audio; None: in the file `path`
    path: str  # or the origin of `data`
    text: str
    speaker: str


def _rows(name: str, stream: Any, clips: int | None) -> Iterator[_Row]:
    """The clips of a split."""
    from datasets import Audio

    columns = stream.features or stream._resolve_features().features
    typed = [column for column, kind in columns.items() if isinstance(kind, Audio)]
    audio = typed[0] if typed else _choose(name, "audio", AUDIO, columns)
    text = _choose(name, "text", TEXT, columns)
    speaker = next((column for column in SPEAKER if column in columns), None)
    if typed:
        stream = stream.cast_column(audio, Audio(decode=False))
    for number, row in enumerate(itertools.islice(stream, clips), start=1):
        found = {"path": None} if row[audio] is None else row[audio]
        if not isinstance(found, dict) or not found.keys() & {"bytes", "path"}:
            raise EchoError(f"{name}: the column {audio} holds no audio files (row {number}); give another repository")
        texts = ["" if value is None else str(value) for value in (row[text], row[speaker] if speaker else None)]
        data, path = found.get("bytes"), found.get("path") or ""
        # An empty file is reported as a broken record.
        yield _Row(data if data is not None or path else b"", path, *texts)


def _choose(name: str, what: str, known: Iterable[str], columns: Iterable[str]) -> str:
    found = next((column for column in known if column in columns), None)
    if found is None:
        has, expected = ", ".join(columns), ", ".join(known)
        raise EchoError(f"{name} has no column of {what}; it has: {has}; expected one of: {expected}")
    return found


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _remedy(error: Exception) -> str:
    text = str(error).lower()
    if "builderconfig" in text or "config name" in text:
        return "give one of its configurations, hf:REPO:CONFIG"
    if "gated" in text or "authenticat" in text or "401" in text or "403" in text:
        return "accept its terms on the hub and log in with: hf auth login"
    if isinstance(error, ConnectionError) or "reach" in text or "offline" in text or "connection" in text:
        return "check the name and the network, or give a copy of it as hf:./PATH:CONFIG"
    return "check its name, its configuration and the network"
