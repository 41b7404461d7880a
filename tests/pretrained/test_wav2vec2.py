"""Encoders with wav2vec 2.0's convolutions, beside transformers' own forward on the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers")

from echo_asr.pretrained import build
from echo_asr.pretrained.wav2vec2 import Wav2Vec2Encoder
from echo_asr.storage import pack
from tests.helpers.encoders import LAYERS, hubert, omniasr, recordings, wav2vec2, wavlm

Make = Callable[[], Wav2Vec2Encoder]
BASE = {"norm": "group", "stable": False}
MODELS: dict[str, Make] = {
    "wav2vec 2.0 base": lambda: wav2vec2(**BASE),
    "XLS-R": wav2vec2,
    "MMS with its adapters": lambda: wav2vec2(adapter_attn_dim=4),
    "layer norm, not stable": lambda: wav2vec2(stable=False),
    "HuBERT base": lambda: hubert(**BASE),
    "HuBERT large": hubert,
    "mHuBERT-147": lambda: hubert(**BASE, conv_pos_batch_norm=True),
    "HuBERT without norm before its projection": lambda: hubert(feat_proj_layer_norm=False),
    "WavLM base": lambda: wavlm(**BASE),
    "WavLM large": wavlm,
    "Omnilingual ASR": omniasr,
}
EVERY = tuple(range(LAYERS + 1))
each = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def theirs(encoder: Wav2Vec2Encoder, samples: Tensor) -> list[Tensor]:
    """transformers' states of one recording; the last is what its encoder gives out."""
    network: Any = encoder.network
    values = encoder.normalise(samples, torch.tensor([samples.shape[1]]))
    if hasattr(network, "subsampling"):
        values = values[:, None]
    values = values.to(next(network.parameters()).dtype)
    found = network(values, output_hidden_states=True)
    return [*found.hidden_states[:-1], found.last_hidden_state]


@each
@torch.no_grad()
def test_states_are_those_of_transformers_to_the_bit(make: Make) -> None:
    encoder = make()
    samples, lengths = recordings(7321)
    for found, expected in zip(encoder.states(samples, lengths, EVERY), theirs(encoder, samples), strict=True):
        assert torch.equal(found, expected)
    assert encoder.count(lengths).tolist() == [found.shape[1]]


@each
@torch.no_grad()
def test_a_recording_has_the_same_states_padded_and_alone(make: Make) -> None:
    encoder = make()
    samples, lengths = recordings(5000, 9007, 90, 400)
    samples = torch.nn.functional.pad(samples, (0, 1500))
    together = encoder.states(samples, lengths, EVERY)
    for index, (length, count) in enumerate(zip(lengths.tolist(), encoder.count(lengths).tolist(), strict=True)):
        alone = encoder.states(samples[index : index + 1, :length], lengths[index : index + 1], EVERY)
        for one, all_of_them in zip(alone, together, strict=True):
            assert float((all_of_them[index, :count] - one[0]).abs().max()) < 1e-5 * float(one.abs().max())


@each
@torch.no_grad()
def test_wanted_layers_come_in_their_order_and_no_layer_above_them_runs(make: Make) -> None:
    encoder = make()
    samples, lengths = recordings(3000)
    states = encoder.states(samples, lengths, EVERY)
    for layer in encoder._layers()[2:]:
        layer.forward = None
    for wanted in ((0,), (2, 0), (1, 1)):
        for number, found in zip(wanted, encoder.states(samples, lengths, wanted), strict=True):
            assert torch.equal(found, states[number])


@each
def test_training_draws_nothing_at_random_and_gradients_reach_every_tensor_and_the_samples(make: Make) -> None:
    encoder = make()
    samples, lengths = recordings(4000, 2500)
    with torch.no_grad():
        (expected,) = encoder.states(samples, lengths, (LAYERS,))
    encoder.train()
    samples.requires_grad_(True)
    (found,) = encoder.states(samples, lengths, (LAYERS,))
    assert torch.equal(found.detach(), expected)
    found[:, 2:5].square().sum().backward()
    without = [name for name, tensor in encoder.named_parameters() if tensor.grad is None]
    assert without in ([], ["network.masked_spec_embed"])
    assert samples.grad is not None and bool(samples.grad.isfinite().all()) and bool(samples.grad[0, 1000] != 0.0)
    assert not samples.grad[1, 2500:].any()


