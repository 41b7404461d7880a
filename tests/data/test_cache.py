"""The cache of features: what it is keyed on, and that nothing which befalls the disk stops the work."""

from __future__ import annotations

import os
import pickle
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from echo_asr.data.cache import FIELDS, FeatureCache
from echo_asr.data.perturbation import Perturbation
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor, Features
from echo_asr.libraries import default_cache_root
from echo_asr.storage import pack, unpack


class CountingExtractor(FeatureExtractor):
    """Counts extractions."""

    calls = 0

    def measure_acoustic(self, audio: np.ndarray, *args: Any, **kwargs: Any) -> Features:
        self.calls += 1
        return super().measure_acoustic(audio, *args, **kwargs)


def counting(**settings: object) -> CountingExtractor:
    return CountingExtractor(FeatureConfig(**{"tracker": "autocorrelation", **settings}))  # type: ignore[arg-type]


def tone(hz: float = 200.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(4_000) / 16_000)).astype(np.float32)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone(), 16_000, subtype="FLOAT")
    return path


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache", counting())


def entries(cache: FeatureCache) -> list[Path]:
    return [path for path in cache.root.rglob("*") if path.is_file()]


def assert_same(one: Features, other: Features) -> None:
    assert {*FIELDS, "states", "speaker_f0", "energy"} == set(vars(one)), (
        "who speaks is not in the sound, and not kept with it"
    )
    assert torch.equal(one.energy, other.energy) and torch.equal(one.energy, one.pitch[1])
    assert one.speaker_f0 == other.speaker_f0 == 0.0
    for name in FIELDS:
        left, right = getattr(one, name), getattr(other, name)
        if left is None or right is None:
            assert left is right, name
            continue
        assert torch.equal(left, right) and left.dtype == right.dtype, name


def calls(cache: FeatureCache) -> int:
    assert isinstance(cache.extractor, CountingExtractor)
    return cache.extractor.calls


def test_the_second_time_comes_from_disk_to_the_bit(cache: FeatureCache, clip: Path) -> None:
    assert not cache.holds(clip)
    first = cache.features(clip)
    assert cache.holds(clip) and calls(cache) == 1
    fresh = FeatureCache(cache.root, counting())
    assert_same(first, fresh.features(clip))
    assert_same(first, counting()(tone()))
    assert calls(fresh) == 0 and len(entries(cache)) == 1


def test_the_waveform_comes_back_where_it_was_asked_for(tmp_path: Path, clip: Path) -> None:
    root = tmp_path / "cache"
    with_it, without = (FeatureCache(root, counting(waveform=waveform)) for waveform in (True, False))
    first = with_it.features(clip)
    assert first.waveform is not None and first.waveform.shape == (4_000,) and first.waveform.abs().max() == 1.0
    assert without.features(clip).waveform is None, "an entry with the samples is not one without"
    for cache, expected in ((with_it, first), (without, counting()(tone()))):
        fresh = FeatureCache(root, counting(waveform=cache is with_it))
        assert_same(fresh.features(clip), expected)
        assert calls(fresh) == 0
    assert len(entries(with_it)) == 2


