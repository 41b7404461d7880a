"""A recogniser: a trained model with its features and text, ready to use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from echo_asr.audio import SAMPLE_RATE, load_audio
from echo_asr.config import build_sections, read_yaml
from echo_asr.decode.search import DecodeConfig, search
from echo_asr.errors import EchoError
from echo_asr.features import FeatureExtractor, Features, collate_features
from echo_asr.model.checkpoint import CONFIG, Bundle, load_bundle
from echo_asr.text import make_normalizer

BATCH_SECONDS = 120.0  # seconds of audio decoded at once, padding included


@dataclass(frozen=True)
class Transcription:
    """What was heard in a recording: its text, and its length in seconds."""

    text: str
    duration: float


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name: `cpu`, `cuda`, `cuda:1`, or `auto` (a GPU where there is one).

    Raises:
        EchoError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError("Echo computes phases in float64, which it can on CPU and CUDA")
        torch.zeros(1, device=device).item()  # there are devices that hold no values
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].split(". ")[0]
        raise EchoError(f"device {name!r} is not available here ({reason}); take --device cpu or auto") from None
    return device


class Recognizer:
    """Transcribes with a trained model.

    Args:
        bundle: model, tokenizer and settings.
        decode: how text is searched for.
    """

    def __init__(self, bundle: Bundle, decode: DecodeConfig | None = None) -> None:
        self.bundle, self.decode = bundle, decode or DecodeConfig()
        self.extractor = FeatureExtractor(bundle.features)
        self.normalize = make_normalizer(bundle.text.normalizer)
        self.features: tuple[str, ...] | None = bundle.heard  # those listened to, as in `Echo.encode`; None for all

    def transcribe(
        self, audio: str | os.PathLike[str] | np.ndarray | torch.Tensor, sampling_rate: int | None = None
    ) -> Transcription:
        """The text of a file, or of samples (16 kHz unless `sampling_rate` says otherwise).

        Raises:
            EchoError: the sound cannot be read; see `echo_asr.audio.load_audio`.
        """
        samples = load_audio(audio, sampling_rate)
        text = self.recognize([self.extractor(samples)])[0]
        return Transcription(text, len(samples) / SAMPLE_RATE)

    @torch.inference_mode()
    def recognize(self, features: Sequence[Features]) -> list[str]:
        """Texts of recordings whose features are there, in their order; decoded in batches of similar length.

        A text does not depend on what else is in the list.
        """
        texts = [""] * len(features)
        model = self.bundle.model
        for group in batches_by_length([f.frames / 100 for f in features], BATCH_SECONDS):
            batch = collate_features([features[i] for i in group]).to(model.device)
            for index, hypothesis in zip(
                group, search(model, model.encode(batch, self.features), self.decode), strict=True
            ):
                texts[index] = self.bundle.tokenizer.decode(hypothesis.tokens)
        return texts


def batches_by_length(durations: Sequence[float], batch_seconds: float) -> Iterator[list[int]]:
    """Indices in groups of similar duration (seconds), each at most `batch_seconds` with its padding."""
    group: list[int] = []
    for index in sorted(range(len(durations)), key=lambda i: -durations[i]):
        if group and durations[group[0]] * (len(group) + 1) > batch_seconds:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def load(folder: str | os.PathLike[str], device: str = "auto", **decode: Any) -> Recognizer:
    """Load a model folder; `load(MODEL).transcribe("a.wav").text` is the text.

    Args:
        folder: what `echo-asr train` left in its `--out` folder.
        device: `auto`, `cpu`, `cuda`, ...
        decode: fields of `DecodeConfig` that replace the model's own, such as `beam=8`.

    Raises:
        EchoError: the folder is no complete model, or the device is not there.
    """
    bundle = load_bundle(folder, choose_device(device))
    return Recognizer(bundle, decode_config(bundle, folder, [f"--decode.{k}={v}" for k, v in decode.items()]))


def decode_config(bundle: Bundle, folder: str | os.PathLike[str], overrides: Sequence[str] = ()) -> DecodeConfig:
    """The decoding settings of a model's config.yaml, with `--decode.key value` overrides."""
    path = Path(folder) / CONFIG
    data = {"decode": read_yaml(path).get("decode") or {}}
    built: DecodeConfig = build_sections(data, {"decode": DecodeConfig}, overrides, str(path))["decode"]
    return built
