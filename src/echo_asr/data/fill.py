"""Filling the feature cache ahead of time, in parallel processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Utterance
from echo_asr.data.speed import speed_transform

_worker_cache: FeatureCache | None = None  # of a worker process, which lives for one call of `fill_cache`


def fill_cache(
    cache: FeatureCache,
    jobs: Sequence[tuple[Utterance, float]],
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Extract the features of (utterance, speed factor) pairs that the cache lacks.

    Args:
        progress: called with how many are done, of how many.
        workers: processes, of one thread each.

    Raises:
        EchoError: a recording that cannot be read.
    """
    todo = [(u.audio, speed) for u, speed in jobs if not cache.holds(u.audio, speed_transform(speed)[0])]
    done = len(jobs) - len(todo)
    if progress:
        progress(done, len(jobs))
    if not todo:
        return
    with ProcessPoolExecutor(
        min(workers, len(todo)), mp_context=get_context("spawn"), initializer=_start_worker, initargs=(cache,)
    ) as pool:
        for _ in pool.map(_extract, todo, chunksize=16):
            done += 1
            if progress:
                progress(done, len(jobs))


def _start_worker(cache: FeatureCache) -> None:
    global _worker_cache
    torch.set_num_threads(1)
    _worker_cache = cache


def _extract(job: tuple[Path, float]) -> None:
    path, speed = job
    assert _worker_cache is not None
    _worker_cache.features(path, *speed_transform(speed))
