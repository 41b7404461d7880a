import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.model.blocks import GatedFeedForward
from echo_asr.model.options.gates import Gate
from echo_asr.vrope import PitchTrack

KINDS = ("scalar", "token", "pitch")
WIDTH = 6


def track(frames: int = 4, batch: int = 2) -> PitchTrack:
    """Voiced and unvoiced frames of random pitch, the last recording's last frame padding."""
    draw = torch.Generator().manual_seed(frames)
    f0 = 220.0 * torch.exp2(torch.randn(batch, frames, generator=draw))
    voicing, energy = torch.rand(2, batch, frames, generator=draw)
    voicing[:, 0] = 0.0
    padding = torch.zeros(batch, frames, dtype=torch.bool)
    padding[-1, -1] = True
    return PitchTrack(f0, voicing, energy, padding.clone(), padding)


def moved(kind: str, reference: str = "fixed") -> Gate:
    torch.manual_seed(1)
    gate = Gate(kind, WIDTH, reference)
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.normal_()
    return gate


@pytest.mark.parametrize("reference", ["fixed", "utterance"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_gate_is_the_equation_of_its_docstring(kind: str, reference: str) -> None:
    """Position by position and feature by feature, in float64."""
    gate, x, voice = moved(kind, reference), torch.randn(2, 4, WIDTH), track()
    found = gate(x, voice).detach().expand(2, 4, WIDTH)
    bias = gate.bias.detach().double().numpy()
    weight = None if gate.weight is None else gate.weight.detach().double().numpy()
    for row in range(2):
        heard = (voice.voicing[row] > 0) & ~voice.padding[row]
        voiced = voice.f0[row][heard].double().numpy()
        centre = 220.0 if reference == "fixed" else np.sort(voiced)[(len(voiced) - 1) // 2]  # Hz
        for place in range(4):
            z = np.log2(float(voice.f0[row, place]) / centre)
            acoustics = np.array([z, float(voice.voicing[row, place]), float(voice.energy[row, place])])
            own = x[row, place].double().numpy()
            for feature in range(WIDTH):
                inside = {
                    "scalar": lambda: bias[0],
                    "token": lambda own=own: weight[0] @ own + bias[0],
                    "pitch": lambda acoustics=acoustics, feature=feature: weight[feature] @ acoustics + bias[feature],
                }[kind]()
                assert float(found[row, place, feature]) == pytest.approx(2 / (1 + np.exp(-inside)), rel=1e-5)


@pytest.mark.parametrize(("kind", "shape"), [("scalar", (1,)), ("token", (2, 4, 1)), ("pitch", (2, 4, WIDTH))])
def test_a_gate_is_a_number_for_what_it_says(kind: str, shape: tuple[int, ...]) -> None:
    assert moved(kind)(torch.randn(2, 4, WIDTH), track()).shape == shape


@pytest.mark.parametrize("kind", KINDS)
def test_a_gate_starts_at_exactly_one_as_if_it_were_not_there(kind: str) -> None:
    x, voice = 100.0 * torch.randn(2, 4, WIDTH), track()
    factor = Gate(kind, WIDTH)(x, voice)
    assert torch.equal(factor, torch.ones_like(factor))
    torch.manual_seed(0)
    gated = GatedFeedForward(WIDTH, 10, Gate(kind, WIDTH))
    torch.manual_seed(0)
    assert torch.equal(gated(x, voice), GatedFeedForward(WIDTH, 10)(x, voice))


@pytest.mark.parametrize("kind", KINDS)
def test_a_gate_that_is_not_moved_learns_from_the_first_update(kind: str) -> None:
    torch.manual_seed(0)
    layer = GatedFeedForward(WIDTH, 10, Gate(kind, WIDTH))
    layer(torch.randn(2, 4, WIDTH), track()).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).all(), name


@pytest.mark.parametrize("kind", KINDS)
@given(size=st.floats(0.0, 4.0), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_gate_stays_between_shut_and_twice_open(kind: str, size: float, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    gate = Gate(kind, WIDTH).double()
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.copy_(size * torch.randn(parameter.shape, generator=draw, dtype=torch.float64).clamp(-3, 3))
    factor = gate(torch.randn(2, 4, WIDTH, generator=draw, dtype=torch.float64).clamp(-1, 1), track())
    assert (factor > 0.0).all() and (factor < 2.0).all()


def test_a_gate_far_out_is_shut_or_twice_open_and_finite() -> None:
    gate = Gate("scalar", WIDTH)
    for bias, end in ((-1e4, 0.0), (1e4, 2.0)):
        with torch.no_grad():
            gate.bias.fill_(bias)
        assert gate(torch.zeros(1, 1, WIDTH), track()).item() == end


@pytest.mark.parametrize("kind", KINDS)
def test_a_feed_forward_with_a_gate_is_that_many_times_the_one_without(kind: str) -> None:
    torch.manual_seed(0)
    gate = moved(kind)
    layer = GatedFeedForward(WIDTH, 10, gate)
    x, voice = torch.randn(2, 4, WIDTH), track()
    with torch.no_grad():
        factor, gated = gate(x, voice), layer(x, voice)
        layer.pass_gate = None
        torch.testing.assert_close(gated, factor * layer(x, voice))
    assert (factor - 1).abs().min() > 1e-3


def test_the_pitch_gate_hears_the_voice_alone_and_the_others_nothing_of_it() -> None:
    x, voice = torch.randn(2, 4, WIDTH), track()
    other = PitchTrack(voice.f0 * 2, voice.voicing, voice.energy, voice.null, voice.padding)
    for kind in KINDS:
        gate = moved(kind)
        assert torch.equal(gate(x, voice), gate(x, other)) == (kind != "pitch")
        assert torch.equal(gate(x, voice), gate(-x, voice)) == (kind != "token")


@pytest.mark.parametrize("kind", ["none", "voice", ""])
def test_no_other_gate_is_known(kind: str) -> None:
    with pytest.raises(ValueError, match=f"^gate must be scalar, token or pitch, got '{kind}'$"):
        Gate(kind, WIDTH)
