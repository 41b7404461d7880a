"""Encoders with wav2vec 2.0's convolutions, beside transformers' own forward on the same weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from tests.helpers.encoders import BASE, extracted, hubert, omniasr, wav2vec2, wavlm

pytest.importorskip("transformers")

from echo_asr.pretrained import build
from echo_asr.pretrained.wav2vec2 import Wav2Vec2Encoder
from echo_asr.storage import pack, unpack

EVERY = (0, 1, 2, 3)  # states of the tiny encoders
MODELS: dict[str, Callable[[Path], Path]] = {
    "wav2vec 2.0 base": lambda folder: wav2vec2(folder, **BASE),
    "XLS-R": wav2vec2,
    "MMS with adapters of a language": lambda folder: wav2vec2(folder, adapter_attn_dim=4),
    "layer norm in the front end alone": lambda folder: wav2vec2(folder, do_stable_layer_norm=False),
    "group norm and stable layer norm": lambda folder: wav2vec2(folder, feat_extract_norm="group"),
    "HuBERT base": lambda folder: hubert(folder, **BASE),
    "HuBERT large": hubert,
    "mHuBERT-147": lambda folder: hubert(folder, **BASE, conv_pos_batch_norm=True),
    "HuBERT without norm before the projection": lambda folder: hubert(folder, feat_proj_layer_norm=False),
    "WavLM base": lambda folder: wavlm(folder, **BASE),
    "WavLM large": wavlm,
    "Omnilingual ASR": omniasr,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Wav2Vec2Encoder]:
    """The encoder of each model, by name; tests get a copy."""
    kept: dict[str, Any] = {}

    def make(name: str) -> Wav2Vec2Encoder:
        if name not in kept:
            kept[name] = build(MODELS[name](tmp_path_factory.mktemp("model")))
        encoder = copy.deepcopy(kept[name])
        assert isinstance(encoder, Wav2Vec2Encoder)
        return encoder

    return make


@pytest.fixture(params=MODELS)
def encoder(request: pytest.FixtureRequest, made: Callable[[str], Wav2Vec2Encoder]) -> Wav2Vec2Encoder:
    return made(request.param)


def recordings(*lengths: int) -> tuple[Tensor, Tensor]:
    """Noise with an offset, `(B, S)`, zero beyond each of the lengths, and those."""
    samples = 0.1 * torch.randn(len(lengths), max(lengths), generator=torch.Generator().manual_seed(5)) + 0.02
    for recording, length in zip(samples, lengths, strict=True):
        recording[length:] = 0.0
    return samples, torch.tensor(lengths)


@torch.no_grad()
def theirs(encoder: Wav2Vec2Encoder, samples: Tensor) -> list[Tensor]:
    """transformers' states of one recording; the last is what its encoder gives out."""
    network: Any = encoder.network
    values = encoder.normalise(samples, torch.tensor([samples.shape[1]])).to(next(network.parameters()).dtype)
    found = network(values[:, None] if hasattr(network, "subsampling") else values, output_hidden_states=True)
    return [*found.hidden_states[:-1], found.last_hidden_state]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_states_are_those_of_transformers_to_the_bit(encoder: Wav2Vec2Encoder, dtype: torch.dtype) -> None:
    encoder.to(dtype)
    samples, lengths = recordings(7321)
    for found, expected in zip(encoder.states(samples, lengths, EVERY), theirs(encoder, samples), strict=True):
        assert found.dtype == dtype
        assert torch.equal(found, expected)


@torch.no_grad()
def test_a_recording_has_the_same_states_padded_and_alone(encoder: Wav2Vec2Encoder) -> None:
    samples, lengths = recordings(5000, 9007, 90, 400)
    together = encoder.states(pad(samples, (0, 1500)), lengths, EVERY)
    for index, (length, count) in enumerate(zip(lengths.tolist(), encoder.count(lengths).tolist(), strict=True)):
        alone = encoder.states(samples[index : index + 1, :length], lengths[index : index + 1], EVERY)
        for one, found in zip(alone, together, strict=True):
            torch.testing.assert_close(found[index, :count], one[0], atol=1e-5, rtol=1e-5)


def test_group_norm_alone_has_statistics_over_time(made: Callable[[str], Wav2Vec2Encoder]) -> None:
    assert not made("HuBERT base").batched
    assert made("XLS-R").batched
    assert made("Omnilingual ASR").batched


def test_training_draws_nothing_at_random_and_gradients_reach_all(encoder: Wav2Vec2Encoder) -> None:
    samples, lengths = recordings(4000, 2500)
    (expected,) = encoder.states(samples, lengths, (3,))
    encoder.train().requires_grad_(True)
    samples.requires_grad_()
    found, again = (encoder.states(samples, lengths, (3,))[0] for _ in range(2))
    assert torch.equal(found, again)
    torch.testing.assert_close(found.detach(), expected, rtol=1e-5, atol=1e-5)  # other kernels may compute a gradient
    found[:, 2:5].square().sum().backward()
    assert [name for name, tensor in encoder.named_parameters() if tensor.grad is None] == []
    assert samples.grad is not None
    assert samples.grad.isfinite().all()
    assert samples.grad[0, 1000] != 0.0
    assert not samples.grad[1, 2500:].any()


