"""How fast a run goes through its recordings, and what it waits for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from echo_asr.audio.convert import frames_to_seconds
from echo_asr.console import hours
from echo_asr.data.batch import Batch

DATA_BOUND = 0.1  # share of the time waiting for batches from which it is the data that holds training up


def cpu_seconds() -> float:
    """CPU time of all threads of this process so far, and of the processes that it has started and that have ended."""
    taken = os.times()
    return taken.user + taken.system + taken.children_user + taken.children_system


class Throughput:
    """Counts the audio that was trained on and the seconds spent waiting for it, since `began`.

    Time in validation and in writing checkpoints does not count. Figures are of all processes together; the share of
    waiting is their mean.
    """

    def __init__(self) -> None:
        self.recent = [0.0] * 4  # seconds, seconds waited, seconds of audio, padded: since the last line of metrics
        self.whole = [0.0] * 4  # the same of this sitting
        self.start()

    def start(self) -> None:
        """An update begins."""
        self.began = time.perf_counter()
        self.here = [0.0] * 3  # of this process: seconds waited, seconds of audio, the same with padding

    def take(self, batches: Iterator[tuple[int, int, Batch]]) -> tuple[int, int, Batch]:
        """The next batch, and the time that it takes to come."""
        asked = time.perf_counter()
        taken = next(batches)
        self.here[0] += time.perf_counter() - asked
        lengths = taken[2].features.lengths
        self.here[1] += frames_to_seconds(float(lengths.sum()))
        self.here[2] += frames_to_seconds(float(lengths.max()) * len(lengths))
        return taken

    def finish(self, everywhere: list[float], processes: int) -> None:
        """An update is done, in which all processes together added `everywhere`."""
        waited, audio, padded = everywhere
        for figures in (self.recent, self.whole):
            for index, value in enumerate((time.perf_counter() - self.began, waited / processes, audio, padded)):
                figures[index] += value

    @property
    def now(self) -> dict[str, float]:
        """The figures since the last line of metrics."""
        return _figures(self.recent)

    def take_stock(self) -> dict[str, Any]:
        """The figures for a line of metrics; the next line begins anew."""
        found, self.recent = {name: round(value, 4) for name, value in self.now.items()}, [0.0] * 4
        return found

    @property
    def verdict(self) -> str:
        """One line on the whole sitting: how much, how fast, and what held it up."""
        figures = _figures(self.whole)
        rate, wait, padding = figures["audio_per_second"], figures["data_wait"], figures["padding"]
        cause = (
            "the data held training up (extract features beforehand with `echo-asr prepare`, put their cache on a fast "
            "disk, or raise train.loaders)"
            if wait > DATA_BOUND
            else "the model, not the data, set the pace"
        )
        return (
            f"trained on {hours(self.whole[2])} of audio, {rate:.0f} s of it a second; "
            f"padding {100 * padding:.1f} %; waited {100 * wait:.1f} % of the time for batches: {cause}"
        )


def _figures(sums: list[float]) -> dict[str, float]:
    seconds, waited, audio, padded = sums
    return {
        "audio_per_second": audio / seconds if seconds else 0.0,
        "data_wait": waited / seconds if seconds else 0.0,
        "padding": 1.0 - audio / padded if padded else 0.0,
    }
