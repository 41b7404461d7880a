from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echo_asr.errors import EchoError
from echo_asr.features import FeatureBatch, FeatureConfig, FeatureExtractor, collate_features
from echo_asr.features.voice import Standard
from echo_asr.model.config import ModelConfig
from echo_asr.model.echo import Echo
from echo_asr.model.tuned import TunedEncoder, pitch_at_states
from echo_asr.pretrained import build
from tests.helpers import encoders
from tests.helpers.encoders import wav2vec2, whisper

READ, WIDTH = (2, 3), 32  # layers, and values in a state of one
SAMPLES = (16_000, 9_001, 30_200, 333)  # of the recordings
OF_STATES = {"features": ("states",), "ctc_feature": "states", "states_layers": 1}
Cached = tuple[FeatureBatch, Standard]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def cached(folder: Path) -> Cached:
    """Recordings with their states computed beforehand, and what these are standardised by."""
    settings: dict[str, Any] = {"mels": 8, "tracker": "autocorrelation", "waveform": True, "encoder_layers": READ}
    extractor = FeatureExtractor(FeatureConfig(states=str(folder), **settings))
    assert extractor.states is not None
    draw = np.random.default_rng(0)
    measured = [extractor.measure((0.2 * draw.standard_normal(size)).astype(np.float32)) for size in SAMPLES]
    standard = extractor.states.standard = Standard.fit(one.states for one in measured if one.states is not None)
    return collate_features([extractor.transformed(one) for one in measured]), standard


@pytest.fixture
def make(folder: Path, cached: Cached, make_config: Callable[..., ModelConfig]) -> Callable[..., Echo]:
    """`(tune, **options)`: a model with the encoder in it; without `tune` one that reads cached states."""

    def made(tune: str = "", **options: Any) -> Echo:
        config = make_config(**OF_STATES, tune=tune or "none", **options)
        encoder = build(folder) if tune else None
        torch.manual_seed(0)
        model = Echo(config, 5, 8, WIDTH * len(READ), encoder, READ)
        model.standardise_by(cached[1])
        return model.eval()

    return made


@pytest.mark.parametrize("stop", ["token", "both"])
@pytest.mark.parametrize("tune", ["none", "lora", "top", "all"])
def test_before_any_update_it_is_the_model_of_cached_states(
    tune: str, stop: str, make: Callable[..., Echo], cached: Cached
) -> None:
    """But for the half precision of those."""
    tokens = torch.tensor([[1, 2]] * len(SAMPLES))
    without = replace(cached[0], states=None)
    with torch.no_grad():
        expected = make(stop=stop)(cached[0], tokens)
        found = make(tune, stop=stop)(without, tokens)
    assert 0.0 < float((found - expected).abs().max()) < 0.01 * float(expected.std())


def test_states_of_a_recording_do_not_depend_on_the_others(
    make: Callable[..., Echo], cached: Cached, cut: Callable[[FeatureBatch, int], FeatureBatch]
) -> None:
    model, batch = make("none"), cached[0]
    assert model.pretrained is not None
    with torch.no_grad():
        together = model.pretrained(batch, cached[1])
        for row, length in enumerate(batch.lengths.tolist()):
            own = cut(batch, row)
            alone = model.pretrained(own, cached[1])
            assert torch.allclose(together[row, :, :length], alone[0], atol=1e-4)
            assert not together[row, :, length:].any()


def test_only_what_is_trained_is_saved(make: Callable[..., Echo]) -> None:
    names = set(make().state_dict())
    assert set(make("none").state_dict()) == names
    tuned = make("lora")
    more = set(tuned.state_dict()) - names
    assert more == {n for n, p in tuned.named_parameters() if n.startswith("pretrained.") and p.requires_grad}
    assert len(more) == 3 * 12 and all(".lora_" in name for name in more)
    assert tuned.parameter_count == make().parameter_count + sum(tuned.state_dict()[name].numel() for name in more)


