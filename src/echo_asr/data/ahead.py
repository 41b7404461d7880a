"""Computes features in other processes shortly before training asks for them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain

from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Audio
from echo_asr.data.precompute import CHUNK, Job, fill_ahead, open_processes, read_in_worker, sigint_blocked
from echo_asr.data.unreadable import collect_errors, find_unreadable

MANY = 1000  # recordings, from which processes read them faster than threads
IDLE = 50  # times in a row that nothing is lacking, after which the processes end
AT_ONCE = 8  # recordings that a process is given at a time, so that all share in the first batch


class FeaturesAhead:
    """Has the features that will be asked for computed by other processes, which keep them in the cache.

    Processes are started when there is enough to do for two, and ended when there was nothing for a while. Without
    them, or where one of them was ended from outside, features are computed when the cache is asked for them.

    Args:
        cache: of the features.
        workers: processes, at most, of one thread each.

    Attributes:
        cpu_seconds: CPU time of the processes for features, until they are ended.
    """

    def __init__(self, cache: FeatureCache, workers: int) -> None:
        self.cache, self.workers = cache, workers
        self.cpu_seconds = 0.0
        self._idle = 0  # times in a row that nothing was lacking
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: dict[Job, Future[float]] = {}

    def find_unreadable(
        self, recordings: Sequence[Audio], progress: Callable[[int], None] | None = None
    ) -> dict[Audio, str]:
        """As `echo_asr.data.unreadable.find_unreadable`, by the processes where there are many recordings."""
        if self.workers < 2 or len(recordings) < MANY:
            return find_unreadable(recordings, progress)
        self._pool = self._pool or open_processes(self.cache, self.workers)
        chunks = [recordings[first : first + CHUNK] for first in range(0, len(recordings), CHUNK)]
        try:
            with sigint_blocked():
                errors = chain.from_iterable(self._pool.map(read_in_worker, chunks))
            return collect_errors(recordings, errors, progress)
        except BrokenProcessPool:
            self._go_on_without()
            return find_unreadable(recordings, progress)

    def want(self, jobs: Iterable[Job]) -> None:
        """Have computed, in this order, what the cache lacks and nobody computes yet."""
        if self.workers < 2:
            return
        lacking = [job for job in dict.fromkeys(jobs) if job not in self._waiting and not self.cache.holds(*job)]
        self._idle = 0 if lacking else self._idle + 1
        if self._idle >= IDLE:
            self.close()  # which frees some 300 MB a process
        if self._pool is None:
            if len(lacking) < 2 * CHUNK:
                return
            self._pool = open_processes(self.cache, self.workers)
        for first in range(0, len(lacking), AT_ONCE):
            part = lacking[first : first + AT_ONCE]
            try:
                with sigint_blocked():
                    future = self._pool.submit(fill_ahead, part)
            except BrokenProcessPool:
                self._go_on_without()
                return
            future.add_done_callback(self._count)
            self._waiting |= dict.fromkeys(part, future)

    def wait(self, job: Job) -> None:
        """Until a job that was wanted is done. Why a recording cannot be read is found when it is read."""
        future = self._waiting.get(job)
        if future is None:
            return
        try:
            future.result()
        except CancelledError:
            pass
        except BrokenProcessPool:
            self._go_on_without()
        self._waiting.pop(job, None)

    def close(self) -> None:
        """End the processes, once what they are at is done."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool, self.cpu_seconds = None, 0.0
        self._waiting.clear()

    def _count(self, future: Future[float]) -> None:
        if not future.cancelled() and future.exception() is None:
            self.cpu_seconds += future.result()

    def _go_on_without(self) -> None:
        if self.workers:
            self.workers = 0
            what = "a process that computes features was ended from outside, perhaps for want of memory"
            warnings.warn(f"{what}; they are computed in this process from now on", stacklevel=3)
