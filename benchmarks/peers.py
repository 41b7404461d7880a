"""Other recognisers of a given number of parameters, with random weights, for comparison with Echo.

Whisper and Moonshine are built from Hugging Face transformers' configurations. Depth, head width and the feed-forward's
four widths are those of the published model nearest in size when its vocabulary is left out (whisper-tiny and
moonshine-tiny 17 M, whisper-base 45 M, moonshine-base 48 M); the width is what meets the number of parameters.
CTranslate2 runs the weights of that Whisper. All decode `TOKENS` tokens greedily with their key-value caches;
token 0, the end, is never chosen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from echo_asr.audio.convert import SAMPLE_RATE

TOKENS = 24  # of every text
VOCABULARY = 40  # tokens of every model, so that the parameters go into the layers; token 0 ends a text, 1 starts it
SPECIALS = ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>", "<|nospeech|>")  # that CTranslate2 asks for
WIDTH_STEP = 8
WHISPER = {"tiny": (4, 64), "small": (4, 64), "base": (6, 64)}  # layers of encoder and decoder each, head width
MOONSHINE = {"tiny": (6, 36), "small": (6, 36), "base": (8, 52)}


@dataclass(frozen=True)
class Contestant:
    """A recogniser to be timed.

    Attributes:
        name: who it is.
        parameters: trainable ones.
        transcribe: clips of samples at 16 kHz, `(S,)` float32, to the `TOKENS` tokens of each; features are
            made inside.
    """

    name: str
    parameters: int
    transcribe: Callable[[Sequence[np.ndarray]], list[list[int]]]


def dimensions(head_width: int) -> Iterable[tuple[int, int]]:
    """Width and heads of the models that can be chosen: even heads of about `head_width`."""
    for width in range(4 * WIDTH_STEP, 1024, WIDTH_STEP):
        shapes = [h for h in range(1, 33) if width % (2 * h) == 0 and 0.7 < width / h / head_width < 1.4]
        if shapes:
            yield width, min(shapes, key=lambda heads: abs(width / heads - head_width))


def parameter_count(model: Any) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def closest(build: Callable[[int, int], Any], parameters: int, head_width: int) -> Any:
    """The model of `build(width, heads)` whose number of parameters comes closest."""

    def distance(shape: tuple[int, int]) -> int:
        return abs(parameter_count(build(*shape)) - parameters)

    with torch.device("meta"):  # counted without allocating them
        chosen = min((s for s in dimensions(head_width) if s[0] ** 2 < parameters / 50), key=distance)
    torch.manual_seed(0)
    return build(*chosen).eval()


@torch.inference_mode()
def greedy(model: Any, inputs: torch.Tensor) -> list[list[int]]:
    """Greedy search with a transformers model: as its `generate`, without its overhead."""
    encoded, past = model.get_encoder()(inputs), None
    tokens = torch.ones(len(inputs), 1, dtype=torch.long)
    texts = []
    for _ in range(TOKENS):
        out = model(decoder_input_ids=tokens, encoder_outputs=encoded, past_key_values=past, use_cache=True)
        past = out.past_key_values
        tokens = out.logits[:, -1:, 1:].argmax(-1) + 1
        texts.append(tokens)
    found: list[list[int]] = torch.cat(texts, 1).tolist()
    return found


def make_whisper(width: int, heads: int, layers: int) -> Any:
    """transformers' Whisper, `layers` in encoder and decoder each. Its input is a window of 30 s."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(
        vocab_size=VOCABULARY,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=1,
        begin_suppress_tokens=None,
    )
    return WhisperForConditionalGeneration(config)


