"""What the `prepare` command does: check a corpus and extract its features ahead of training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

from echo_asr.console import counted, hours, progress_bar
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.data.perturbation import UNPERTURBED, Perturbation
from echo_asr.data.precompute import fill_recordings
from echo_asr.data.unreadable import UnreadableRecordings, warn_left_out
from echo_asr.distributed.launch import barrier, find_rank
from echo_asr.features import FeatureExtractor
from echo_asr.train.run import read_config


def prepare_corpus(corpus: str, config: Path | None = None, broken: Literal["refuse", "skip"] = "refuse") -> list[str]:
    """Extract the features of every split; those of `train` as often as the configuration plays them. Under torchrun
    each process does its share.

    Args:
        broken: what becomes of records that cannot be used; see `load_corpus`.

    Returns:
        lines for the person: what each split holds, and where the features are.

    Raises:
        EchoError: a corpus, configuration or recording that cannot be read, or features that cannot be kept.
    """
    sections = read_config(config)
    recordings = load_corpus(corpus, broken)
    cache = FeatureCache(None, FeatureExtractor(sections["features"]), required=True)
    place = find_rank()
    lines: list[str] = []
    parts: list[tuple[Sequence[Utterance], tuple[Perturbation, ...]]] = []
    for name in recordings.splits:
        rows = recordings.split(name)
        perturbations = tuple(dict.fromkeys(sections["train"].perturbations if name == "train" else [UNPERTURBED]))
        parts.append((place.share(rows), perturbations))
        seconds = sum(u.duration for u in rows)
        speakers = len({u.speaker for u in rows if u.speaker})
        told = counted(speakers, "speaker") if speakers else "unknown speakers"
        lines.append(f"{corpus}, {name}: {counted(len(rows), 'utterance')}, {hours(seconds)}, {told}")
    workers = max(1, (os.cpu_count() or 1) // place.local_count)
    total = sum(len(rows) * len(perturbations) for rows, perturbations in parts)
    with progress_bar("features", total) if place.main else nullcontext() as advance:
        progress = (lambda done, total: advance(done, "")) if advance else None
        try:
            fill_recordings(cache, parts, progress, workers)
        except UnreadableRecordings as error:
            if broken == "refuse":
                raise
            warn_left_out(corpus, sum(len(rows) for rows, _ in parts), error.messages)
    barrier(place)
    return [*lines, f"features are in {cache.root}"]