@pytest.mark.parametrize("make", [wav2vec2, omniasr])
def test_samples_are_normalised_as_by_the_feature_extractor(make: Callable[..., Path], tmp_path: Path) -> None:
    samples, lengths = recordings(900, 1600, 7)
    samples[0] *= 1e-2  # where what is added to the variance counts
    for do_normalize in (True, False):
        encoder: Any = build(folder := make(tmp_path / str(do_normalize), do_normalize))
        found = encoder.normalise(samples, lengths)
        for index, length in enumerate(lengths.tolist()):
            expected = extracted(folder, samples[index, :length]).flatten()
            torch.testing.assert_close(found[index, :length], expected, atol=1e-5, rtol=1e-5)
            assert not found[index, length:].any()


@torch.no_grad()
def test_count_is_that_of_the_convolutions_from_one_sample_to_five_seconds(
    made: Callable[[str], Wav2Vec2Encoder],
) -> None:
    every = torch.arange(1, 80_001)
    expected = torch.div(every.clamp(min=400) - 400, 320, rounding_mode="floor") + 1
    assert torch.equal(made("XLS-R").count(every), expected)


@torch.no_grad()
def test_a_recording_shorter_than_a_window_is_followed_by_zeros(made: Callable[[str], Wav2Vec2Encoder]) -> None:
    encoder = made("XLS-R")
    samples, lengths = recordings(150)
    found = encoder.states(samples, lengths, EVERY)
    padded = pad(encoder.normalise(samples, lengths), (0, 250))
    encoder.normalised = False
    for one, expected in zip(found, encoder.states(padded, torch.tensor([400]), EVERY), strict=True):
        assert torch.equal(one, expected)


@pytest.mark.parametrize("name", ["XLS-R", "wav2vec 2.0 base", "Omnilingual ASR"])
@torch.no_grad()
def test_a_click_comes_out_of_the_convolutions_where_it_is(name: str, made: Callable[[str], Wav2Vec2Encoder]) -> None:
    """The mean time of clicks that change a state, weighted by how much, is the state's."""
    encoder = made(name)
    assert (encoder.hop, encoder.first) == (320, 200)
    number, clicks = 4, torch.arange(1000, 2000, 20)
    noise = recordings(3000)[0]
    clicked = noise.repeat(len(clicks), 1)
    clicked[torch.arange(len(clicks)), clicks] += 1.0
    change = encoder.convolve(clicked, torch.full((len(clicks),), 3000)) - encoder.convolve(noise, torch.tensor([3000]))
    weight = change[:, number].square().sum(1)
    weight = weight - weight.median()  # by group norm each click changes every state a little
    centre = float((weight * clicks).sum() / weight.sum())
    assert abs(centre - (encoder.first + number * encoder.hop)) < 0.005 * 16_000


def test_the_clock_follows_the_convolutions_of_the_configuration(tmp_path: Path) -> None:
    convolutions = {"conv_dim": (8, 8), "conv_kernel": (10, 4), "conv_stride": (5, 4)}
    encoder = build(wav2vec2(tmp_path, **convolutions))
    assert (encoder.hop, encoder.first) == (20, 12.5)  # windows of 25 samples
    samples, lengths = recordings(1000)
    assert encoder.states(samples, lengths, (0,))[0].shape[1] == encoder.count(lengths) == 49


@pytest.mark.filterwarnings("error")
def test_padding_in_wavlm_brings_no_warning(tmp_path: Path) -> None:
    encoder = build(wavlm(tmp_path))
    samples, lengths = recordings(4000, 2000)
    encoder.states(samples, lengths, (3,))


@torch.no_grad()
def test_names_of_older_files_and_parts_that_states_do_not_need(tmp_path: Path) -> None:
    folder = wav2vec2(tmp_path, mask_time_prob=0.05)
    samples, lengths = recordings(3000)
    expected = build(folder).states(samples, lengths, EVERY)
    file = folder / "model.safetensors"
    for first, second in (("weight_g", "weight_v"), *[(f"parametrizations.weight.original{i}" for i in (0, 1))]):
        tensors = unpack(file.read_bytes())
        names = {"weight_g": first, "original0": first, "weight_v": second, "original1": second}
        renamed = {}
        for name, tensor in tensors.items():
            path, _, last = name.replace(".parametrizations.weight", "").rpartition(".")
            renamed[f"{path}.{names.get(last, last)}"] = tensor
        renamed.pop("wav2vec2.masked_spec_embed", None)
        file.write_bytes(pack(renamed))
        for found, own in zip(build(folder).states(samples, lengths, EVERY), expected, strict=True):
            assert torch.equal(found, own)
