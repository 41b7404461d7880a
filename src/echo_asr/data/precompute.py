"""Fills the feature cache, in parallel processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from itertools import chain, islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import torch

from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Audio, Utterance
from echo_asr.data.perturbation import Perturbation
from echo_asr.data.room import check_room
from echo_asr.data.unreadable import UnreadableRecordings, find_unreadable, read_error
from echo_asr.errors import EchoError

CHUNK = 16  # recordings sent to a process at a time; starting one takes as long as a chunk or two
Job = tuple[Audio, Perturbation]  # a recording and its perturbation
ON_GPU = 256  # recordings whose states a GPU computes at a time
MOST_WEIGHTS = 4e9  # bytes of a pretrained encoder in all processes together

_worker_cache: FeatureCache | None = None  # of a worker process


def fill_cache(
    cache: FeatureCache,
    jobs: Sequence[tuple[Utterance, Perturbation]],
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Compute the features of those (utterance, perturbation) pairs that the cache lacks.

    Args:
        progress: called with the number of pairs that are done, and of all.
        workers: processes, at most, of one thread each; a few recordings are processed in this one. With a large
            pretrained encoder, which each of them has in memory, they are fewer, of more threads.
        tell: called before states of a pretrained encoder are computed, with a line on what they will take on disk.

    Raises:
        UnreadableRecordings: some recordings cannot be read; all others are in the cache.
        EchoError: a worker process was killed, or the states do not fit on the disk.
    """
    missing = [(u, perturbation) for u, perturbation in jobs if not cache.holds(u.audio, perturbation)]
    room = check_room(cache, missing)
    if room and tell:
        tell(room)
    todo = [(u.audio, perturbation) for u, perturbation in missing]
    done = len(jobs) - len(todo)
    if progress:
        progress(done, len(jobs))
    with closing(_extract_all(cache, todo, workers)) as extracted:
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
    tell: Callable[[str], None] | None = None,
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
    fill_cache(cache, jobs, progress, workers, tell)
    if all(cache.holds(u.audio, perturbation) for u, perturbation in jobs):
        _remember(note)


def check_recordings(
    cache: FeatureCache,
    parts: Sequence[tuple[Sequence[Utterance], Sequence[Perturbation]]],
    progress: Callable[[int, int], None] | None = None,
    find: Callable[[Sequence[Audio], Callable[[int], None] | None], dict[Audio, str]] = find_unreadable,
) -> int:
    """Decode the recordings of utterances of which the cache has no features yet, which shows that they can be read.

    What was read is remembered with the size and the time of every recording.

    Args:
        parts, progress: as in `fill_recordings`.
        find: as `find_unreadable`, which it is by default.

    Returns:
        how many were decoded.

    Raises:
        UnreadableRecordings: some cannot be read.
    """
    total, unknown = sum(len(utterances) for utterances, _ in parts), list[Audio]()
    note = cache.note((u.audio, ()) for utterances, _ in parts for u in utterances)
    if note is None or not (note.is_file() or _features_noted(cache, parts)):
        unknown = [u.audio for rows, _ in parts for u in rows if not cache.holds(u.audio)]
        count = (lambda done: progress(total - len(unknown) + done, total)) if progress else None
        if unreadable := find(unknown, count):
            raise UnreadableRecordings(unreadable)
        _remember(note)
    if progress:
        progress(total, total)
    return len(unknown)


def _features_noted(cache: FeatureCache, parts: Sequence[tuple[Sequence[Utterance], Sequence[Perturbation]]]) -> bool:
    """Whether all features of utterances, each with some perturbations, were once computed."""
    note = cache.note((u.audio, perturbations) for utterances, perturbations in parts for u in utterances)
    return note is not None and note.is_file()


def _remember(note: Path | None) -> None:
    if note is not None:
        with suppress(OSError):  # a cache that cannot be written has its own warning
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()