@pytest.mark.parametrize("make", [MODELS[name] for name in ("wav2vec 2.0 base", "WavLM large", "Omnilingual ASR")])
def test_gradient_checkpointing_changes_no_gradient(make: Make) -> None:
    gradients = []
    for checkpointed in (False, True):
        encoder = make().train()
        network: Any = encoder.network
        if checkpointed:
            network.activation_checkpointing_enable()
        samples, lengths = recordings(4000, 2500)
        encoder.states(samples, lengths, (LAYERS,))[0][:, 2:5].square().sum().backward()
        gradients.append([tensor.grad for layer in encoder._layers() for tensor in layer.parameters()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again)


@pytest.mark.parametrize("make", [wav2vec2, omniasr])
def test_samples_are_normalised_as_the_feature_extractor_does(make: Callable[..., Wav2Vec2Encoder]) -> None:
    from transformers import OmniASRFeatureExtractor, Wav2Vec2FeatureExtractor

    samples, lengths = recordings(900, 1600, 1)
    samples[0] *= 1e-3  # where what is added to the variance counts
    alone = [samples[index, :length].numpy() for index, length in enumerate(lengths)]
    theirs = OmniASRFeatureExtractor if make is omniasr else Wav2Vec2FeatureExtractor
    values = theirs()(alone, sampling_rate=16_000, padding=True, return_attention_mask=True, return_tensors="pt")
    expected = values["input_values"].reshape(3, -1)
    torch.testing.assert_close(make().normalise(samples, lengths), expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(make(do_normalize=False).normalise(samples, lengths), samples)


def test_a_silent_recording_has_states() -> None:
    samples, lengths = torch.zeros(1, 1000, requires_grad=True), torch.tensor([1000])
    (found,) = wav2vec2().states(samples, lengths, (LAYERS,))
    found.sum().backward()
    assert bool(found.isfinite().all()) and samples.grad is not None and bool(samples.grad.isfinite().all())


@torch.no_grad()
def test_count_is_that_of_the_convolutions_from_one_sample_to_five_seconds() -> None:
    encoder = wav2vec2()
    every = torch.arange(1, 80_001)
    window = every.clamp(min=400)
    assert torch.equal(encoder.count(every), torch.div(window - 400, 320, rounding_mode="floor") + 1)
    for size in (1, 399, 400, 719, 720, 1040, 16_000):
        samples, lengths = recordings(size)
        assert encoder.states(samples, lengths, (0,))[0].shape[1] == encoder.count(lengths)


@torch.no_grad()
def test_a_recording_shorter_than_a_window_is_followed_by_zeros() -> None:
    encoder = wav2vec2()
    samples, lengths = recordings(150)
    padded = torch.nn.functional.pad(encoder.normalise(samples, lengths), (0, 250))
    encoder.normalised = False
    (expected,) = encoder.states(padded, torch.tensor([400]), (LAYERS,))
    encoder.normalised = True
    assert torch.equal(encoder.states(samples, lengths, (LAYERS,))[0], expected)


@pytest.mark.parametrize(
    "make", [wav2vec2, lambda **how: wav2vec2(**BASE, **how), omniasr], ids=["layer", "group", "omni"]
)
@torch.no_grad()
def test_the_clock_places_a_click_where_it_is(make: Callable[..., Wav2Vec2Encoder]) -> None:
    """A state changes by clicks around its centre: their mean time, weighted by the change, is its time."""
    encoder = make(do_normalize=False)
    assert (encoder.hop, encoder.first) == (320, 200)
    number = 4
    clicks = torch.arange(900, 2100, 12)
    noise = 0.05 * torch.randn(1, 3000, generator=torch.Generator().manual_seed(1))
    clicked = noise.repeat(len(clicks), 1)
    clicked[torch.arange(len(clicks)), clicks] += 1.0
    lengths = torch.full((len(clicks),), 3000)
    change = encoder.convolve(clicked, lengths) - encoder.convolve(noise, lengths[:1])
    weight = change[:, number].square().sum(1)
    weight = weight - weight.median()  # group norm hears each click in every state, a little
    centre = float((weight * clicks).sum() / weight.sum())
    assert abs(centre - (encoder.first + number * encoder.hop)) < 0.005 * 16_000


@torch.no_grad()
def test_the_clock_follows_the_convolutions_of_the_configuration() -> None:
    encoder = wav2vec2(conv_dim=(8, 8), conv_kernel=(10, 4), conv_stride=(5, 4))
    assert (encoder.hop, encoder.window, encoder.first) == (20, 25, 12.5)


@each
@torch.no_grad()
def test_bfloat16_states_are_those_of_transformers(make: Make) -> None:
    encoder = make().bfloat16()
    samples, lengths = recordings(4000)
    (found,) = encoder.states(samples, lengths, (LAYERS,))
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, theirs(encoder, samples)[LAYERS])


PREFIXES = {
    "wav2vec 2.0 base": "wav2vec2.",
    "mHuBERT-147": "hubert.",
    "WavLM base": "wavlm.",
    "Omnilingual ASR": "model.audio_tower.",
}
OLDER = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}


def older(name: str) -> str:
    """The name of a tensor in files that older versions of transformers have written."""
    for today, before in OLDER.items():
        name = name.replace(today, before)
    return name


@pytest.mark.parametrize("name", PREFIXES)
@torch.no_grad()
def test_a_folder_of_transformers_is_built(name: str, tmp_path: Path) -> None:
    from transformers import OmniASRCTCConfig

    encoder = MODELS[name]()
    encoder.normalised = False
    network: Any = encoder.network
    config = network.config
    if name == "Omnilingual ASR":
        config = OmniASRCTCConfig(audio_config=config.to_dict(), initializer_range=config.initializer_range)
    config.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": false}')
    tensors = {PREFIXES[name] + older(key): value for key, value in network.state_dict().items()}
    tensors.pop("wav2vec2.masked_spec_embed", None)  # not all files have it, and states do not need it
    tensors["lm_head.weight"] = torch.zeros(2)
    (tmp_path / "model.safetensors").write_bytes(pack(tensors))
    built = build(tmp_path)
    assert type(built) is type(encoder)
    samples, lengths = recordings(3000)
    expected = encoder.states(samples, lengths, EVERY)
    for found, own in zip(built.states(samples, lengths, EVERY), expected, strict=True):
        assert torch.equal(found, own)
