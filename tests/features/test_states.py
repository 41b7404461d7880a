"""States of a pretrained encoder as a feature: where they are placed, what they are standardised by, what they are
keyed on."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.features.states import StatesExtractor, default_layers, on_clock
from echo_asr.features.voice import LEAST_SPREAD, Standard
from echo_asr.pretrained.source import find
from tests.helpers.encoders import LAYERS, WIDTH, tiny_whisper

pytest.importorskip("transformers")


def extractor(encoder: Path, **settings: object) -> FeatureExtractor:
    return FeatureExtractor(FeatureConfig(mels=8, tracker="autocorrelation", states=str(encoder), **settings))  # type: ignore[arg-type]


def voice(seconds: float = 0.63, seed: int = 0) -> np.ndarray:
    """Harmonics in noise `(S,)`."""
    rng, time = np.random.default_rng(seed), np.arange(int(seconds * 16_000)) / 16_000
    wave = sum(np.sin(2 * np.pi * 150.0 * k * time) / k for k in range(1, 8))
    return (0.1 * wave + 0.01 * rng.standard_normal(len(time))).astype(np.float32)


@given(
    hop=st.sampled_from([160, 320, 640]),
    first=st.sampled_from([0.0, 200.0, 280.0]),
    count=st.integers(1, 30),
    frames=st.integers(1, 80),
)
def test_a_state_arrives_at_the_time_it_is_centred_on(hop: int, first: float, count: int, frames: int) -> None:
    """numpy's interpolation between the centres, which keeps the first and last value outside them."""
    rng = np.random.default_rng([hop, count, frames])
    states = rng.standard_normal((3, count))
    found = on_clock(torch.from_numpy(states), frames, first, hop)
    centres, times = first + hop * np.arange(count), 160.0 * np.arange(frames)
    expected = np.stack([np.interp(times, centres, row) for row in states])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_a_click_comes_out_at_the_frame_where_it_was(encoder: Path) -> None:
    """The states that a click changes lie evenly around it."""
    extract = extractor(encoder, encoder_layers=(0,))
    for at in (0.2, 0.33, 0.5):
        samples = 1e-3 * np.random.default_rng(1).standard_normal(16_000).astype(np.float32)
        samples[-500] = 0.5  # the peak of both
        click = samples.copy()
        click[int(at * 16_000)] = 0.5
        before, after = (extract(one).states for one in (samples, click))
        assert before is not None and after is not None and before.shape[1] == 100
        change = (after.float() - before.float()).square().sum(0)
        centre = float((change * torch.arange(100)).sum() / change.sum())
        assert abs(centre / 100 - at) < 0.015


def test_standardising_is_by_the_mean_and_deviation_of_numpy() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(7.0, 3.0, (5, n)).astype(np.float32) for n in (4, 1, 30)]
    for part in parts:
        part[4] = 2.5  # a dimension that does not vary
    standard, joined = Standard.fit(map(torch.from_numpy, parts)), np.concatenate(parts, axis=1)
    np.testing.assert_allclose(standard.mean, joined.mean(1), rtol=1e-5)
    np.testing.assert_allclose(standard.deviation, np.maximum(joined.std(1), LEAST_SPREAD), rtol=1e-4)
    made = standard(torch.from_numpy(joined))
    np.testing.assert_allclose(made[:4].mean(1), np.zeros(4), atol=1e-5)
    np.testing.assert_allclose(made[:4].std(1, unbiased=False), np.ones(4), rtol=1e-4)
    assert made[4].abs().max() < 1e-2
    with pytest.raises(ValueError, match="at least one recording"):
        Standard.fit([])


def test_states_of_half_precision_are_standardised_in_single(encoder: Path) -> None:
    states = StatesExtractor(find(str(encoder)))
    states.standard = Standard(torch.full((2 * WIDTH,), 500.0), torch.full((2 * WIDTH,), 1e-3))
    raw = torch.full((2 * WIDTH, 4), 500.25).half()
    assert torch.equal(states.placed(raw, 8, states.standard), torch.full((2 * WIDTH, 8), 250.0).half())


def test_layers_are_read_in_the_order_in_which_they_are_named(encoder: Path) -> None:
    source, samples = find(str(encoder)), torch.from_numpy(voice())
    one, other, both, default = (
        StatesExtractor(source, layers)(samples) for layers in ((LAYERS,), (1,), (LAYERS, 1), ())
    )
    assert one.shape == (WIDTH, 32) and one.dtype == torch.half and one.is_contiguous()
    assert torch.equal(both, torch.cat((one, other)))
    assert torch.equal(default, StatesExtractor(source, default_layers(LAYERS))(samples))
    with pytest.raises(EchoError, match=f"features.encoder_layers: .* has layers 0 to {LAYERS}, not {LAYERS + 1}"):
        _ = StatesExtractor(source, (1, LAYERS + 1)).encoder


