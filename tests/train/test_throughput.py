from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from echo_asr.data.batch import Batch
from echo_asr.features import FeatureBatch
from echo_asr.train.throughput import Throughput


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("echo_asr.train.throughput.time", clock)
    return clock


def come(clock: Clock, batch: FeatureBatch, seconds: float) -> Iterator[tuple[int, int, Batch]]:
    while True:
        clock.now += seconds
        yield 0, 0, Batch(batch, torch.zeros(len(batch.lengths), 1), batch.lengths)


def test_audio_waiting_and_padding_are_counted(clock: Any, make_batch: Callable[..., FeatureBatch]) -> None:
    meter, batches = Throughput(), come(clock, make_batch((100, 300)), seconds=0.5)
    for _ in range(3):
        meter.start()
        meter.take(batches)
        clock.now += 1.5
        waited, audio, padded = meter.here
        meter.finish([2 * waited, 2 * audio, 2 * padded], processes=2)  # another process did as much
        clock.now += 10.0  # validation
    assert meter.now == pytest.approx({"audio_per_second": 2 * 4.0 / 2.0, "data_wait": 0.25, "padding": 1 / 3})
    assert meter.take_stock() == {"audio_per_second": 4.0, "data_wait": 0.25, "padding": 0.3333}
    assert meter.now == {"audio_per_second": 0.0, "data_wait": 0.0, "padding": 0.0}
    assert meter.verdict.startswith("trained on 24 s of audio, 4 s of it a second; padding 33.3 %; waited 25.0 %")
    assert "the data held training up" in meter.verdict and "echo-asr prepare" in meter.verdict


def test_a_model_that_sets_the_pace_is_told(clock: Any, make_batch: Callable[..., FeatureBatch]) -> None:
    meter, batches = Throughput(), come(clock, make_batch(), seconds=0.01)
    meter.start()
    meter.take(batches)
    clock.now += 1.0
    meter.finish(meter.here, processes=1)
    assert meter.verdict.endswith("the model, not the data, set the pace")