def test_the_encoder_draws_nothing_at_random_while_it_is_trained(make: Callable[..., Echo], cached: Cached) -> None:
    model, batch = make("top").train(), cached[0]
    assert model.training and model.pretrained is not None and not model.pretrained.encoder.network.training
    first, second = (model.pretrained(batch, cached[1]) for _ in range(2))
    assert torch.equal(first, second) and first.requires_grad


def test_on_a_cpu_it_computes_in_float32(
    cached: Cached, tmp_path: Path, make_config: Callable[..., ModelConfig]
) -> None:
    """Where grouped convolutions in bfloat16, as wav2vec 2.0 has them, are wrong on some."""
    model, batch = TunedEncoder(build(wav2vec2(tmp_path)), READ, make_config(**OF_STATES, tune="top")), cached[0]
    expected = model(batch, cached[1])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(batch, cached[1]), expected)


def train_adapters(encoder: TunedEncoder) -> None:
    """Adapters away from their start."""
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in encoder.added:
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=random))


def voiced(batch: FeatureBatch, seed: int = 0) -> FeatureBatch:
    """The batch with a pitch that is drawn at random, half of it measured."""
    f0, periodicity = torch.rand(2, *batch.track.shape, generator=torch.Generator().manual_seed(seed))
    f0, heard = (100.0 * 3.0**f0).masked_fill(batch.padding, 220.0), (periodicity > 0.5) & ~batch.padding
    pitch = torch.stack((f0 * heard, batch.pitch[:, 1], periodicity.masked_fill(batch.padding, 0.0)), dim=1)
    return replace(batch, track=f0, voicing=heard.float(), pitch=pitch)


@pytest.mark.parametrize("tune", ["none", "lora", "top"])
def test_adapters_change_nothing_before_any_update(tune: str, make: Callable[..., Echo], cached: Cached) -> None:
    tokens, batch = torch.tensor([[1, 2]] * len(SAMPLES)), voiced(replace(cached[0], states=None))
    with torch.no_grad():
        assert torch.equal(make(tune, adapters=True)(batch, tokens), make(tune)(batch, tokens))


@pytest.mark.parametrize("reference", ["fixed", "utterance", "speaker"])
def test_adapters_read_the_pitch_of_each_recording(
    reference: str, make: Callable[..., Echo], cached: Cached, cut: Callable[[FeatureBatch, int], FeatureBatch]
) -> None:
    """Relative to what it is relative to in Echo's own layers: a higher voice is the same, but under `fixed`."""
    model, batch = make("none", adapters=True, vrope={"reference": reference}), voiced(cached[0])
    assert model.pretrained is not None
    train_adapters(model.pretrained)
    higher = replace(batch, track=1.5 * batch.track)
    with torch.no_grad():
        together, others = (model.pretrained(one, cached[1]) for one in (batch, voiced(cached[0], seed=1)))
        for row, length in enumerate(batch.lengths.tolist()):
            alone = model.pretrained(cut(batch, row), cached[1])
            assert torch.allclose(together[row, :, :length], alone[0], atol=1e-3)
        assert (together - others).abs().mean() > 0.01
        moved = (together - model.pretrained(higher, cached[1])).abs().max()
    assert (moved < 1e-3) == (reference != "fixed")


