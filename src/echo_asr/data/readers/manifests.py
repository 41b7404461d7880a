"""Reads lhotse's manifests (https://lhotse.readthedocs.io): cuts, or recordings and supervisions, as JSON lines.

They are read without lhotse, whose import takes seconds and whose reader builds an object a row. The tests compare
with what lhotse writes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from echo_asr.audio.segment import AudioSegment
from echo_asr.data.readers.lines import is_text, read_objects
from echo_asr.data.readers.records import Problems, Record, Resolver, Unusable, map_splits, note_errors, segment_error
from echo_asr.errors import EchoError

LINES = r"\.jsonl(\.gz)?"
SAME = 0.001  # seconds by which a cut may differ from its recording and still span all of it


def is_manifest(path: Path) -> bool:
    """Whether a file name ends as that of JSON lines."""
    return re.fullmatch(f".*{LINES}", path.name) is not None


def is_shar(folder: Path) -> bool:
    """Whether a folder has shards of cuts and of recordings, in lhotse's Shar format."""
    return any(folder.glob("cuts.[0-9]*.jsonl*")) and any(folder.glob("recording.[0-9]*.tar"))


def has_manifests(folder: Path) -> bool:
    """Whether a folder has manifests of cuts, or of supervisions."""
    return bool(_manifests(folder, "cuts") or _manifests(folder, "supervisions"))


def read_manifests(folder: Path, problems: Problems) -> Iterator[Record]:
    """The records of a folder of manifests, such as ``cuts_train.jsonl.gz`` and ``cuts_dev.jsonl.gz``.

    Cuts are preferred to supervisions. The rest of a file's name determines its split; where no name does, all are for
    training.
    """
    files = _manifests(folder, "cuts") or _manifests(folder, "supervisions")
    splits = map_splits(files) or dict.fromkeys(files, "train")
    for part, split in splits.items():
        yield from note_errors(read_manifest(files[part], problems, split), files[part], problems)


def _manifests(folder: Path, kind: str) -> dict[str, Path]:
    """Files by the rest of their names: ``librispeech_cuts_train-clean-100.jsonl.gz``, ``dev_cuts.jsonl``."""
    name = re.compile(rf"(?:(.+)[_.\-])?{kind}(?:[_.\-](.+?))?{LINES}")
    paths = sorted(folder.glob(f"*{kind}*.jsonl*"))
    return {match[2] or match[1] or "": path for path in paths if (match := name.fullmatch(path.name))}


def read_manifest(path: Path, problems: Problems, split: str = "train") -> Iterator[Record]:
    """The records of a manifest of cuts, or of supervisions, whose recordings then stand in the file beside it.

    Each supervision is an utterance: the segment of the recording that it covers in its cut. A relative path starts
    from the manifest's folder, one above it, or the working directory (as in lhotse). Cuts that are mixed, padded or
    transformed, and recordings that are commands, addresses or in memory, are broken records.

    Raises:
        EchoError: the file is unreadable or not such a manifest, or its recordings are missing.
    """
    base = Resolver(path.parent)
    rows = read_objects(path, problems)
    first = next(rows, None)
    if first is None:
        return
    if "supervisions" in first[1] or str(first[1].get("type", "")).endswith("Cut"):
        for line, cut in itertools.chain([first], rows):
            with problems.noting(path, line):
                yield from _cut(path, line, cut, split, base)
    elif "recording_id" in first[1] and "start" in first[1]:
        recordings = _recordings(path, problems)
        for line, supervision in (first, *rows):
            with problems.noting(path, line):
                name = supervision.get("recording_id")
                recording = recordings.get(str(name))
                if recording is None:
                    raise Unusable(f"names the recording {name}, which is not among those beside it")
                cut = {**supervision, "start": 0.0, "duration": recording.get("duration"), "recording": recording}
                yield from _cut(path, line, {**cut, "supervisions": [supervision]}, split, base)
    else:
        expected = "expected lhotse's cuts or supervisions, or a folder with metadata.jsonl"
        raise EchoError(f"{path} line {first[0]} is of another kind (keys {', '.join(list(first[1])[:6])}); {expected}")


def _recordings(path: Path, problems: Problems) -> dict[str, dict[str, Any]]:
    beside = path.with_name(path.name.replace("supervisions", "recordings"))
    if beside == path or not beside.is_file():
        name = beside.name if beside != path else "recordings.jsonl"
        raise EchoError(f"{path} is of supervisions, whose recordings are not beside it; put {name} there")
    return {str(row.get("id")): row for _, row in read_objects(beside, problems)}


def _cut(path: Path, line: int, cut: dict[str, Any], split: str, base: Resolver) -> Iterator[Record]:
    try:
        yield from _utterances(path, line, cut, split, base)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise Unusable("is no cut as lhotse writes it; write it again with lhotse") from None


def _utterances(path: Path, line: int, cut: dict[str, Any], split: str, base: Resolver) -> Iterator[Record]:
    if cut.get("type", "MonoCut") not in ("MonoCut", "MultiCut") or "recording" not in cut:
        kind = "is mixed or padded" if "recording" not in cut else f"is a {cut['type']}"
        raise Unusable(f"{kind}; save it with lhotse's save_audios, or leave it out")
    supervisions = cut["supervisions"]
    if not supervisions:
        raise Unusable("has no supervision; add one, with an empty text if nobody speaks")
    for supervision in supervisions:
        text = supervision.get("text")
        if not isinstance(text, str):
            raise Unusable("has no text; write it, empty if nobody speaks")
        begin, length = float(cut["start"]), float(cut["recording"]["duration"])
        start = max(0.0, float(supervision["start"]))
        end = min(float(cut["duration"]), float(supervision["start"]) + float(supervision["duration"]))
        wrong = segment_error(begin + start, begin + end, length)
        if wrong:
            raise Unusable(wrong)
        channels = supervision.get("channel", cut.get("channel", 0))
        audio = _source(cut["recording"], channels, base, begin + start, min(begin + end, length))
        name = str(cut["id"]) if len(supervisions) == 1 else f"{cut['id']}/{supervision['id']}"
        speaker = str(supervision.get("speaker") or "")
        if not is_text(text, name, speaker):
            raise Unusable("is not UTF-8; save the file as UTF-8")
        yield Record(path, line, name, audio, text.strip(), speaker, split, min(begin + end, length) - begin - start)


def _source(recording: dict[str, Any], channel: Any, base: Resolver, start: float, end: float) -> Path | AudioSegment:
    """The file or file segment with a part of a recording, from `start` to `end` (seconds)."""
    if recording.get("transforms"):
        raise Unusable("is of a recording with transforms; save it with lhotse's save_audios")
    wanted = channel if isinstance(channel, list) else [channel]
    fitting = [s for s in recording["sources"] if set(wanted) & set(s["channels"])]
    if len(fitting) != 1:
        raise Unusable("is of several files; save it with lhotse's save_audios")
    source = fitting[0]
    if source["type"] == "command":
        raise Unusable("is of a command, which Echo does not run; write its output to a file and name that")
    if source["type"] != "file":
        raise Unusable(f"is of a recording in {source['type']}, no file; save it with lhotse's save_audios")
    path = base.resolve(source["source"])
    one_of_several = len(wanted) == 1 and len(source["channels"]) > 1
    index = source["channels"].index(wanted[0]) if one_of_several else None
    if index is None and start < SAME and end > float(recording["duration"]) - SAME:
        return path
    return AudioSegment(path, start, end - start, index)
