"""Everything that shapes a cached feature is in its key."""

from __future__ import annotations

import importlib
import pkgutil
import types
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echo_asr import audio, features
from echo_asr.audio import mains_hum
from echo_asr.data import noise, perturbation, provenance, psola, variants
from echo_asr.data.cache import FeatureCache
from echo_asr.data.noise import KINDS, noise_clip
from echo_asr.data.perturbation import Perturbation, perturb_speed
from echo_asr.data.provenance import constants_digest
from echo_asr.data.variants import AlteredAudio, Variant
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.features.extractor import OF_STATES
from echo_asr.features.pitch import AutocorrelationTracker

CLIP = np.random.default_rng(0).normal(0.0, 0.1, 3200).astype(np.float32)
NOISY, MOVED, FAST = Perturbation(noise=1), Perturbation(semitones=2.0), Perturbation(0.9)


def numbers(place: Any) -> list[str]:
    """The names of a module's constants of which a number is part."""
    return [name for name, value in vars(place).items() if name.isupper() and changed(value) is not None]


def changed(value: Any) -> Any:
    """Another value of the same kind; None for what is no number and holds none."""
    if isinstance(value, np.ndarray):
        return value + 1
    if isinstance(value, bool | str | bytes):
        return None
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, tuple):
        return (*value, value[0]) if value else None
    if isinstance(value, dict):
        return {**value, "another": 1.0}
    return None


def key(perturbed: Perturbation, **settings: Any) -> Path | None:
    extractor = FeatureExtractor(FeatureConfig(**{"tracker": "autocorrelation", **settings}))
    return FeatureCache(Path("cache"), extractor)._entry(CLIP, perturbed.name)


MODULES = [
    importlib.import_module(module.name)
    for package in (audio, features)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]
CONSTANTS = [
    *((module, name, Perturbation()) for module in MODULES for name in numbers(module)),
    *((AutocorrelationTracker, name, Perturbation()) for name in numbers(AutocorrelationTracker)),
    *((noise, name, NOISY) for name in numbers(noise)),
    *((psola, name, MOVED) for name in numbers(psola)),
    *((perturbation, name, perturbed) for name in numbers(perturbation) for perturbed in (NOISY, MOVED, FAST)),
]


