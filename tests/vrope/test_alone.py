"""vRoPE in a model that is not Echo: without projections, compiled, exported, and as the README shows it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from echo_asr.vrope import KeyValueCache, PitchTrack, VoiceModulation, VRoPEAttention, VRoPEModes
from tests.helpers.slow import slow

MakeTrack = Callable[..., PitchTrack]
README = Path(__file__).parents[2] / "README.md"
MODES: list[dict[str, Any]] = [
    {"theta": "static", "frequencies": "inverse_power", "clock": "encoder"},
    {"theta": "none", "nulls": "hard"},
    {"theta": "mean", "bias": "harmonic"},
    {"theta": "frame", "radius": "learned"},
    {"theta": "integrated", "radius": "acoustic", "bias": "quadratic", "nulls": "weight"},
    {"theta": "mapped", "nulls": "score"},
    {"theta": "axis", "reference": "utterance", "learn_frequencies": True},
    {"theta": "axis", "reference": "speaker", "bias": "laplace"},
]
COMPILED = [modes if modes["theta"] in ("integrated", "axis") else slow(modes) for modes in MODES]


def layer(modes: dict[str, Any], causal: bool = False) -> VRoPEAttention:
    torch.manual_seed(0)
    made = VRoPEAttention(VRoPEModes(**modes).attention(32, 2, causal))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return made


def track_of(make_track: MakeTrack, frames: int) -> PitchTrack:
    track = make_track(batch=2, frames=frames, speaker_f0=torch.tensor([180.0, 0.0]))
    track.padding[1, -3:] = True
    return track


@pytest.mark.parametrize("modes", MODES, ids=str)
def test_the_layer_is_its_projections_and_the_modulation(modes: dict[str, Any], make_track: MakeTrack) -> None:
    """Queries and keys may come from anywhere: the part without projections does all the rest."""
    whole, track, x = layer(modes), track_of(make_track, 9), torch.randn(2, 9, 32)
    alone = VoiceModulation(whole.config)
    alone.load_state_dict({n: p for n, p in whole.state_dict().items() if n in alone.state_dict()})
    heads = [p(x).unflatten(2, (2, -1)).transpose(1, 2) for p in (whole.query, whole.key, whole.value)]
    out = whole.output(alone.modulate(*heads, track).transpose(1, 2).flatten(2))
    torch.testing.assert_close(out, whole(x, track))


@pytest.mark.parametrize("modes", COMPILED, ids=str)
def test_it_compiles_without_a_graph_break(modes: dict[str, Any], make_track: MakeTrack) -> None:
    """Forward and backward; what the compiler captures is run as it is."""
    torch._dynamo.reset()
    eager, track = layer(modes), track_of(make_track, 12)
    compiled = torch.compile(eager, backend="aot_eager", fullgraph=True)
    x = torch.randn(2, 12, 32)
    grads = []
    for module in (eager, compiled):
        leaf = x.clone().requires_grad_()
        out = module(leaf, track)
        grads.append((out, *torch.autograd.grad(out.square().sum(), [leaf, *eager.parameters()])))
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("modes", [MODES[4], slow(MODES[7])], ids=str)
def test_two_lengths_compile_it_for_all(modes: dict[str, Any], make_track: MakeTrack) -> None:
    torch._dynamo.reset()
    eager = layer(modes)
    compiled = torch.compile(eager, backend="aot_eager", fullgraph=True)
    for frames, stance in ((12, "default"), (20, "default"), (31, "fail_on_recompile")):
        x, track = torch.randn(2, frames, 32), track_of(make_track, frames)
        with torch.no_grad(), torch.compiler.set_stance(stance):
            torch.testing.assert_close(compiled(x, track), eager(x, track))


class Flat(torch.nn.Module):
    """A layer whose track comes as plain tensors, as exporting wants it."""

    def __init__(self, inner: VRoPEAttention) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, f0: Tensor, voicing: Tensor, energy: Tensor, null: Tensor, padding: Tensor) -> Tensor:
        return self.inner(x, PitchTrack(f0, voicing, energy, null, padding, step=4.0))


@pytest.mark.parametrize("modes", COMPILED, ids=str)
def test_it_exports_for_any_length(modes: dict[str, Any], make_track: MakeTrack) -> None:
    module = Flat(layer(modes)).eval()

    def arguments(frames: int) -> tuple[Tensor, ...]:
        track = track_of(make_track, frames)
        return (torch.randn(2, frames, 32), track.f0, track.voicing, track.energy, track.null, track.padding)

    frames = torch.export.Dim("frames", min=2, max=4096)
    exported = torch.export.export(module, arguments(12), dynamic_shapes=[{1: frames}] * 6).module()
    for count in (12, 31):
        given = arguments(count)
        torch.testing.assert_close(exported(*given), module(*given), rtol=1e-5, atol=1e-6)


def test_no_complex_number_is_ever_made(make_track: MakeTrack) -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Real(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = function(*args, **(kwargs or {}))
            assert not any(isinstance(t, Tensor) and t.is_complex() for t in torch.utils._pytree.tree_leaves(out))
            return out

    for modes in MODES:
        module, x = layer(modes), torch.randn(2, 12, 32)
        with Real():
            module(x, track_of(make_track, 12)).sum().backward()


def test_a_cache_goes_on_without_projections_too(make_track: MakeTrack) -> None:
    config = VRoPEModes(theta="static", frequencies="inverse_power", clock="encoder", nulls="weight").attention(
        32, 2, causal=True
    )
    alone, track = VoiceModulation(config), PitchTrack.tokens(torch.rand(1, 6) < 0.3)
    query, key = torch.randn(2, 1, 2, 6, config.content_width).unbind()
    value = torch.randn(1, 2, 6, 16)
    whole, cache, parts = alone.modulate(query, key, value, track), KeyValueCache(), []
    for at in range(6):
        one = PitchTrack.tokens(track.null[:, at : at + 1])
        parts.append(alone.modulate(*(x[:, :, at : at + 1] for x in (query, key, value)), one, cache))
    torch.testing.assert_close(torch.cat(parts, 2), whole)
    with pytest.raises(ValueError, match="a cache needs a causal layer"):
        VoiceModulation(VRoPEModes().attention(32, 2)).modulate(query, key, value, track, KeyValueCache())


def test_the_lines_of_the_readme_run() -> None:
    """Pitch-aware attention in ten lines."""
    (section,) = re.findall(r"## Pitch-aware attention.*?```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(section.strip().splitlines()) <= 10
    names: dict[str, Any] = {}
    exec(section, names)
    assert names["out"].shape == names["x"].shape and names["out"].isfinite().all()