def _extract_all(cache: FeatureCache, todo: Sequence[Job], workers: int) -> Generator[str]:
    """Compute features; yields for each job why its recording cannot be read, or an empty string."""
    states, processes = cache.extractor.states, min(workers, len(todo) // CHUNK)
    if states is not None and states.device.type != "cpu":
        yield from _extract_on_gpu(cache, todo, max(1, processes))
        return
    if states is not None and processes > 1:
        processes = min(processes, int(MOST_WEIGHTS // states.weights))
    if processes < 2:
        for chunk in _chunks(todo, CHUNK):
            yield from _extract(cache, chunk)
    else:
        with _open_pool(cache, processes, workers // processes) as pool:
            yield from chain.from_iterable(_submit(pool, _chunks(todo, CHUNK)))


def _extract_on_gpu(cache: FeatureCache, todo: Sequence[Job], workers: int) -> Generator[str]:
    """The same, with states computed in this process, on the device of the extractor, and all else in others, which
    are ahead of it."""
    with _open_pool(cache.without_states(), workers) as pool:
        acoustic = chain.from_iterable(_submit(pool, _chunks(todo, CHUNK)))
        for chunk in _chunks(todo, ON_GPU):
            errors = list(islice(acoustic, len(chunk)))
            readable = [job for job, error in zip(chunk, errors, strict=True) if not error]
            found = iter(_extract(cache, readable))
            yield from (error or next(found) for error in errors)


def _chunks(todo: Sequence[Job], size: int) -> list[Sequence[Job]]:
    return [todo[first : first + size] for first in range(0, len(todo), size)]


def open_processes(cache: FeatureCache, processes: int, threads: int = 1) -> ProcessPoolExecutor:
    """Processes that extract features with `fill_in_worker`, of so many threads each."""
    context, how = get_context("spawn"), (cache, threads)
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_start_worker, initargs=how)


@contextmanager
def _open_pool(cache: FeatureCache, processes: int, threads: int = 1) -> Iterator[ProcessPoolExecutor]:
    """The same for a while.

    Raises:
        EchoError: one of them was killed.
    """
    try:
        with open_processes(cache, processes, threads) as pool:
            yield pool
    except BrokenProcessPool:
        what = "a process that extracts features was ended from outside, perhaps for want of memory"
        raise EchoError(f"{what}; run this again, what is done is kept") from None


def _submit(pool: ProcessPoolExecutor, chunks: Sequence[Sequence[Job]]) -> Iterator[list[str]]:
    with sigint_blocked():
        return pool.map(fill_in_worker, chunks)


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Processes started here inherit that SIGINT is blocked: Ctrl-C is handled by this one."""
    if sys.platform == "win32" or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(cache: FeatureCache, threads: int) -> None:
    global _worker_cache
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it is not inherited, as on Windows
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _worker_cache = cache
    cache._warned = True  # the process that reads the features warns


def _end_with_parent() -> None:
    """A process that trains may be killed, and would leave this one behind."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def fill_ahead(jobs: Sequence[Job]) -> float:
    """Compute features in one of the processes: seconds of CPU time taken. What cannot be read is passed over."""
    began = time.process_time()
    fill_in_worker(jobs)
    return time.process_time() - began


def read_in_worker(recordings: Sequence[Audio]) -> list[str]:
    """Decode recordings in one of the processes: why each cannot be read, or an empty string."""
    return [read_error(audio) for audio in recordings]


def fill_in_worker(jobs: Sequence[Job]) -> list[str]:
    """Compute features in one of the processes: why each recording cannot be read, or an empty string."""
    assert _worker_cache is not None
    return _extract(_worker_cache, jobs)


def _extract(cache: FeatureCache, jobs: Sequence[Job]) -> list[str]:
    """Why each recording cannot be read, or an empty string."""
    reasons = []
    for (audio, _), error in zip(jobs, cache.fill(jobs), strict=True):
        reasons.append("" if error is None else read_error(audio))
        if error is not None and not reasons[-1]:
            raise error  # of the cache
    return reasons
