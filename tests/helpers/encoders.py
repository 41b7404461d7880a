"""Tiny encoders of each pretrained family with random weights, and recordings for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from echo_asr.pretrained.wav2vec2 import HubertEncoder, OmniASREncoder, Wav2Vec2Encoder, WavLMEncoder

LAYERS = 3
TINY = {"hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 48}
WAV2VEC2 = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, **TINY}


def wav2vec2(norm: str = "layer", stable: bool = True, do_normalize: bool = True, **changes: Any) -> Wav2Vec2Encoder:
    """wav2vec 2.0: by default as its large models and XLS-R are, with `norm="group", stable=False` as its base ones."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(**{**WAV2VEC2, **changes}, feat_extract_norm=norm, do_stable_layer_norm=stable)
    return Wav2Vec2Encoder(random_weights(Wav2Vec2Model, config), {"do_normalize": do_normalize}).eval()


def hubert(norm: str = "layer", stable: bool = True, do_normalize: bool = True, **changes: Any) -> HubertEncoder:
    """HuBERT; with `norm="group", stable=False` as its base models are."""
    from transformers import HubertConfig, HubertModel

    config = HubertConfig(**{**WAV2VEC2, **changes}, feat_extract_norm=norm, do_stable_layer_norm=stable)
    return HubertEncoder(random_weights(HubertModel, config), {"do_normalize": do_normalize}).eval()


def wavlm(norm: str = "layer", stable: bool = True, do_normalize: bool = True, **changes: Any) -> WavLMEncoder:
    """WavLM; with `norm="group", stable=False` as its base models are."""
    from transformers import WavLMConfig, WavLMModel

    config = WavLMConfig(**{**WAV2VEC2, **changes}, feat_extract_norm=norm, do_stable_layer_norm=stable)
    return WavLMEncoder(random_weights(WavLMModel, config), {"do_normalize": do_normalize}).eval()


def omniasr(do_normalize: bool = True, **changes: Any) -> OmniASREncoder:
    """Omnilingual ASR."""
    from transformers import OmniASRAudioConfig, OmniASRAudioModel

    config = OmniASRAudioConfig(**{**WAV2VEC2, **changes})
    return OmniASREncoder(random_weights(OmniASRAudioModel, config), {"do_normalize": do_normalize}).eval()


@torch.no_grad()
def random_weights(kind: Any, config: Any) -> nn.Module:
    """A network whose tensors all differ from what they start as, so that none can be left out unseen."""
    torch.manual_seed(3)
    network: nn.Module = kind(config)
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if tensor.is_floating_point():
            tensor.add_(torch.rand_like(tensor) if "running_var" in name else 0.1 * torch.randn_like(tensor))
    return network


def recordings(*lengths: int) -> tuple[Tensor, Tensor]:
    """Noise with an offset, `(B, S)`, zero beyond each of the lengths, and those."""
    torch.manual_seed(5)
    samples = 0.1 * torch.randn(len(lengths), max(lengths)) + 0.02
    for recording, length in zip(samples, lengths, strict=True):
        recording[length:] = 0.0
    return samples, torch.tensor(lengths)
