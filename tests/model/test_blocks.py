import numpy as np
import pytest
import torch

from echo_asr.model.blocks import Block, GatedFeedForward
from echo_asr.vrope import PitchTrack, VRoPEConfig


def test_feed_forward_is_the_equation_of_its_docstring() -> None:
    torch.manual_seed(0)
    layer = GatedFeedForward(6, 10).double()
    x = torch.randn(2, 3, 6, dtype=torch.float64)
    track = PitchTrack.tokens(torch.zeros(2, 3, dtype=torch.bool))
    gate, up = layer.gate.weight.detach().numpy(), layer.up.weight.detach().numpy()
    turned = x.numpy() @ gate.T
    expected = (turned / (1 + np.exp(-turned)) * (x.numpy() @ up.T)) @ layer.output.weight.detach().numpy().T
    np.testing.assert_allclose(layer(x, track).detach(), expected + layer.output.bias.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("cross", [False, True])
def test_block_adds_its_branches_to_what_comes_in(cross: bool) -> None:
    torch.manual_seed(1)
    config = VRoPEConfig(width=32, heads=2, theta="none")
    block = Block(config, 12, dropout=0.0, cross=config if cross else None)
    x, states = torch.randn(1, 4, 32), torch.randn(1, 5, 32)
    nothing = torch.zeros(1, 5, dtype=torch.bool)
    track = PitchTrack.tokens(torch.zeros(1, 4, dtype=torch.bool))
    memory = block.cross.key_values(states, nothing, nothing) if block.cross else None
    whole = block(x, track, memory)
    assert memory is None or memory.text_track(track) is track
    with torch.no_grad():
        for branch in (block.attention, block.feedforward, *([block.cross] if block.cross else [])):
            branch.output.weight.zero_()  # biases start at random here, nn.Linear's own
            branch.output.bias.fill_(0.5)
    assert not torch.allclose(whole, x, atol=0.1)
    torch.testing.assert_close(block(x, track, memory), x + (1.5 if cross else 1.0))


def test_block_drops_branches_in_training_alone() -> None:
    torch.manual_seed(1)
    block = Block(VRoPEConfig(width=32, heads=2), 12, dropout=0.5)
    x, track = torch.randn(1, 4, 32), PitchTrack.tokens(torch.zeros(1, 4, dtype=torch.bool))
    assert not torch.equal(block(x, track), block(x, track))
    block.eval()
    assert torch.equal(block(x, track), block(x, track))
