"""What the `prepare` command does: check a corpus and extract its features ahead of training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from echo_asr.console import progress_bar
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import load_corpus
from echo_asr.data.fill import fill_cache
from echo_asr.data.rendition import AS_RECORDED
from echo_asr.features import FeatureExtractor
from echo_asr.train.run import read_config


def prepare_corpus(corpus: str, config: Path | None = None, broken: Literal["refuse", "skip"] = "refuse") -> list[str]:
    """Extract the features of every split; those of `train` as often as the configuration plays them.

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
    lines, jobs = [], []
    for name in recordings.splits:
        rows = recordings.split(name)
        renditions = dict.fromkeys(sections["train"].renditions if name == "train" else [AS_RECORDED])
        jobs += [(u, played) for u in rows for played in renditions]
        hours = sum(u.duration for u in rows) / 3600
        speakers = len({u.speaker for u in rows if u.speaker})
        lines.append(f"{corpus}, {name}: {len(rows)} utterances, {hours:.2f} h, {speakers or 'unknown'} speakers")
    with progress_bar("features", len(jobs)) as advance:
        fill_cache(cache, jobs, lambda done, total: advance(done, ""), os.cpu_count() or 1)
    return [*lines, f"features are in {cache.root}"]