def test_each_state_of_each_layer_has_mean_0_and_variance_1_however_large(encoder: Path) -> None:
    states = StatesExtractor(find(str(encoder)), (0, 2))
    with torch.no_grad():
        states.encoder.network.get_parameter("conv2.bias").add_(torch.linspace(0, 1e6, WIDTH))
    found = states(torch.from_numpy(voice())).float().unflatten(0, (2, WIDTH))
    assert found.mean(1).abs().max() < 1e-3
    assert torch.allclose(found.var(1, correction=0), torch.ones(2, found.shape[2]), atol=2e-3)


def test_the_key_names_weights_and_layers(encoder: Path, tmp_path: Path) -> None:
    source, other = find(str(encoder)), find(str(tiny_whisper(tmp_path / "other", encoder_ffn_dim=40)))
    keys = [StatesExtractor(source, layers).key for layers in ((), (1,), (2,), (1, 2), (2, 1))]
    assert len(set(keys)) == 5 and StatesExtractor(other).key not in keys
    assert StatesExtractor(source, default_layers(LAYERS)).key == keys[0], "the default by its numbers"
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in encoder.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    assert StatesExtractor(find(str(moved))).key == keys[0], "not where the weights lie"


def test_acoustic_features_have_the_same_key_with_and_without_an_encoder(encoder: Path) -> None:
    without = FeatureExtractor(FeatureConfig(mels=8, tracker="autocorrelation"))
    assert extractor(encoder).key == extractor(encoder, encoder_layers=(1,)).key == without.key


def test_building_the_encoder_draws_no_random_numbers(encoder: Path) -> None:
    """Else a run that finds its states in the cache would not be the run that computes them."""
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    _ = StatesExtractor(find(str(encoder))).encoder
    assert torch.equal(torch.rand(1), expected)


def test_it_is_pickled_without_the_encoder_and_gives_the_same(encoder: Path) -> None:
    extract, samples = extractor(encoder), voice()
    before = extract.measure(samples).states
    sent = pickle.dumps(extract)
    assert len(sent) < 50_000, "each process builds its own"
    after = pickle.loads(sent).measure(samples).states
    assert before is not None and torch.equal(before, after)


def test_the_level_of_a_recording_makes_no_difference(encoder: Path) -> None:
    extract, samples = extractor(encoder), voice()
    one, other = extract.measure(samples).states, extract.measure(0.125 * samples).states
    assert one is not None and other is not None and torch.equal(one, other)


def test_a_segment_is_scaled_by_no_more_than_the_level_around_it_allows(encoder: Path) -> None:
    """Noise between sentences is not encoded as if it were as loud as they are."""
    extract = extractor(encoder, encoder_layers=(0,))
    noise = 1e-3 * np.random.default_rng(0).standard_normal(8_000).astype(np.float32)  # a peak of about -48 dB
    states = {level: extract.measure(noise, level).states for level in (-np.inf, -60.0, 0.0)}
    alone, as_loud, quiet = states.values()
    assert alone is not None and as_loud is not None and quiet is not None
    assert torch.equal(alone, as_loud)
    assert not torch.allclose(alone.float(), quiet.float(), atol=0.05)


@pytest.mark.parametrize("samples", [np.zeros(5_000, np.float32), np.full(5_000, 1e-5, np.float32), np.zeros(1)])
def test_silence_has_states_of_its_length(samples: np.ndarray, encoder: Path) -> None:
    extract = extractor(encoder)
    features = extract(samples.astype(np.float32))
    assert features.states is not None and features.states.shape == (2 * WIDTH, features.frames)
    assert bool(features.states.isfinite().all()) and bool(features.null.all())
    zeros = extract(np.zeros(len(samples), np.float32)).states
    assert torch.equal(features.states, zeros), "whatever is in it"


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 320, 321, 4_000])
def test_every_frame_of_a_recording_of_any_length_has_a_state(samples: int, encoder: Path) -> None:
    features = extractor(encoder)(voice(1.0)[:samples])
    assert features.states is not None and features.states.shape == (2 * WIDTH, features.frames)
    assert features.states.dtype == torch.half


@pytest.mark.parametrize("on_gpu", [False, True])
def test_recordings_together_have_the_features_of_each(
    on_gpu: bool, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit on a CPU; the states but for rounding where they are encoded together."""
    monkeypatch.setattr(StatesExtractor, "on_gpu", on_gpu)
    extract, clips = extractor(encoder), [voice(0.4, 1), np.zeros(3_000, np.float32), voice(0.63), voice(0.5, 2)]
    levels = [-20.0, -30.0, -40.0, -20.0]
    for found, one, level in zip(extract.measure_batch(clips, levels), clips, levels, strict=True):
        alone = extract.measure(one, level)
        assert found.states is not None and alone.states is not None
        assert torch.equal(found.spectrogram, alone.spectrogram) and torch.equal(found.pitch, alone.pitch)
        assert torch.allclose(found.states.float(), alone.states.float(), atol=0.01 * on_gpu, rtol=0.01 * on_gpu)
    assert extract.measure_batch([]) == []