@pytest.mark.parametrize(("place", "name", "perturbed"), CONSTANTS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_each_constant_is_in_the_key(
    place: types.ModuleType, name: str, perturbed: Perturbation, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key(perturbed)
    assert key(perturbed) == before
    monkeypatch.setattr(place, name, changed(getattr(place, name)))
    assert key(perturbed) != before


def test_the_constants_looked_for_are_there() -> None:
    found = {(getattr(place, "__name__", ""), name) for place, name, _ in CONSTANTS}
    wanted = {"data.noise": ("VERSION", "BEDS", "EXPONENTS"), "data.psola": ("VERSION", "SEARCH")}
    wanted |= {
        "data.perturbation": ("SNR_RANGE", "MARGIN", "SOFTEST_BED", "VERSION"),
        "audio.mains_hum": ("TAPER", "MAINS"),
    }
    wanted |= {"features.extractor": ("CODE_VERSION",), "audio.convert": ("HOP", "SAMPLE_RATE")}
    wanted |= {"audio.load": ("VERSION",), "audio.mixing": ("CANCELLED", "SHARE"), "audio.level": ("SILENCE_PEAK",)}
    assert {(f"echo_asr.{place}", name) for place, names in wanted.items() for name in names} <= found


@pytest.mark.parametrize("library", provenance.LIBRARIES)
def test_the_library_that_decodes_or_resamples_is_in_the_key(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(FAST)
    monkeypatch.setattr(provenance, "_version", lambda name: "another" if name == library else None)
    provenance.library_versions.cache_clear()
    assert key(FAST) != before
    monkeypatch.undo()
    provenance.library_versions.cache_clear()
    assert key(FAST) == before


def test_each_setting_of_the_features_is_in_the_key_but_what_is_done_after_the_cache() -> None:
    others: dict[str, Any] = {"mels": 40, "tracker": "swiftf0", "waveform": True, "f0": "energy"}
    for field in fields(FeatureConfig):
        if field.name in OF_STATES:  # whose key names the encoder's weights
            continue
        value = others.get(field.name, getattr(FeatureConfig(), field.name))
        value = value if field.name in others else value + 1.0
        assert (key(Perturbation(), **{field.name: value}) == key(Perturbation())) == (field.name == "f0"), field.name


def test_renditions_and_variants_that_differ_in_the_last_digit_have_keys_of_their_own() -> None:
    names = {Perturbation(0.9).name, Perturbation(0.9000001).name, Perturbation(semitones=2.0).name}
    assert len({*names, Perturbation(semitones=2.0000001).name}) == 4
    contents = {
        AlteredAudio("a.wav", Variant(name, amount), "a").content(str)
        for name in ("noise", "gain", "pitch")
        for amount in (2.0, 2.0000001)
    }
    assert len(contents) == 6


@pytest.mark.parametrize(("name", "place"), [("noise", noise), ("pitch", psola), ("flat", psola), ("gain", variants)])
def test_a_variant_is_known_by_the_version_of_what_makes_it(
    name: str, place: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered = AlteredAudio("a.wav", Variant(name, 2.0), "a")
    before = altered.content(str)
    monkeypatch.setattr(place, "VERSION", place.VERSION + 1)
    assert altered.content(str) != before


def test_the_note_that_all_is_there_goes_with_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    cache = FeatureCache(tmp_path, FeatureExtractor(FeatureConfig(tracker="autocorrelation")))
    before = cache.note([(tmp_path / "a.wav", (NOISY,))])
    monkeypatch.setattr(perturbation, "SNR_RANGE", (0.0, 20.0))
    assert cache.note([(tmp_path / "a.wav", (NOISY,))]) != before
    monkeypatch.setattr(mains_hum, "STEADY", 4.0)
    other = FeatureCache(cache.root, cache.extractor)
    assert other.note([(tmp_path / "a.wav", (FAST,))]) != cache.note([(tmp_path / "a.wav", (FAST,))])


def test_messages_and_objects_are_no_constants_and_order_does_not_matter() -> None:
    one, other = types.ModuleType("m"), types.ModuleType("m")
    vars(one).update(A=1, B={"x": (1, 2)}, HINT="do this", THING=object(), SET=frozenset("ab"))
    vars(other).update(SET=frozenset("ba"), HINT="do that", B={"x": (1, 2)}, A=1)
    assert constants_digest(one) == constants_digest(other)
    vars(other).update(B={"x": (1, 3)})
    assert constants_digest(one) != constants_digest(other)


# What the present versions make. A change that can be heard comes with another VERSION, and new values here.
VERSIONS = {"noise": 1, "psola": 1, "perturbation": 2}
MADE = {
    "silence": 0, "white": 50.3179, "pink": 51.2974, "brown": 52.1867, "room": 49.678, "hum": 55.6281,
    "clicks": 7.00805, "tone": 57.6619, "chord": 51.2849, "glide": 51.4264, "pulses": 57.6365, "mixed": 50.0043,
    "speed": 1675.56, "semitones": 1409.6, "in noise": 1885.14,
}  # fmt: skip


def summary(samples: np.ndarray) -> float:
    """A number that moves with any audible change, and not with rounding."""
    weights = np.cos(np.arange(len(samples)) * 0.37) + 2.0
    return float(np.dot(np.abs(samples.astype(np.float64)), weights))


def test_what_sounds_otherwise_has_another_version() -> None:
    versions = {"noise": noise.VERSION, "psola": psola.VERSION, "perturbation": perturbation.VERSION}
    assert (versions, made()) == (VERSIONS, pytest.approx(MADE, rel=1e-4)), "raise VERSION where the samples changed"


def made() -> dict[str, float]:
    time = np.arange(4000) / 16_000
    voice = sum(np.sin(2 * np.pi * 150.0 * k * time) / k for k in range(1, 8)).astype(np.float32) / 4
    found = {kind: summary(noise_clip(kind, 0.2, 7)) for kind in KINDS}
    found["speed"] = summary(perturb_speed(voice, 0.9))
    found["semitones"] = summary(psola.shift_semitones(voice, 3.0))
    found["in noise"] = summary(Perturbation(noise=2)(voice))
    return found
