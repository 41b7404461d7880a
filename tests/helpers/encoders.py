"""Folders of tiny pretrained encoders with random weights, as transformers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

WIDTH, LAYERS = 32, 4


def tiny_whisper(folder: Path, **settings: Any) -> Path:
    """Whisper with an encoder of 4 layers, 32 values in a state, that takes recordings of up to 30 s."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    size = {"d_model": WIDTH, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "encoder_attention_heads": 2}
    layers = {"encoder_layers": LAYERS, "decoder_layers": 1, "decoder_attention_heads": 2}
    special = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0)
    config = WhisperConfig(**{"vocab_size": 20, **size, **layers, **special, **settings})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = WhisperForConditionalGeneration(config)
        for parameter in network.parameters():  # as they are drawn, biases are 0, and losing them would not be seen
            parameter.data += 0.05 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(folder)
    return folder