def make_moonshine(width: int, heads: int, layers: int) -> Any:
    """transformers' Moonshine, whose input is samples, `layers` in encoder and decoder each."""
    from transformers import MoonshineConfig, MoonshineForConditionalGeneration

    config = MoonshineConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=4 * width,
        encoder_num_hidden_layers=layers,
        decoder_num_hidden_layers=layers,
        encoder_num_attention_heads=heads,
        decoder_num_attention_heads=heads,
        pad_head_dim_to_multiple_of=8,
        pad_token_id=0,
        bos_token_id=1,
        decoder_start_token_id=1,
        eos_token_id=0,
    )
    return MoonshineForConditionalGeneration(config)


def whisper(parameters: int, size: str) -> Any:
    """transformers' Whisper of about so many parameters."""
    layers, head_width = WHISPER[size]
    return closest(lambda width, heads: make_whisper(width, heads, layers), parameters, head_width)


def moonshine(parameters: int, size: str) -> Any:
    """transformers' Moonshine of about so many parameters."""
    layers, head_width = MOONSHINE[size]
    return closest(lambda width, heads: make_moonshine(width, heads, layers), parameters, head_width)


def from_transformers(model: Any, name: str, extractor: Any, feature: str) -> Contestant:
    def transcribe(clips: Sequence[np.ndarray]) -> list[list[int]]:
        features = extractor(list(clips), sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return greedy(model, features[feature])

    return Contestant(name, parameter_count(model), transcribe)


def from_ctranslate2(model: Any, extractor: Any, compute_type: str, threads: int) -> Contestant:
    """Whisper `model` in CTranslate2. Its converter reads the configuration from a folder; the weights and the
    vocabulary are passed to it. Timestamps are off, as their rules cost time."""
    import ctranslate2
    from ctranslate2.converters import TransformersConverter

    class Tokens:
        additional_special_tokens = ()

        def get_vocab(self) -> dict[str, int]:
            plain = (f"<{i}>" for i in range(VOCABULARY - len(SPECIALS)))
            return {token: i for i, token in enumerate((*SPECIALS, *plain))}

    class Converter(TransformersConverter):
        def load_model(self, *_: Any, **__: Any) -> Any:
            return model

        def load_tokenizer(self, *_: Any, **__: Any) -> Tokens:
            return Tokens()

    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        converted = Converter(folder).convert(str(Path(folder) / "converted"))
        runner = ctranslate2.models.Whisper(
            converted, device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=threads
        )
    prompt = [SPECIALS.index("<|startoftranscript|>"), SPECIALS.index("<|notimestamps|>")]

    def transcribe(clips: Sequence[np.ndarray]) -> list[list[int]]:
        features = extractor(list(clips), sampling_rate=SAMPLE_RATE, return_tensors="np").input_features
        found = runner.generate(
            ctranslate2.StorageView.from_array(np.ascontiguousarray(features)),
            [prompt] * len(clips),
            beam_size=1,
            max_length=2 * TOKENS,  # it generates half as many at most
            suppress_blank=False,
            suppress_tokens=[0],
        )
        return [text.sequences_ids[0] for text in found]

    return Contestant(f"whisper, ctranslate2 {compute_type}", parameter_count(model), transcribe)


def peers(parameters: int, size: str, threads: int) -> tuple[list[Contestant], list[str]]:
    """The available recognisers, each of about so many parameters, and a line for each missing package."""
    try:
        from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor
    except ImportError as error:
        return [], [f"Whisper and Moonshine are left out, in CTranslate2 too ({error}); pip install 'echo-asr[bench]'"]
    logmel, samples = WhisperFeatureExtractor(), Wav2Vec2FeatureExtractor(do_normalize=False)
    one = whisper(parameters, size)
    found = [
        from_transformers(one, "whisper, transformers", logmel, "input_features"),
        from_transformers(moonshine(parameters, size), "moonshine, transformers", samples, "input_values"),
    ]
    try:
        found += [from_ctranslate2(one, logmel, kind, threads) for kind in ("float32", "int8")]
    except ImportError as error:
        return found, [f"CTranslate2's Whisper is left out ({error}); pip install 'echo-asr[bench]'"]
    return found, []
