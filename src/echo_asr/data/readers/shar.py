"""Reads lhotse's Shar format (shards of cuts and of audio), unpacked once. The only module that imports lhotse."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from echo_asr.console import print_message
from echo_asr.data.readers.export import Export, export_folder, export_once, state_of
from echo_asr.data.readers.lines import raw_lines
from echo_asr.data.readers.metadata import read_metadata
from echo_asr.data.readers.records import Problems, Record
from echo_asr.errors import EchoError


def read_shar(folder: Path, problems: Problems) -> Iterator[Record]:
    """The records of a Shar folder; its clips are unpacked into the cache the first time.

    A shard that is damaged, and a cut without audio in its shard, are broken records, and the others are read.

    Raises:
        EchoError: the extra is missing, or the cache cannot be written.
    """
    shards = [*folder.glob("cuts.[0-9]*.jsonl*"), *folder.glob("recording.[0-9]*.tar")]
    unpacked = export_folder("shar", folder.absolute().name, state_of(shards))
    if not unpacked.is_dir():
        print_message(f"unpacking {folder}, once, into {unpacked}")
        export_once(unpacked, lambda export: _unpack(folder, export))
    return read_metadata(unpacked, problems)


def _unpack(folder: Path, export: Export) -> None:
    try:
        from lhotse import CutSet
    except ImportError as error:
        what = f"{folder} is a Shar folder, for which the optional lhotse is needed ({error})"
        raise EchoError(f"{what}; install the extra: pip install 'echo-asr[lhotse]'") from None
    recordings = {_number(path): path for path in sorted(folder.glob("recording.[0-9]*.tar"))}
    for cuts in sorted(folder.glob("cuts.[0-9]*.jsonl*")):
        done, tar = 0, recordings.pop(_number(cuts), None)
        try:
            if tar is None:
                raise EchoError("its recordings are not beside it; copy them, too")
            total = _check_shard(cuts, tar)
            for cut in CutSet.from_shar(fields={"cuts": [str(cuts)], "recording": [str(tar)]}):
                _add(cut, export)
                done += 1
            if done < total:  # lhotse takes the damage for the end of the shard
                raise EchoError(f"damaged after {done} of {total} cuts; copy it again")
        except EchoError as error:
            export.add_broken(f"is of the shard {cuts}: {error}")
        except OSError:
            raise  # of the cache
        except Exception as error:  # lhotse asserts; whatever it raises, the shard is damaged
            what = " ".join(f"{type(error).__name__} {error}".split())[:200]
            export.add_broken(f"is of the shard {cuts}: damaged after {done} cuts ({what}); copy it again")
    for tar in recordings.values():
        export.add_broken(f"is of the shard {tar}, whose cuts are not beside it; copy them, too")


def _number(path: Path) -> str:
    """The number of a shard: that of cuts.000012.jsonl.gz and recording.000012.tar."""
    return path.name.split(".")[1]


def _check_shard(cuts: Path, tar: Path) -> int:
    """The number of cuts of a shard, after a check that its archive is intact.

    Raises:
        EchoError: a member is longer than the archive or not a plain file, or the archive cannot be read.
    """
    total = sum(bool(line.strip()) for _, line in raw_lines(cuts))
    size = tar.stat().st_size
    try:
        with tarfile.open(tar, "r:") as archive:  # not packed, whatever its name
            for member in archive:
                if member.offset_data + member.size > size and not member.issparse():
                    raise EchoError(f"{tar} is damaged (it ends within {member.name!r}); copy it again")
                if not member.isreg() or member.issparse():
                    raise EchoError(f"{tar} holds {member.name!r}, which is no plain file; pack it again with lhotse")
    except (tarfile.TarError, OSError) as error:
        raise EchoError(f"{tar} is damaged ({error}); copy it again") from None
    return total


def _add(cut: Any, export: Export) -> None:
    """Export the audio and the texts of a cut. Shar holds the audio of the cut alone, from its beginning."""
    source = cut.recording.sources[0] if cut.has_recording else None
    if source is None or source.type != "memory":
        what = f"is the cut {cut.id}, without audio in its shard ({source.type if source else 'no recording'})"
        export.add_broken(f"{what}; write shards with the field recording")
        return
    name = export.add(source.source, ".flac")
    for supervision in cut.supervisions:
        start = max(0.0, supervision.start)
        end = min(cut.duration, supervision.start + supervision.duration)
        whole = cut.start + start < 0.001 and end > cut.duration - 0.001
        text, speaker = supervision.text or "", supervision.speaker or ""
        export.add_row(name, text, speaker, cut.start + start, None if whole else end - start)
