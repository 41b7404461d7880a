import pytest
import torch

from echo_asr.model.cross_attention import EncoderKeyValues
from echo_asr.model.options.aligned_pitch import PitchReader
from echo_asr.model.options.silence_stop import SilenceReader
from echo_asr.vrope import FoldedKeys, merge_heads
from tests.helpers.cross_attention import NULL, PADDING, cross_attention, naive_cross_attention


@pytest.mark.parametrize("nulls", ["none", "hard", "weight", "score"])
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_cross_attention_is_a_softmax_over_the_frames(nulls: str, backend: str) -> None:
    layer = cross_attention(nulls, backend)
    x, states, pitch = torch.randn(2, 4, 32), torch.randn(2, 5, 32), torch.randn(2, 5, 3)
    expected, expected_pitch = naive_cross_attention(layer, x, states, NULL, PADDING, pitch)
    torch.testing.assert_close(
        layer(x, layer.key_values(states, NULL, PADDING)).double(), expected, rtol=1e-4, atol=1e-5
    )
    reader = PitchReader(pitch)
    out = layer(x, layer.key_values(states, NULL, PADDING, (reader,)))
    torch.testing.assert_close(out.double(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(reader.found.double(), expected_pitch, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("nulls", ["none", "hard", "weight", "score"])
def test_the_weights_are_those_that_it_attends_with(nulls: str) -> None:
    layer, x, states = cross_attention(nulls), torch.randn(2, 4, 32), torch.randn(2, 5, 32)
    memory = layer.key_values(states, NULL, PADDING)
    weights = layer.weights(layer.queries(x), memory)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 4))
    assert not weights[1, :, :, 3:].any()
    torch.testing.assert_close(layer.output(merge_heads(weights @ memory.value)), layer(x, memory))


def test_cross_attention_adds_nothing_where_all_is_null_and_hard() -> None:
    layer = cross_attention("hard")
    states = torch.randn(1, 3, 32, requires_grad=True)
    nothing = torch.ones(1, 3, dtype=torch.bool)
    reader = PitchReader(torch.ones(1, 3, 3))
    memory = layer.key_values(states, nothing, ~nothing, (reader,))
    out = layer(torch.randn(1, 2, 32), memory)
    torch.testing.assert_close(out, layer.output.bias.expand_as(out))
    assert torch.equal(reader.found, torch.zeros(1, 2, 3))
    assert not layer.weights(layer.queries(torch.randn(1, 2, 32)), memory).any()
    out.sum().backward()
    assert not states.grad.any()


def test_key_values_keep_the_chosen_rows_in_the_chosen_order() -> None:
    flags, channels, rows = torch.rand(2, 3, 4) > 0.5, torch.randn(3, 4, 3), torch.tensor([2, 0, 2])
    readers = (PitchReader(channels), SilenceReader(flags[0]))
    memory = EncoderKeyValues(torch.randn(3, 2, 4, 5), torch.randn(3, 2, 4, 6), *flags, readers)
    memory.folded, memory.hidden = FoldedKeys.fold(memory.key, memory.value, 1.0), flags[0]
    chosen = memory.select(rows)
    assert chosen.folded is None and chosen.hidden is None, "folded anew for other rows"
    for name in ("key", "value", "null", "padding"):
        assert torch.equal(getattr(chosen, name), torch.stack([getattr(memory, name)[i] for i in rows])), name
    pitch, silence = chosen.readers
    assert torch.equal(pitch.channels, channels[rows]) and torch.equal(silence.ending, flags[0][rows])
