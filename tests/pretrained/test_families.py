"""What holds for the encoders of every family: states by number, padding, lengths, the clock, gradients, precision."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from echo_asr.pretrained import SpeechEncoder, build
from tests.helpers.encoders import FAMILIES
from tests.helpers.voices import syllables, voice

pytest.importorskip("transformers")

RATE = 16_000
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
SHORT = (1, 2, 159, 160, 161, 319, 320, 399, 400, 401, 559, 560, 719, 720, 894, 895, 896, 1278, 1279, 1280, 1600, 2561)


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SpeechEncoder:
    """An encoder of each family; a test that changes it takes a copy."""
    return build(FAMILIES[request.param](tmp_path_factory.mktemp(request.param)))


@pytest.fixture(scope="module")
def speech() -> Tensor:
    return torch.from_numpy(voice(*syllables(140.0)))[:44_444]


def alone(encoder: SpeechEncoder, samples: Tensor, *layers: int) -> tuple[Tensor, ...]:
    """The states of one recording `(S,)`, which is not padded: `(N, C)` each."""
    found = encoder.states(samples[None], torch.tensor([len(samples)]), layers)
    return tuple(states[0] for states in found)


def layers_of(encoder: SpeechEncoder) -> nn.ModuleList:
    lists = [module for module in encoder.network.modules() if isinstance(module, nn.ModuleList)]
    return next(module for module in lists if len(module) == encoder.layers)


def test_states_come_in_the_wanted_order(encoder: SpeechEncoder, speech: Tensor) -> None:
    every = alone(encoder, speech, *range(encoder.layers + 1))
    assert {states.shape for states in every} == {(len(every[0]), encoder.width)}
    top, bottom = alone(encoder, speech, encoder.layers, 0)
    assert torch.equal(top, every[-1])
    assert torch.equal(bottom, every[0])
    assert not any(torch.allclose(one, other) for one, other in zip(every, every[1:], strict=False))


def test_layers_above_the_highest_wanted_one_are_not_computed(encoder: SpeechEncoder, speech: Tensor) -> None:
    encoder = copy.deepcopy(encoder)
    layers, wanted = layers_of(encoder), [alone(encoder, speech, number)[0] for number in range(2)]
    for number in (1, 0):
        del layers[number:]
        assert torch.equal(alone(encoder, speech, number)[0], wanted[number])


@pytest.mark.parametrize("extra", [1, 700, 20_000])
def test_padding_changes_nothing(encoder: SpeechEncoder, speech: Tensor, extra: int) -> None:
    samples = torch.cat((speech, torch.zeros(extra)))[None]
    padded = encoder.states(samples, torch.tensor([len(speech)]), [0, encoder.layers])
    for own, found in zip(alone(encoder, speech, 0, encoder.layers), padded, strict=True):
        torch.testing.assert_close(found[0, : len(own)], own, **CLOSE)


def test_a_batch_is_the_same_as_its_recordings_alone(encoder: SpeechEncoder, speech: Tensor) -> None:
    if not encoder.batched:
        pytest.skip("statistics run over time")
    parts = [speech, speech[:17_017] * 0.2, speech[3_000:3_900], speech[5_000:5_001], speech[-30_300:]]
    lengths = torch.tensor([len(part) for part in parts])
    samples = nn.utils.rnn.pad_sequence(parts, batch_first=True)
    together = encoder.states(samples, lengths, [0, 2, encoder.layers])
    counts = encoder.count(lengths)
    for number, part in enumerate(parts):
        for own, found in zip(alone(encoder, part, 0, 2, encoder.layers), together, strict=True):
            torch.testing.assert_close(found[number, : counts[number]], own, **CLOSE)


def test_recordings_of_any_length_have_as_many_states_as_are_counted(encoder: SpeechEncoder) -> None:
    noise = 0.1 * torch.randn(5 * RATE, generator=torch.Generator().manual_seed(1))
    random = np.random.default_rng(2).integers(2_500, len(noise), 8).tolist()
    lengths = [*SHORT, *random, len(noise)]
    counts = encoder.count(torch.tensor(lengths))
    assert counts.dtype == torch.int64
    assert counts[0] >= 1
    assert (counts.diff()[counts[:-1] < counts[-1]] >= 0)[: len(SHORT) - 1].all()
    for length, count in zip(lengths, counts.tolist(), strict=True):
        states, top = alone(encoder, noise[:length], 0, encoder.layers)
        assert states.shape == top.shape == (count, encoder.width)
        assert top.isfinite().all()
        assert abs(count * encoder.hop - length) < 1_300  # samples; nothing much is left out


def test_silence_and_loudness_have_states_and_gradients(encoder: SpeechEncoder, speech: Tensor) -> None:
    for samples in (
        torch.zeros(400),
        torch.zeros(9_000),
        torch.full((9_000,), 0.5),
        speech[:9_000] * 1e-6,
        speech[:9_000] * 3.0,
    ):
        samples = samples.clone().requires_grad_()
        (states,) = alone(encoder, samples, encoder.layers)
        assert states.isfinite().all()
        states.square().sum().backward()
        assert samples.grad is not None
        assert samples.grad.isfinite().all()


def test_the_clock_is_that_of_the_convolutions(encoder: SpeechEncoder) -> None:
    """What moves a state lies about its centre: the centre of gravity of the squared gradient, to 5 ms."""
    encoder = with_plain_front_end(encoder)
    generator = torch.Generator().manual_seed(3)
    noise = 0.1 * torch.randn(3 * RATE + 123, generator=generator)
    count = int(encoder.count(torch.tensor([len(noise)])))
    for number in (count // 2 - 2, count // 2, count // 2 + 3):
        power = torch.zeros(len(noise))
        for _ in range(6):
            samples = noise.clone().requires_grad_()
            (states,) = alone(encoder, samples, 0)
            (states[number] @ torch.randn(encoder.width, generator=generator)).backward()
            assert samples.grad is not None
            power += samples.grad.square()
        centre = float((power * torch.arange(len(noise))).sum() / power.sum())
        assert abs(centre - (encoder.first + number * encoder.hop)) < 0.005 * RATE


def with_plain_front_end(encoder: SpeechEncoder) -> SpeechEncoder:
    """A copy whose kernels in the front end, which are drawn at random, are the same forwards and backwards in time,
    and which has no positions by convolution: these reach far."""
    encoder = copy.deepcopy(encoder)
    positions = [(name, value) for name, value in encoder.network.named_parameters() if "pos_conv_embed" in name]
    for name, parameter in positions:
        if not name.endswith("original1"):  # the direction of a kernel, which has no effect at length 0
            parameter.data.zero_()
    inner = set(layers_of(encoder).modules())
    for module in encoder.network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d) and module not in inner and "weight" in module._parameters:
            axes = tuple(range(2, module.weight.ndim))
            module.weight.data = (module.weight.data + module.weight.data.flip(axes)) / 2
    return encoder


def test_a_click_moves_the_states_about_it_alone(encoder: SpeechEncoder) -> None:
    """A faint click, which hardly changes the mean and variance of a recording, moves the state next to it most."""
    encoder = with_plain_front_end(encoder)
    noise = 0.01 * torch.randn(2 * RATE, generator=torch.Generator().manual_seed(4))
    for place in (13_000, 16_160, 17_777):
        click = noise.clone()
        click[place] += 0.1
        (before,), (after,) = alone(encoder, noise, 0), alone(encoder, click, 0)
        moved = (after - before).norm(dim=1)
        nearest = (place - encoder.first) / encoder.hop
        assert abs(int(moved.argmax()) - nearest) <= 1.0


def test_a_network_of_half_precision_has_states_of_it(encoder: SpeechEncoder, speech: Tensor) -> None:
    encoder = copy.deepcopy(encoder)
    (precise,) = alone(encoder, speech, 0)
    (rough,) = alone(encoder.bfloat16(), speech, 0)
    assert rough.dtype == torch.bfloat16
    assert torch.cosine_similarity(rough.float().flatten(), precise.flatten(), dim=0) > 0.9


def test_nothing_is_drawn_at_random_in_training(encoder: SpeechEncoder, speech: Tensor) -> None:
    trained = copy.deepcopy(encoder).train()
    for own, found in zip(alone(encoder, speech, 0, 3), alone(trained, speech, 0, 3), strict=True):
        assert torch.equal(own, found)


def test_every_layer_is_reached_by_gradients(encoder: SpeechEncoder, speech: Tensor) -> None:
    encoder = copy.deepcopy(encoder).train().requires_grad_(True)
    samples, lengths = torch.stack((speech[:9_000], speech[9_000:18_000])), torch.tensor([9_000, 9_000])
    if not encoder.batched:
        samples, lengths = samples[:1], lengths[:1]
    (states,) = encoder.states(samples, lengths, [encoder.layers])
    states.square().sum().backward()
    for name, parameter in layers_of(encoder).named_parameters():
        assert parameter.grad is not None, name


def test_checkpoints_of_activations_change_no_gradient(encoder: SpeechEncoder, speech: Tensor) -> None:
    samples, lengths = speech[None, :9_000], torch.tensor([9_000])
    found = []
    for checkpointed in (False, True):
        trained = copy.deepcopy(encoder).train().requires_grad_(True)
        if checkpointed:
            trained.network.gradient_checkpointing_enable()
        (states,) = trained.states(samples, lengths, [trained.layers])
        states.square().sum().backward()
        found.append({name: parameter.grad for name, parameter in layers_of(trained).named_parameters()})
    for name, gradient in found[0].items():
        assert torch.equal(found[1][name], gradient), name
