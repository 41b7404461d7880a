"""lhotse's Shar (shards of cuts beside shards of their audio), unpacked once. The one module that imports lhotse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from echo_asr.console import console
from echo_asr.data.readers.export import Export, export_folder, export_once, state_of
from echo_asr.data.readers.metadata import read_metadata
from echo_asr.data.readers.records import Problems, Record
from echo_asr.errors import EchoError


def read_shar(folder: Path, problems: Problems) -> Iterator[Record]:
    """The records of a Shar folder; its clips are unpacked into the cache the first time.

    Raises:
        EchoError: the extra is missing, a shard is damaged, or the cache cannot be written.
    """
    shards = [*folder.glob("cuts.[0-9]*.jsonl*"), *folder.glob("recording.[0-9]*.tar")]
    unpacked = export_folder("shar", folder.absolute().name, state_of(shards))
    if not unpacked.is_dir():
        console().print(f"unpacking {folder}, once, into {unpacked}", highlight=False, markup=False)
        export_once(unpacked, lambda export: _unpack(folder, export))
    return read_metadata(unpacked, problems)


def _unpack(folder: Path, export: Export) -> None:
    try:
        from lhotse import CutSet
    except ImportError as error:
        raise EchoError(
            f"{folder} is a Shar folder, for which the optional lhotse is needed ({error}); install the extra: "
            "pip install 'echo-asr[lhotse]'"
        ) from None
    done = 0
    try:
        for cut in CutSet.from_shar(in_dir=str(folder)):
            _add(cut, export)
            done += 1
    except (EchoError, OSError):
        raise
    except Exception as error:  # lhotse asserts; whatever it says, the shard is not what it should be
        what = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise EchoError(f"{folder}: damaged after {done} cuts ({what}); copy the shards again") from None


def _add(cut: Any, export: Export) -> None:
    """A cut's audio, and what its supervisions say. Shar holds the sound of the cut alone, from its beginning."""
    source = cut.recording.sources[0]
    if source.type != "memory":
        raise EchoError(
            f"cut {cut.id} has no sound in its shard ({source.type}); write shards with the field recording"
        )
    name = export.add(source.source, ".flac")
    for supervision in cut.supervisions:
        start = max(0.0, supervision.start)
        end = min(cut.duration, supervision.start + supervision.duration)
        whole = cut.start + start < 0.001 and end > cut.duration - 0.001
        text, speaker = supervision.text or "", supervision.speaker or ""
        export.tell(name, text, speaker, cut.start + start, None if whole else end - start)