def test_an_entry_that_lost_its_waveform_is_made_anew(tmp_path: Path, clip: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", counting(waveform=True))
    first = cache.features(clip)
    (entry,) = entries(cache)
    tensors = unpack(entry.read_bytes())
    del tensors["waveform"]
    entry.write_bytes(pack(tensors))
    assert_same(cache.features(clip), first)
    assert calls(cache) == 2


def test_arrays_are_cached_by_content(cache: FeatureCache) -> None:
    cache.features(tone())
    cache.features(tone().copy())
    assert calls(cache) == 1 and cache.holds(tone())
    cache.features(tone(201.0))
    cache.features(tone()[:-1])
    assert calls(cache) == 3


def test_a_renamed_file_keeps_its_entry_and_a_changed_one_does_not(cache: FeatureCache, clip: Path) -> None:
    before = cache.features(clip)
    renamed = clip.rename(clip.with_name("other.wav"))
    assert_same(before, cache.features(renamed))
    assert calls(cache) == 1
    soundfile.write(renamed, tone(300.0), 16_000, subtype="FLOAT")  # as many bytes as before
    os.utime(renamed, ns=(1, 1))
    after = cache.features(renamed)
    assert calls(cache) == 2 and not torch.equal(before.spectrogram, after.spectrogram)


@pytest.mark.parametrize(
    "settings", [{"mels": 40}, {"null_relative_db": 40.0}, {"tracker": "swiftf0"}, {"waveform": True}]
)
def test_other_settings_have_other_entries(cache: FeatureCache, clip: Path, settings: dict) -> None:
    cache.features(clip)
    other = FeatureCache(cache.root, counting(**settings))
    assert not other.holds(clip)
    other.features(clip)
    assert calls(other) == 1 and len(entries(cache)) == 2


def test_renditions_have_entries_of_their_own(cache: FeatureCache, clip: Path) -> None:
    fast = Perturbation(2.0)
    whole, half = cache.features(clip), cache.features(clip, fast)
    assert (whole.frames, half.frames) == (25, 13)
    assert cache.holds(clip, fast) and not cache.holds(clip, Perturbation(2.0, noise=1))
    cache.features(clip, fast)
    assert calls(cache) == 2


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "flipped", "foreign"])
def test_a_damaged_entry_is_made_anew(cache: FeatureCache, clip: Path, damage: str) -> None:
    first = cache.features(clip)
    (entry,) = entries(cache)
    content = bytearray(entry.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0x40
    if damage == "foreign":
        from safetensors.torch import save

        content = bytearray(save({"weight": torch.ones(3)}))
    short = {"empty": b"", "cut": bytes(content[: len(content) // 2]), "text": b"hello"}
    entry.write_bytes(short.get(damage, bytes(content)))
    assert_same(first, cache.features(clip))
    assert calls(cache) == 2
    cache.features(clip)
    assert calls(cache) == 2  # the entry is whole again


def test_an_interrupted_write_leaves_nothing(cache: FeatureCache, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        with open(self, "wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(UserWarning, match=r"cannot be kept in .* \(No space left on device\).*ECHO_ASR_CACHE"):
        first = cache.features(clip)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one warning is enough
        assert_same(first, cache.features(clip))
    assert calls(cache) == 2 and entries(cache) == []
    monkeypatch.undo()
    cache.features(clip)
    assert cache.holds(clip)


def test_a_root_that_cannot_be_made_costs_only_speed(clip: Path) -> None:
    cache = FeatureCache(clip / "cache", counting())  # below a file
    with pytest.warns(UserWarning, match="features cannot be kept"):
        assert_same(cache.features(clip), counting()(tone()))


def test_a_file_that_cannot_be_read_is_reported_as_ever(cache: FeatureCache, tmp_path: Path) -> None:
    assert not cache.holds(tmp_path / "nowhere.wav")
    with pytest.raises(EchoError, match="nowhere.wav: no such file"):
        cache.features(tmp_path / "nowhere.wav")
    with pytest.raises(EchoError, match="is a folder"):
        cache.features(tmp_path)


def test_a_file_is_hashed_once(cache: FeatureCache, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.features(clip)
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("hashed again"))
    cache.features(clip)


def test_it_pickles_for_workers(cache: FeatureCache, clip: Path) -> None:
    first = cache.features(clip)
    again = pickle.loads(pickle.dumps(cache))
    assert again.holds(clip)
    assert_same(first, again.features(clip))


def _extract(cache: FeatureCache, clip: Path) -> float:
    torch.set_num_threads(1)
    return float(cache.features(clip).spectrogram.sum())


def test_processes_may_share_it(tmp_path: Path, clip: Path) -> None:
    cache = FeatureCache(tmp_path / "shared", FeatureExtractor(FeatureConfig(tracker="autocorrelation")))
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        sums = list(pool.map(_extract, [cache] * 4, [clip] * 4))
    assert len(set(sums)) == 1 and len(entries(cache)) == 1


def test_the_default_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "there"))
    assert FeatureCache(None, counting()).root == tmp_path / "there"
    monkeypatch.delenv("ECHO_ASR_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_root() == tmp_path / ".cache" / "echo-asr"


# --- states of a pretrained encoder ---


class CountingStates(CountingExtractor):
    """Counts encodings, too."""

    encodings = 0

    def encoder_samples(self, audio: np.ndarray, loudest: float = -np.inf) -> torch.Tensor:
        self.encodings += 1
        return super().encoder_samples(audio, loudest)


def with_states(root: Path, encoder: Path, *layers: int) -> tuple[FeatureCache, CountingStates]:
    extractor = CountingStates(FeatureConfig(tracker="autocorrelation", states=str(encoder), encoder_layers=layers))
    return FeatureCache(root, extractor), extractor


def test_states_have_entries_of_their_own_beside_those_of_models_without(
    cache: FeatureCache, clip: Path, encoder: Path
) -> None:
    without = cache.features(clip)
    other, extractor = with_states(cache.root, encoder)
    assert not other.holds(clip)
    first = other.features(clip)
    assert extractor.calls == 0 and extractor.encodings == 1, "the acoustic features were there"
    assert other.holds(clip) and len(entries(cache)) == 2
    assert without.states is None and first.states is not None
    assert all(torch.equal(getattr(first, name), getattr(without, name)) for name in FIELDS if name != "waveform")
    fresh, again = with_states(cache.root, encoder)
    second = fresh.features(clip)
    assert second.states is not None and torch.equal(first.states, second.states) and second.states.dtype == torch.half
    assert again.calls == again.encodings == 0
    layers, third = with_states(cache.root, encoder, 1)
    assert not layers.holds(clip)
    layers.features(clip)
    assert third.calls == 0 and third.encodings == 1 and len(entries(cache)) == 3
    assert cache.holds(clip) and cache.features(clip).states is None


@pytest.mark.parametrize("damage", [b"", b"hello", None])
def test_a_damaged_entry_of_states_is_made_anew(
    tmp_path: Path, clip: Path, encoder: Path, damage: bytes | None
) -> None:
    cache, extractor = with_states(tmp_path / "cache", encoder)
    first = cache.features(clip).states
    entry = cache._entry(clip, "", cache.states_made_by)
    assert first is not None and entry is not None
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 0x40
    entry.write_bytes(bytes(content) if damage is None else damage)
    second = cache.features(clip).states
    assert second is not None and torch.equal(first, second)
    assert extractor.calls == 1 and extractor.encodings == 2
    entry.write_bytes(b"")
    assert cache.fill([(clip, Perturbation())]) == [None] and extractor.encodings == 3
    cache.features(clip)
    assert extractor.encodings == 3


def test_what_is_filled_together_is_what_each_gives_alone(tmp_path: Path, encoder: Path) -> None:
    """Recordings of different lengths, one of them broken, in one call; and nothing of it is computed again."""
    clips = []
    for number, size in enumerate((4_000, 1_000, 2_500, 2_501)):
        clips.append(tmp_path / f"{number}.wav")
        soundfile.write(clips[-1], tone(200.0 + number)[:size], 16_000, subtype="FLOAT")
    clips.insert(2, tmp_path / "none.wav")
    cache, extractor = with_states(tmp_path / "cache", encoder)
    errors = cache.fill([(one, Perturbation()) for one in clips])
    assert [error is None for error in errors] == [True, True, False, True, True]
    alone, _ = with_states(tmp_path / "alone", encoder)
    del clips[2]
    for one in clips:
        assert cache.holds(one)
        ours, theirs = cache.features(one), alone.features(one)
        assert_same(replace(ours, states=None), replace(theirs, states=None))
        assert ours.states is not None and theirs.states is not None
        torch.testing.assert_close(ours.states, theirs.states, atol=4e-3, rtol=4e-3)  # half precision
    assert extractor.calls == extractor.encodings == 4
    cache.fill([(one, Perturbation()) for one in clips])
    assert extractor.calls == extractor.encodings == 4


def test_a_note_of_completeness_is_of_an_encoder(tmp_path: Path, clip: Path, encoder: Path) -> None:
    recordings = [(clip, [Perturbation()])]
    caches = (
        with_states(tmp_path, encoder)[0],
        with_states(tmp_path, encoder, 1)[0],
        FeatureCache(tmp_path, counting()),
    )
    assert len({cache.note(recordings) for cache in caches}) == 3
    assert caches[0].without_states().note(recordings) == caches[2].note(recordings)
    assert caches[0].extractor.states is not None, "the cache itself keeps them"
