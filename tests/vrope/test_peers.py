"""With the inverse-power set and no pitch, vRoPE is RoPE as two public implementations have it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from echo_asr.vrope import PitchTrack, VoiceModulation, VRoPEModes, make_rotation, rotate

PLAIN = VRoPEModes(theta="static", frequencies="inverse_power", clock="encoder")
WIDTH = 64  # of a head


def of_transformers(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Hugging Face's Llama: pair `j` is dimensions `j` and `j + P`, as here."""
    llama = pytest.importorskip("transformers.models.llama.modeling_llama", exc_type=ImportError)
    config = llama.LlamaConfig(hidden_size=2 * WIDTH, num_attention_heads=2, max_position_embeddings=4096)
    cosine, sine = llama.LlamaRotaryEmbedding(config)(query, torch.arange(query.shape[2])[None])
    rotated: tuple[Tensor, Tensor] = llama.apply_rotary_pos_emb(query, key, cosine, sine)
    return rotated


def of_rotary_embedding_torch(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """lucidrains' package: pair `j` is dimensions `2 j` and `2 j + 1`."""
    library = pytest.importorskip("rotary_embedding_torch", exc_type=ImportError)
    rotary = library.RotaryEmbedding(WIDTH)

    def turned(x: Tensor) -> Tensor:
        neighbours = torch.stack(x.chunk(2, dim=-1), dim=-1).flatten(-2)
        back: Tensor = rotary.rotate_queries_or_keys(neighbours)
        return torch.cat((back[..., ::2], back[..., 1::2]), dim=-1)

    return turned(query), turned(key)


def voice(frames: int) -> PitchTrack:
    """Any voice: it makes no difference here."""
    values = torch.rand(2, frames)
    nothing = torch.zeros(2, frames, dtype=torch.bool)
    return PitchTrack(100.0 + 200.0 * values, values.round(), values, values < 0.2, nothing)


@pytest.mark.parametrize("peer", [of_transformers, of_rotary_embedding_torch])
@pytest.mark.parametrize("frames", [1, 7, 500])
def test_it_rotates_like_public_implementations_of_rope(
    frames: int, peer: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
) -> None:
    query, key, value = torch.randn(3, 2, 4, frames, WIDTH).unbind()
    expected = peer(query, key)
    track = voice(frames)
    turn = make_rotation(PLAIN, WIDTH // 2)(track)
    assert turn is not None
    tolerance = {"rtol": 0, "atol": 2e-4}  # theirs turn by float32 phases of up to 500 rad
    torch.testing.assert_close(rotate(query, *turn), expected[0], **tolerance)
    torch.testing.assert_close(rotate(key, *turn), expected[1], **tolerance)
    layer = VoiceModulation(PLAIN.attention(4 * WIDTH, 4))
    attended = scaled_dot_product_attention(*expected, value)
    torch.testing.assert_close(layer.modulate(query, key, value, track), attended, **tolerance)
