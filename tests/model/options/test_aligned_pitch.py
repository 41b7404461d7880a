import pytest
import torch

from echo_asr.model.blocks import Block
from echo_asr.model.options.aligned_pitch import PitchReader
from echo_asr.model.options.gates import Gate
from echo_asr.vrope import PitchTrack, VRoPEConfig
from tests.helpers.cross_attention import NULL, PADDING, cross_attention


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_what_is_read_of_pitch_trains_where_attention_goes(backend: str) -> None:
    layer, reader = cross_attention("weight", backend), PitchReader(torch.randn(2, 5, 3))
    layer(torch.randn(2, 4, 32), layer.key_values(torch.randn(2, 5, 32), NULL, PADDING, (reader,)))
    reader.found.square().sum().backward()
    for name in ("query", "key"):
        assert (getattr(layer, name).weight.grad != 0).all(), name
    assert (layer.nulls.raw_gamma.grad != 0).all()
    assert all(p.grad is None or not p.grad.any() for p in (layer.value.weight, layer.output.weight))


def test_a_block_uses_the_pitch_that_its_cross_attention_read() -> None:
    """Its own gate uses what was read; its self-attention, which comes before, the track of the call."""
    torch.manual_seed(1)
    config = VRoPEConfig(width=32, heads=2, radius="acoustic")
    block = Block(config, 12, 0.0, VRoPEConfig(width=32, heads=2), Gate("pitch", 32))
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    x, states, pitch = torch.randn(1, 4, 32), torch.randn(1, 5, 32), torch.rand(1, 5, 3)
    nothing = torch.zeros(1, 5, dtype=torch.bool)
    track, reader = PitchTrack.tokens(torch.tensor([[True, False, False, False]])), PitchReader(pitch)
    memory = block.key_values(states, nothing, nothing, (reader,))
    tracks = []
    hooks = [
        block.attention.register_forward_pre_hook(lambda _, inputs: tracks.append(inputs[1])),
        block.feedforward.register_forward_pre_hook(lambda _, inputs: tracks.append(inputs[1])),
    ]
    block(x, track, memory)
    for hook in hooks:
        hook.remove()
    after = memory.text_track(track)
    torch.testing.assert_close(after.channels(), reader.found, rtol=1e-5, atol=1e-6)
    assert torch.equal(after.null, track.null) and not torch.equal(after.voicing, track.voicing)
    assert tracks[0] is track and tracks[1] is after
    block(x.flip(1), track, memory)
    assert not torch.equal(memory.text_track(track).voicing, after.voicing), "each call reads anew"
