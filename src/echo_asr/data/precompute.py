"""Fills the feature cache before training, in parallel processes."""

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
from echo_asr.data.corpus import Audio, Utterance
from echo_asr.data.perturbation import Perturbation
from echo_asr.data.unreadable import UnreadableRecordings, read_error
from echo_asr.errors import EchoError

CHUNK = 16  # recordings sent to a process at a time; starting one takes as long as a chunk or two
Job = tuple[Audio, Perturbation]  # a recording and its perturbation

_worker_cache: FeatureCache | None = None  # of a worker process, which lasts for one call of `fill_cache`


def fill_cache(
    cache: FeatureCache,
    jobs: Sequence[tuple[Utterance, Perturbation]],
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Compute the features of those (utterance, perturbation) pairs that the cache lacks.

    Args:
        progress: called with the number of pairs that are done, and of all.
        workers: processes of one thread each, at most; a few recordings are processed in this one.

    Raises:
        UnreadableRecordings: some recordings cannot be read; all others are in the cache.
        EchoError: a worker process was killed.
    """
    todo = [(u.audio, perturbation) for u, perturbation in jobs if not cache.holds(u.audio, perturbation)]
    done = len(jobs) - len(todo)
    if progress:
        progress(done, len(jobs))
    with closing(_extract_all(cache, todo, min(workers, len(todo) // CHUNK))) as extracted:
        unreadable: dict[Audio, str] = {}
        for (audio, _), error in zip(todo, extracted, strict=True):
            done += 1
            if error:
                unreadable.setdefault(audio, error)
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
    """Compute the features that the cache lacks, of all utterances of each part with all of its perturbations.

    Completeness is marked in the cache, so that the next start checks only the sizes and times of the recordings and
    not every entry. Entries deleted since are computed when they are read.

    Raises:
        EchoError: as `fill_cache`.
    """
    total = sum(len(utterances) * len(perturbations) for utterances, perturbations in parts)
    note = cache.note((u.audio, perturbations) for utterances, perturbations in parts for u in utterances)
    if note is not None and note.is_file():
        if progress:
            progress(total, total)
        return
    jobs = [(u, each) for utterances, perturbations in parts for u in utterances for each in perturbations]
    fill_cache(cache, jobs, progress, workers)
    if note is not None and all(cache.holds(u.audio, perturbation) for u, perturbation in jobs):
        with suppress(OSError):  # a cache that cannot be written has its own warning
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()


def _extract_all(cache: FeatureCache, todo: Sequence[Job], workers: int) -> Generator[str]:
    """Compute features; yields for each job why its recording cannot be read, or an empty string."""
    if workers < 2:
        for job in todo:
            yield _extract(cache, job)
        return
    context = get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(cache,)) as pool:
            yield from _submit(pool, todo)
    except BrokenProcessPool:
        what = "a process that extracts features was ended from outside, perhaps for want of memory"
        raise EchoError(f"{what}; run this again, what is done is kept") from None


def _submit(pool: ProcessPoolExecutor, todo: Sequence[Job]) -> Iterator[str]:
    """Start the processes with SIGINT blocked, which they inherit: Ctrl-C is handled by this one."""
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
    cache._warned = True  # the process that reads the features warns


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
