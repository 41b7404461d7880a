"""Folders of tiny pretrained encoders with random weights, one function for each family, and what transformers itself
makes of a recording with them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from echo_asr.pretrained import SpeechEncoder

WIDTH, LAYERS = 32, 4  # of `tiny_whisper`
SMALL = {"hidden_size": 32, "intermediate_size": 48}
WAV2VEC2 = {
    **SMALL,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
BASE = {"feat_extract_norm": "group", "do_stable_layer_norm": False}


def wav2vec2(folder: Path, do_normalize: bool = True, **settings: Any) -> Path:
    """As the large models of wav2vec 2.0, XLS-R and MMS are; with the settings BASE as its base ones."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    config = Wav2Vec2Config(vocab_size=20, **{**WAV2VEC2, **LARGE, **settings})
    return _written(folder, lambda: Wav2Vec2ForCTC(config), Wav2Vec2FeatureExtractor(do_normalize=do_normalize))


def hubert(folder: Path, do_normalize: bool = True, **settings: Any) -> Path:
    """As the large models of HuBERT are; with the settings BASE as its base ones."""
    from transformers import HubertConfig, HubertForCTC, Wav2Vec2FeatureExtractor

    config = HubertConfig(vocab_size=20, **{**WAV2VEC2, **LARGE, **settings})
    return _written(folder, lambda: HubertForCTC(config), Wav2Vec2FeatureExtractor(do_normalize=do_normalize))


def wavlm(folder: Path, do_normalize: bool = True, **settings: Any) -> Path:
    """As the large models of WavLM are; with the settings BASE as its base ones."""
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForCTC

    config = WavLMConfig(vocab_size=20, **{**WAV2VEC2, **LARGE, **settings})
    return _written(folder, lambda: WavLMForCTC(config), Wav2Vec2FeatureExtractor(do_normalize=do_normalize))


def omniasr(folder: Path, do_normalize: bool = True, **settings: Any) -> Path:
    from transformers import OmniASRAudioConfig, OmniASRCTCConfig, OmniASRFeatureExtractor, OmniASRForCTC

    config = OmniASRCTCConfig(vocab_size=20, audio_config=OmniASRAudioConfig(**{**WAV2VEC2, **settings}))
    return _written(folder, lambda: OmniASRForCTC(config), OmniASRFeatureExtractor(do_normalize=do_normalize))


def whisper(folder: Path) -> Path:
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    layers = {"encoder_layers": 3, "decoder_layers": 1}
    size = {"d_model": 32, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_source_positions": 1500}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    config = WhisperConfig(vocab_size=20, **heads, **layers, **size, **tokens)
    return _written(folder, lambda: WhisperForConditionalGeneration(config), WhisperFeatureExtractor())


def moonshine(folder: Path, **preprocessor: Any) -> Path:
    from transformers import MoonshineConfig, MoonshineForConditionalGeneration, Wav2Vec2FeatureExtractor

    heads = {"encoder_num_attention_heads": 2, "decoder_num_attention_heads": 2}
    layers = {"encoder_num_hidden_layers": 3, "decoder_num_hidden_layers": 1}
    config = MoonshineConfig(vocab_size=20, **SMALL, **heads, **layers)
    extractor = Wav2Vec2FeatureExtractor(**{"do_normalize": False, "return_attention_mask": True, **preprocessor})
    return _written(folder, lambda: MoonshineForConditionalGeneration(config), extractor)


def w2v_bert(folder: Path, **settings: Any) -> Path:
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    config = Wav2Vec2BertConfig(**{**SMALL, "num_attention_heads": 2, "num_hidden_layers": 3, **settings})
    return _written(folder, lambda: Wav2Vec2BertModel(config), SeamlessM4TFeatureExtractor(padding_value=1.0))


def parakeet(folder: Path, mels: int = 80) -> Path:
    from transformers import ParakeetCTCConfig, ParakeetEncoderConfig, ParakeetFeatureExtractor, ParakeetForCTC

    size = {"num_attention_heads": 2, "num_hidden_layers": 3, "subsampling_conv_channels": 16, "num_mel_bins": mels}
    encoder = ParakeetEncoderConfig(**SMALL, **size)
    config = ParakeetCTCConfig(vocab_size=20, pad_token_id=19, encoder_config=encoder)
    return _written(folder, lambda: ParakeetForCTC(config), ParakeetFeatureExtractor(feature_size=mels))


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "hubert": hubert,
    "moonshine": moonshine,
    "omniasr": omniasr,
    "parakeet": parakeet,
    "w2v_bert": w2v_bert,
    "wav2vec2": wav2vec2,
    "wav2vec2_base": lambda folder: wav2vec2(folder, **BASE),
    "wavlm": wavlm,
    "whisper": whisper,
}


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