FAMILIES = ["wav2vec2", "hubert", "wavlm", "omniasr", "moonshine", "w2v_bert", "parakeet"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_adapters(
    family: str, cached: Cached, tmp_path: Path, make_config: Callable[..., ModelConfig]
) -> None:
    folder, batch = getattr(encoders, family)(tmp_path), voiced(cached[0])
    plain = TunedEncoder(build(folder), READ, make_config(**OF_STATES))
    model = TunedEncoder(build(folder), READ, make_config(**OF_STATES, adapters=True))
    with torch.no_grad():
        expected = plain(batch, cached[1])
        assert torch.equal(model(batch, cached[1]), expected)
    train_adapters(model)
    model.recompute()
    found = model(batch, cached[1])
    assert (found - expected).abs().mean() > 0.01 and found.isfinite().all()
    (found * torch.randn(found.shape)).sum().backward()
    assert len(model.added) == 7 and all(p.grad is not None and p.grad.any() for p in model.added)


@pytest.mark.parametrize(("first", "hop"), [(0, 160), (0, 320), (200, 320), (447, 384), (0, 1280)])
def test_pitch_at_states_is_that_around_their_centres(first: float, hop: int, cached: Cached) -> None:
    """Against a plain sum over all frames."""
    batch = voiced(cached[0])
    counts = (batch.lengths * 160 - 1 - first).clamp(min=0).div(hop, rounding_mode="floor") + 1
    track, periodicity = pitch_at_states(batch, first, hop, counts)
    assert track.f0.shape == (len(SAMPLES), int(counts.max())) and track.step == hop / 160
    for row, state in ((0, 0), (0, 4), (1, int(counts[1]) - 2), (2, 5)):
        frames = range(int(batch.lengths[row]))
        weights = [max(0.0, 1.0 - abs(160 * t - first - hop * state) / hop) for t in frames]
        heard = [w * float(batch.voicing[row, t]) for t, w in enumerate(weights)]
        shares = heard if sum(heard) else weights

        def mean(values: torch.Tensor, weights: list[float] = weights) -> float:
            return sum(w * float(values[t]) for t, w in enumerate(weights)) / sum(weights)

        assert float(track.f0[row, state].log()) == pytest.approx(mean(batch.track[row].log(), shares), abs=1e-5)
        assert float(track.voicing[row, state]) == pytest.approx(mean(batch.voicing[row]), abs=1e-5)
        assert float(track.energy[row, state]) == pytest.approx(mean(batch.energy[row]), abs=1e-5)
        assert float(periodicity[row, state]) == pytest.approx(mean(batch.pitch[row, 2]), abs=1e-5)
        assert bool(track.null[row, state]) == (mean(batch.null[row].float()) > 1.0 - 1e-9)
    assert torch.equal(track.padding.sum(1), counts.max() - counts) and bool((track.f0 > 0).all())
    assert hop > 160 or torch.allclose(track.f0[~batch.padding], batch.track[~batch.padding])


def test_while_it_is_held_it_runs_without_gradients(make: Callable[..., Echo], cached: Cached) -> None:
    model, texts = make("lora").train(), (torch.tensor([[1, 2]] * len(SAMPLES)), torch.tensor([2] * len(SAMPLES)))
    assert model.pretrained is not None
    model.pretrained.held = True
    model.loss(replace(cached[0], states=None), *texts).total.backward()
    learnt = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert "encoders" in learnt and "pretrained" not in learnt


def test_it_needs_the_waveform(make: Callable[..., Echo], cached: Cached) -> None:
    with pytest.raises(ValueError, match="the batch holds no waveform; extract features with FeatureConf"):
        make("none").encode(replace(cached[0], waveform=None))


def test_adapters_are_saved_beside_what_is_trained(make: Callable[..., Echo]) -> None:
    layers = [f"pretrained.encoder.network.layers.{number}" for number in range(3)]
    names = {f"{layer}.self_attn.pitch_turns.{scale}" for layer in layers for scale in ("score", "value")}
    more = {f"{layers[0]}.pitch_input.weight", *names}
    for tune in ("none", "lora"):
        assert set(make(tune, adapters=True).state_dict()) - set(make(tune).state_dict()) == more
    model = make("none", adapters=True)
    assert model.parameter_count == make().parameter_count + 4 * WIDTH + 3 * 2 * 2
    assert model.pretrained is not None and not any(model.pretrained.trained)


def test_adapters_need_states_and_a_layer(make_config: Callable[..., ModelConfig], folder: Path) -> None:
    with pytest.raises(ValueError, match="model.adapters needs states among model.features"):
        make_config(adapters=True)
    with pytest.raises(EchoError, match="model.adapters: .* none is read; read higher ones"):
        TunedEncoder(build(folder), (0,), make_config(**OF_STATES, adapters=True))


def test_tuning_needs_states(make_config: Callable[..., ModelConfig]) -> None:
    with pytest.raises(ValueError, match="model.tune lora needs states among model.features"):
        make_config(tune="lora")
    with pytest.raises(ValueError, match="model.lora_rank must be at least 1, got 0"):
        make_config(**OF_STATES, lora_rank=0)
