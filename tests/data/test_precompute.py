import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from echo_asr.data import precompute
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Utterance
from echo_asr.data.perturbation import UNPERTURBED, Perturbation
from echo_asr.data.precompute import CHUNK, fill_cache, fill_recordings
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.features.states import StatesExtractor

PACKAGE_ROOT = Path(precompute.__file__).parents[2]


def recordings(folder: Path, count: int) -> list[Utterance]:
    """Clips of 50 ms, all different."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(count)
    rows = []
    for number in range(count):
        path = folder / f"{number}.wav"
        soundfile.write(path, rng.uniform(-0.1, 0.1, 800), 16_000)
        rows.append(Utterance(path.name, path, "", "", "train", 0.05))
    return rows


def make_cache(folder: Path) -> FeatureCache:
    return FeatureCache(folder / "cache", FeatureExtractor(FeatureConfig(mels=8, tracker="autocorrelation")))


def jobs_of(rows: Sequence[Utterance], speeds: Sequence[float] = (0.9, 1.0)) -> list[tuple[Utterance, Perturbation]]:
    return [(row, Perturbation(speed)) for row in rows for speed in speeds]


def test_what_is_not_there_is_made_and_reported(tmp_path: Path) -> None:
    cache, jobs = make_cache(tmp_path), jobs_of(recordings(tmp_path, 3))
    cache.features(jobs[1][0].audio, jobs[1][1])
    reported: list[tuple[int, int]] = []
    fill_cache(cache, jobs, lambda done, total: reported.append((done, total)))
    assert reported == [(done, 6) for done in range(1, 7)]
    assert all(cache.holds(row.audio, perturbed) for row, perturbed in jobs)
    entries = list((tmp_path / "cache").rglob("*.safetensors"))
    assert len(entries) == 6
    before = {entry: entry.stat().st_mtime_ns for entry in entries}
    fill_cache(cache, jobs)
    assert {entry: entry.stat().st_mtime_ns for entry in entries} == before, "nothing is made twice"


def test_a_recording_that_cannot_be_read_is_reported_and_the_others_stay(tmp_path: Path) -> None:
    rows = recordings(tmp_path, 3)
    rows[2].audio.write_text("not sound at all")
    cache = make_cache(tmp_path)
    with pytest.raises(EchoError, match="2.wav: is not an audio file"):
        fill_cache(cache, jobs_of(rows, (1.0,)))
    assert cache.holds(rows[0].audio) and cache.holds(rows[1].audio) and not cache.holds(rows[2].audio)


def test_a_few_recordings_start_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precompute, "ProcessPoolExecutor", None)
    fill_cache(make_cache(tmp_path), jobs_of(recordings(tmp_path, 2 * CHUNK - 1), (1.0,)), workers=8)
    with pytest.raises(TypeError):
        fill_cache(make_cache(tmp_path / "more"), jobs_of(recordings(tmp_path / "more", 2 * CHUNK), (1.0,)), workers=8)


@pytest.mark.slow
def test_processes_make_what_one_process_makes(tmp_path: Path) -> None:
    rows = recordings(tmp_path, 2 * CHUNK)
    reported: list[int] = []
    cache = make_cache(tmp_path)
    fill_cache(cache, jobs_of(rows, (1.1,)), lambda done, total: reported.append(done), workers=2)
    assert reported == list(range(2 * CHUNK + 1))
    fresh = make_cache(tmp_path / "fresh")
    for row in rows:
        ours, theirs = (c.features(row.audio, Perturbation(1.1)) for c in (cache, fresh))
        assert ours.spectrogram.equal(theirs.spectrogram) and ours.pitch.equal(theirs.pitch)
    rows[-1].audio.write_text("not sound at all")
    with pytest.raises(EchoError, match="is not an audio file"):
        fill_cache(make_cache(tmp_path / "third"), jobs_of(rows, (1.1,)), workers=2)


RUN = """
import os, sys, time
from pathlib import Path
from echo_asr.data import precompute
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Utterance
from echo_asr.data.perturbation import UNPERTURBED, Perturbation
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.features.states import StatesExtractor