def states_words(encoder: Path) -> list[str]:
    """Options with which the recipe `pretrained` trains a narrow model on a tiny encoder for 6 updates."""
    options = {
        "features.states": encoder,
        "features.mels": 24,
        "features.tracker": "autocorrelation",
        "model.width": 32,
        "model.heads": 2,
        "model.feedforward": 48,
        "model.states_layers": 1,
        "model.decoder_layers": 0,
        "model.dropout": 0.1,
        "train.max_steps": 6,
        "train.batch_seconds": 3.0,
        "train.learning_rate": 0.01,
        "train.warmup_steps": 2,
        "train.speeds": "[1.0]",
        "train.noise_share": 0.1,
        "train.validate_every": 3,
        "train.validation_utterances": 4,
        "train.checkpoint_every": 2,
        "train.log_every": 1,
    }
    return [word for option, value in options.items() for word in (f"--{option}", str(value))]


def _written(folder: Path, model: Callable[[], Any], extractor: Any) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = model()
        for parameter in made.parameters():  # as they are drawn, most biases are 0 and their loss would not be seen
            parameter.data += 0.02 * torch.randn_like(parameter)
    made.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def extracted(folder: Path, samples: Tensor) -> Tensor:
    """What the feature extractor of transformers makes of one recording `(S,)`: `(1, ...)`."""
    from transformers import AutoFeatureExtractor

    extractor = AutoFeatureExtractor.from_pretrained(folder)
    found = extractor(np.asarray(samples), sampling_rate=16_000, return_tensors="pt")
    features: Tensor = found[extractor.model_input_names[0]]
    return features


@torch.no_grad()
def assert_states_are_of_transformers(encoder: SpeechEncoder, samples: Tensor, features: Tensor) -> None:
    """Each state of one recording `(S,)` equals, to the bit, that of transformers' network for the features `(1, ...)`
    of the recording; the last is what comes out of the network."""
    expected: Any = encoder.network(features, output_hidden_states=True)
    found = encoder.states(samples[None], torch.tensor([len(samples)]), range(encoder.layers + 1))
    for own, theirs in zip(found, expected.hidden_states, strict=True):
        assert torch.equal(own, theirs)
    assert torch.equal(found[-1], expected.last_hidden_state)


@torch.no_grad()
def assert_batch_is_of_transformers(encoder: SpeechEncoder, folder: Path, recordings: Sequence[Tensor]) -> None:
    """The last states of recordings `(S,)` are close to those of transformers with the padding and mask of the folder's
    feature extractor, and as many as the mask has of what comes out, or, where nothing shortens it, of what goes in."""
    from transformers import AutoFeatureExtractor

    extractor = AutoFeatureExtractor.from_pretrained(folder)
    features = extractor([part.numpy() for part in recordings], sampling_rate=16_000, return_tensors="pt")
    expected: Any = encoder.network(**features)
    mask = expected.get("attention_mask", features["attention_mask"])
    lengths = torch.tensor([len(part) for part in recordings])
    (found,) = encoder.states(pad_sequence(list(recordings), batch_first=True), lengths, [encoder.layers])
    for row, count in enumerate(encoder.count(lengths).tolist()):
        assert count == int(mask[row].sum())
        theirs = expected.last_hidden_state[row, :count]
        torch.testing.assert_close(found[row, :count], theirs, rtol=1e-4, atol=1e-4)
