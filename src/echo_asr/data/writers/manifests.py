"""Writes lhotse's manifests of recordings and supervisions (https://lhotse.readthedocs.io), which refer to the audio
where it lies."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from echo_asr.audio import audio_duration
from echo_asr.audio.load import audio_format
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import Utterance
from echo_asr.data.writers.names import SPLITS, recording_names


def write_manifests(folder: Path, split: str, utterances: Sequence[Utterance], done: Callable[[], None]) -> None:
    """Write ``recordings_train.jsonl.gz`` and ``supervisions_train.jsonl.gz`` (``dev``, ``test``).

    A supervision is an utterance. Its channel is that of the utterance, or, where that has none, all of them.

    Args:
        done: is called after each utterance.

    Raises:
        EchoError: a recording cannot be read.
    """
    paths, names = recording_names(utterances)
    recordings: dict[str, dict[str, Any]] = {}
    supervisions = []
    for u, path in zip(utterances, paths, strict=True):
        if path not in recordings:
            recordings[path] = _recording(names[path], Path(path))
        channels: list[int] = recordings[path]["channel_ids"]
        segment = u.audio if isinstance(u.audio, AudioSegment) else AudioSegment(Path(path))
        channel: Any = channels if len(channels) > 1 else 0
        times = {"start": round(segment.start, 6), "duration": round(u.duration, 6)}
        row = {"id": u.id, "recording_id": names[path], **times}
        row["channel"] = channel if segment.channel is None else segment.channel
        supervisions.append({**row, "text": u.text, **({"speaker": u.speaker} if u.speaker else {})})
        done()
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"recordings_{SPLITS[split]}.jsonl.gz", recordings.values())
    _write(folder / f"supervisions_{SPLITS[split]}.jsonl.gz", supervisions)


def _recording(name: str, path: Path) -> dict[str, Any]:
    rate, count = audio_format(path)
    samples = round(audio_duration(path) * rate)
    channels = list(range(count))
    return {
        "id": name,
        "sources": [{"type": "file", "channels": channels, "source": str(path)}],
        "sampling_rate": rate,
        "num_samples": samples,
        "duration": samples / rate,
        "channel_ids": channels,
    }


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data, mtime=0))