class Slow(FeatureExtractor):
    def measure_acoustic(self, audio, *args, **kwargs):
        Path(os.environ["WORKING"]).touch()
        if "DIE" in os.environ:
            os._exit(9)
        time.sleep(0.05)
        return super().measure_acoustic(audio, *args, **kwargs)

def submit(*arguments, before=precompute._submit):
    started = before(*arguments)
    Path(os.environ["STARTING"]).touch()
    return started

if __name__ == "__main__":
    precompute._submit = submit
    rows = [Utterance(p.name, p, "", "", "train", 0.05) for p in sorted(Path(sys.argv[1]).glob("*.wav"))]
    cache = FeatureCache(Path(sys.argv[1]) / "cache", Slow(FeatureConfig(mels=8, tracker="autocorrelation")))
    try:
        precompute.fill_cache(cache, [(row, Perturbation()) for row in rows], workers=2)
    except BaseException as error:
        print(type(error).__name__, error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C while they work", "Ctrl-C while they start", "one dies"])
def test_processes_that_are_stopped_leave_no_traceback(how: str, tmp_path: Path) -> None:
    recordings(tmp_path, 5 * CHUNK)
    script = tmp_path / "run.py"
    script.write_text(RUN)
    marks = {"STARTING": str(tmp_path / "starting"), "WORKING": str(tmp_path / "working")}
    environment = {**os.environ, **marks, "PYTHONPATH": str(PACKAGE_ROOT)}
    if how == "one dies":
        environment["DIE"] = "1"
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if how != "one dies":
        mark = Path(marks["WORKING" if how.endswith("work") else "STARTING"])
        deadline = time.monotonic() + 60
        while not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    output, errors = process.communicate(timeout=60)
    expected = "EchoError a process that extracts features was ended" if how == "one dies" else "KeyboardInterrupt"
    assert output.startswith(expected)
    assert errors == ""


def test_what_was_found_complete_is_not_looked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, rows = make_cache(tmp_path), recordings(tmp_path, 3)
    parts = [(rows, (UNPERTURBED, Perturbation(1.1)))]
    reported: list[tuple[int, int]] = []
    fill_recordings(cache, parts, lambda *counts: reported.append(counts))
    assert reported[-1] == (6, 6) and all(cache.holds(u.audio, Perturbation(1.1)) for u in rows)
    looked: list[Path] = []
    again = make_cache(tmp_path)
    monkeypatch.setattr(again, "holds", lambda audio, perturbed: looked.append(audio) or True)
    fill_recordings(again, parts, lambda *counts: reported.append(counts))
    assert looked == [] and reported[-1] == (6, 6)
    fill_recordings(again, [(rows, (UNPERTURBED, Perturbation(0.9)))])
    assert len(looked) == 12, "another perturbation"
    looked.clear()
    soundfile.write(rows[1].audio, np.full(3000, 0.2), 16_000)
    fill_recordings(again, parts)
    assert looked, "another recording of that name"


def test_what_is_not_there_is_reported_whatever_was_noted(tmp_path: Path) -> None:
    cache, rows = make_cache(tmp_path), recordings(tmp_path, 2)
    fill_recordings(cache, [(rows, (UNPERTURBED,))])
    rows[0].audio.unlink()
    with pytest.raises(EchoError, match="0.wav"):
        fill_recordings(cache, [(rows, (UNPERTURBED,))])


# --- states of a pretrained encoder ---


def states_cache(folder: Path, encoder: Path) -> FeatureCache:
    config = FeatureConfig(mels=8, tracker="autocorrelation", states=str(encoder), encoder_layers=(1,))
    return FeatureCache(folder / "cache", FeatureExtractor(config))


def test_states_are_made_for_recordings_whose_acoustic_features_are_there(tmp_path: Path, encoder: Path) -> None:
    rows, told = recordings(tmp_path, 3), list[str]()
    fill_cache(make_cache(tmp_path), jobs_of(rows), tell=told.append)
    assert not told, "there is no encoder"
    cache = states_cache(tmp_path, encoder)
    assert not any(cache.holds(row.audio, perturbation) for row, perturbation in jobs_of(rows))
    fill_cache(cache, jobs_of(rows), tell=told.append)
    assert all(cache.holds(row.audio, perturbation) for row, perturbation in jobs_of(rows)) and len(told) == 1
    fill_cache(cache, jobs_of(rows), tell=told.append)
    assert len(told) == 1, "nothing is left"


class Inline:
    """An executor of this process, in place of others."""

    def __init__(self, workers: int, initializer: object, initargs: tuple[FeatureCache, int], **_: object) -> None:
        precompute._worker_cache = initargs[0]
        assert initargs[0].extractor.states is None, "other processes do not encode"

    def __enter__(self) -> "Inline":
        return self

    def __exit__(self, *_: object) -> None: ...

    map = staticmethod(map)


def test_a_gpu_encodes_what_other_processes_have_measured(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of work that a GPU has, on the CPU: one broken recording among others, in chunks."""
    monkeypatch.setattr(precompute, "ProcessPoolExecutor", Inline)
    monkeypatch.setattr(precompute, "ON_GPU", 3)
    encoded: list[int] = []
    before = StatesExtractor.of_each
    monkeypatch.setattr(StatesExtractor, "of_each", lambda self, r: encoded.append(len(r)) or before(self, r))
    rows = recordings(tmp_path, 7)
    rows[4].audio.write_text("not sound at all")
    cache = states_cache(tmp_path, encoder)
    errors = list(precompute._extract_on_gpu(cache, [(row.audio, UNPERTURBED) for row in rows], 2))
    assert [bool(error) for error in errors] == [False] * 4 + [True] + [False] * 2 and "4.wav" in errors[4]
    assert encoded == [3, 2, 1]
    alone = states_cache(tmp_path / "alone", encoder)
    for number in (0, 5, 6):
        ours, theirs = (c.features(rows[number].audio).states for c in (cache, alone))
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours, theirs, atol=4e-3, rtol=4e-3)
    assert len(encoded) == 6, "what was kept is read"


def test_a_large_encoder_is_in_the_memory_of_few_processes(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[int, int]] = []

    class Counted(Inline):
        def __init__(
            self, processes: int, initializer: object, initargs: tuple[FeatureCache, int], **_: object
        ) -> None:
            started.append((processes, initargs[1]))
            precompute._worker_cache = initargs[0]

    monkeypatch.setattr(precompute, "ProcessPoolExecutor", Counted)
    size = FeatureExtractor(states_cache(tmp_path, encoder).extractor.config).states.weights  # type: ignore[union-attr]
    rows = recordings(tmp_path, 4 * CHUNK)
    for number, (most, expected) in enumerate({4.0: [(4, 2)], 2.5: [(2, 4)], 1.5: []}.items()):
        monkeypatch.setattr(precompute, "MOST_WEIGHTS", most * size)
        fill_cache(states_cache(tmp_path / str(number), encoder), jobs_of(rows, (1.0,)), workers=8)
        assert started == expected
        started.clear()


@pytest.mark.slow
def test_processes_encode_as_one_does(tmp_path: Path, encoder: Path) -> None:
    rows, cache = recordings(tmp_path, 2 * CHUNK), states_cache(tmp_path, encoder)
    fill_cache(cache, jobs_of(rows, (1.0,)), workers=2)
    fresh = states_cache(tmp_path / "fresh", encoder)
    for row in rows[::5]:
        ours, theirs = (c.features(row.audio).states for c in (cache, fresh))
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours, theirs, atol=4e-3, rtol=4e-3)
