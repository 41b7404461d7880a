from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from echo_asr.data import ahead, precompute
from echo_asr.data.ahead import FeaturesAhead
from echo_asr.data.cache import FeatureCache
from echo_asr.data.perturbation import UNPERTURBED
from echo_asr.data.precompute import CHUNK, Job
from echo_asr.features import FeatureConfig, FeatureExtractor


def make_cache(folder: Path) -> FeatureCache:
    return FeatureCache(folder / "cache", FeatureExtractor(FeatureConfig(mels=16, tracker="autocorrelation")))


def jobs_of(folder: Path, count: int) -> list[Job]:
    rng, paths = np.random.default_rng(0), [folder / f"{n}.wav" for n in range(count)]
    for path in paths:
        soundfile.write(path, rng.normal(0, 0.1, 1600), 16_000)
    return [(path, UNPERTURBED) for path in paths]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[ThreadPoolExecutor]:
    """The pools that were opened: threads in the place of processes, which take seconds to start."""
    pools: list[ThreadPoolExecutor] = []

    def opened(cache: FeatureCache, workers: int) -> ThreadPoolExecutor:
        monkeypatch.setattr(precompute, "_worker_cache", cache)
        pools.append(ThreadPoolExecutor(workers))
        return pools[-1]

    monkeypatch.setattr(ahead, "open_processes", opened)
    return pools


def test_what_was_wanted_is_in_the_cache_once_it_is_waited_for(tmp_path: Path, started: list[Any]) -> None:
    cache, jobs = make_cache(tmp_path), jobs_of(tmp_path, 2 * CHUNK)
    features = FeaturesAhead(cache, 2)
    features.want(jobs)
    features.want(jobs)  # which are under way, or done
    for job in jobs:
        features.wait(job)
        assert cache.holds(*job)
    alone = make_cache(tmp_path / "alone").features(jobs[3][0])
    torch.testing.assert_close(cache.features(jobs[3][0]).spectrogram, alone.spectrogram)
    assert features.cpu_seconds > 0
    features.close()
    assert len(started) == 1 and features.cpu_seconds == 0
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == len(jobs)


def test_a_few_recordings_start_no_process(tmp_path: Path, started: list[Any]) -> None:
    cache, jobs = make_cache(tmp_path), jobs_of(tmp_path, 2 * CHUNK)
    features = FeaturesAhead(cache, 2)
    features.want(jobs[1:])
    FeaturesAhead(cache, 1).want(jobs)
    features.wait(jobs[1])
    assert not started and not cache.holds(*jobs[1])


def test_what_cannot_be_read_and_what_nobody_wanted_stop_nothing(tmp_path: Path, started: list[Any]) -> None:
    cache, jobs = make_cache(tmp_path), jobs_of(tmp_path, 2 * CHUNK)
    jobs[5][0].write_bytes(b"")  # type: ignore[union-attr]
    features = FeaturesAhead(cache, 2)
    features.want(jobs)
    for job in jobs:
        features.wait(job)
    features.wait((tmp_path / "other.wav", UNPERTURBED))
    assert [cache.holds(*job) for job in jobs] == [number != 5 for number in range(len(jobs))]
    features.close()


def test_processes_that_have_nothing_to_do_are_ended(tmp_path: Path, started: list[Any]) -> None:
    features, jobs = FeaturesAhead(make_cache(tmp_path), 2), jobs_of(tmp_path, 2 * CHUNK)
    features.want(jobs)
    for job in jobs:
        features.wait(job)
    for _ in range(ahead.IDLE - 1):
        features.want(jobs)
    assert features._pool is not None
    features.want(jobs)
    assert features._pool is None
    for path in (tmp_path / "cache").rglob("*.safetensors"):
        path.unlink()
    features.want(jobs)
    assert len(started) == 2
    features.close()


def test_many_recordings_are_read_by_the_processes(
    tmp_path: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "MANY", 2 * CHUNK)
    recordings = [audio for audio, _ in jobs_of(tmp_path, 2 * CHUNK + 1)]
    recordings[7].write_bytes(b"")  # type: ignore[union-attr]
    features = FeaturesAhead(make_cache(tmp_path), 2)
    done: list[int] = []
    assert [*features.find_unreadable(recordings[:-2])] == [recordings[7]] and not started
    found = features.find_unreadable(recordings, done.append)
    assert [*found] == [recordings[7]] and "7.wav: is an empty file" in found[recordings[7]]
    assert done == [*range(1, len(recordings) + 1)] and len(started) == 1
    features.close()


def test_without_the_processes_training_goes_on(tmp_path: Path, started: list[Any]) -> None:
    cache, jobs = make_cache(tmp_path), jobs_of(tmp_path, 2 * CHUNK)
    features = FeaturesAhead(cache, 2)

    def killed(*_: Any) -> Any:
        raise BrokenProcessPool

    features.want(jobs[:1])
    features._pool = ThreadPoolExecutor(1)  # type: ignore[assignment]
    features._waiting[jobs[0]] = features._pool.submit(killed)  # type: ignore[union-attr]
    with pytest.warns(UserWarning, match="ended from outside.*in this process from now on"):
        features.wait(jobs[0])
    features.want(jobs)
    assert not features._waiting
    features.close()
