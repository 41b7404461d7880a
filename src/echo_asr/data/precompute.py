"""Filling the feature cache ahead of time, in parallel processes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from multiprocessing import get_context

import torch

from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Sound, Utterance
from echo_asr.data.perturbation import Perturbation
from echo_asr.data.unreadable import UnreadableRecordings, read_error
from echo_asr.errors import EchoError

CHUNK = 16  # recordings given to a process at a time; it takes a few seconds to start, the time of a chunk or two
Job = tuple[Sound, Perturbation]  # a recording, and how it is played

_worker_cache: FeatureCache | None = None  # of a worker process, which lives for one call of `fill_cache`


def fill_cache(
    cache: FeatureCache,
    jobs: Sequence[tuple[Utterance, Perturbation]],
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Extract the features of (utterance, perturbation) pairs that the cache lacks.

    Args:
        progress: called with how many are done, of how many.
        workers: processes of one thread each, at most; a few recordings are done in this one.

    Raises:
        UnreadableRecordings: some cannot be read; those of all others are there.
        EchoError: a process that was ended from outside.
    """
    todo = [(u.audio, played) for u, played in jobs if not cache.holds(u.audio, played)]
    done = len(jobs) - len(todo)
    if progress:
        progress(done, len(jobs))
    with closing(_extract_all(cache, todo, min(workers, len(todo) // CHUNK))) as extracted:
        unreadable: dict[Sound, str] = {}
        for (sound, _), error in zip(todo, extracted, strict=True):
            done += 1
            if error:
                unreadable.setdefault(sound, error)
            if progress:
                progress(done, len(jobs))
    if unreadable:
        raise UnreadableRecordings(unreadable)


def fill_recordings(
    cache: FeatureCache,
    parts: Sequence[tuple[Sequence[Utterance], Sequence[Perturbation]]],
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Extract the features that the cache lacks of all utterances of each part, in all of its perturbations.

    That nothing is lacking is noted in the cache, so that the next start looks at the recordings' sizes and times alone
    and not for each of the features. Features that went away since are made when they are asked for.

    Raises:
        EchoError: as `fill_cache`.
    """
    total = sum(len(utterances) * len(perturbations) for utterances, perturbations in parts)
    note = cache.note((u.audio, perturbations) for utterances, perturbations in parts for u in utterances)
    if note is not None and note.is_file():
        if progress:
            progress(total, total)
        return
    jobs = [(u, played) for utterances, perturbations in parts for u in utterances for played in perturbations]
    fill_cache(cache, jobs, progress, workers)
    if note is not None and all(cache.holds(u.audio, played) for u, played in jobs):
        with suppress(OSError):  # a cache that cannot be written is slow, as it says elsewhere
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()


def _extract_all(cache: FeatureCache, todo: Sequence[Job], workers: int) -> Generator[str]:
    """Extract features; for each job, why its recording cannot be read, or nothing."""
    if workers < 2:
        for job in todo:
            yield _extract(cache, job)
        return
    context = get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(cache,)) as pool:
            yield from _submit(pool, todo)
    except BrokenProcessPool:
        raise EchoError(
            "a process that extracts features was ended from outside, perhaps for want of memory; run this again, "
            "what is done is kept"
        ) from None


def _submit(pool: ProcessPoolExecutor, todo: Sequence[Job]) -> Iterator[str]:
    """Start the processes. Ctrl-C is for this one to answer: those inherit that they do not hear of it."""
    if sys.platform == "win32" or not hasattr(signal, "pthread_sigmask"):
        return pool.map(_work, todo, chunksize=CHUNK)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.map(_work, todo, chunksize=CHUNK)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(cache: FeatureCache) -> None:
    global _worker_cache
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it is not inherited, as on Windows
    torch.set_num_threads(1)
    _worker_cache = cache
    cache._warned = True  # once is enough, and the process that reads them will say it


def _work(job: Job) -> str:
    assert _worker_cache is not None
    return _extract(_worker_cache, job)


def _extract(cache: FeatureCache, job: Job) -> str:
    try:
        cache.measured(*job)
    except EchoError:
        if reason := read_error(job[0]):
            return reason
        raise  # of the cache
    return ""
