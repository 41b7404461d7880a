"""The accuracy of word times: `python -m benchmarks.word_times MODEL [--split validation] [--clips 100] [--json]`.

Speaks words of the demo's vocabulary, whose times are known, with voices of a split that the demo does not train on:
words apart, as in `synth:tones`, and words joined without a pause, as espeak-ng speaks a text. Times are measured with
both methods, of the recognised text, where that has as many words, and of the reference text.

Errors are absolute, in ms, and `bias` is the median of the signed error, positive where late. Joined words begin where
espeak-ng reports word events, each ends where the next begins. Constants of the alignment are chosen on the validation
split; the test split is for the final figure.
"""

from __future__ import annotations

import argparse
import ctypes
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from echo_asr.audio import resample
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.data.espeak import Espeak
from echo_asr.data.tones import EDITION, LANGUAGE, VOCABULARY, VOICES, Recipe, WordTime, speak_clips
from echo_asr.decode.alignment import align
from echo_asr.decode.load import load
from echo_asr.decode.results import Word
from echo_asr.decode.search import search
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features import collate_features

SEED = 1  # the corpus of the demo has 0
BATCH = 25  # clips aligned at once
SPEEDS = (120, 190)  # words a minute, of joined words
METHODS: tuple[Literal["ctc", "attention"], ...] = ("ctc", "attention")


@dataclass(frozen=True)
class Spoken:
    """A clip and the words in it: samples `(S,)` at 16 kHz."""

    words: tuple[WordTime, ...]
    samples: np.ndarray


class _Event(ctypes.Structure):
    """espeak_EVENT of espeak-ng's speak_lib.h."""

    WORD = 1  # a type; 0 ends a list of events
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


class EspeakWithOnsets(Espeak):
    """The engine, which also records the samples at which words begin."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.onsets: list[int] = []

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        listed = ctypes.cast(events, ctypes.POINTER(_Event))
        number = 0
        while listed[number].type:
            if listed[number].type == _Event.WORD:
                self.onsets.append(listed[number].sample)
            number += 1
        return super()._collect(samples, count, events)


def speak_apart(espeak: Espeak, split: str, clips: int) -> Iterator[Spoken]:
    """Words with pauses between."""
    validation, test = (clips if name == split else 0 for name in ("validation", "test"))
    for clip in speak_clips(Recipe(train=0, validation=validation, test=test, seed=SEED), espeak):
        yield Spoken(clip.words, clip.toned)


def speak_joined(espeak: EspeakWithOnsets, split: str, clips: int) -> Iterator[Spoken]:
    """Two to four words without a pause, silence before and after."""
    recipe, random = Recipe(), np.random.default_rng(SEED)
    voices = [(name, low) for names, low in zip(VOICES[EDITION][split], (100.0, 150.0), strict=True) for name in names]
    for number in range(clips):
        voice, low = voices[number % len(voices)]
        espeak.set_voice(LANGUAGE, voice, round(low), round(low * np.mean(recipe.pitch_span)))
        texts = random.choice(VOCABULARY, random.integers(2, 5)).tolist()
        espeak.onsets.clear()
        samples = espeak.speak(" ".join(texts), int(random.integers(*SPEEDS))).astype(np.float32)
        lead, tail = (random.uniform(*recipe.edge_seconds, 2) * espeak.sample_rate).astype(int).tolist()
        samples *= 0.5 / np.abs(samples).max()
        edges = [(onset + lead) / espeak.sample_rate for onset in [*espeak.onsets, len(samples)]]
        words = tuple(WordTime(*word) for word in zip(texts, edges[:-1], edges[1:], strict=True))
        yield Spoken(words, resample(np.pad(samples, (lead, tail)), espeak.sample_rate, SAMPLE_RATE))


@torch.inference_mode()
def word_times(
    recognizer: Recognizer, clips: Sequence[Spoken], method: Literal["ctc", "attention"], reference: bool
) -> list[tuple[Word, ...]]:
    """The words of each clip with their times: of the reference text, or of the recognised one."""
    model, tokenizer = recognizer.bundle.model, recognizer.bundle.tokenizer
    found: list[tuple[Word, ...]] = []
    for first in range(0, len(clips), BATCH):
        batch = clips[first : first + BATCH]
        features = [recognizer.extractor(clip.samples) for clip in batch]
        encoded = model.encode(collate_features(features).to(model.device), recognizer.features)
        if reference:
            texts = [tokenizer.encode(" ".join(word.word for word in clip.words)) for clip in batch]
        else:
            texts = [hypothesis.tokens for hypothesis in search(model, encoded, recognizer.decode)]
        found.extend(words for _, words in align(model, encoded, features, texts, tokenizer, method))
    return found


def compare(clips: Sequence[Spoken], found: Sequence[tuple[Word, ...]]) -> dict[str, Any]:
    """Errors over the clips of which as many words are found as were spoken."""
    pairs = [(true, word) for clip, words in zip(clips, found, strict=True) if len(words) == len(clip.words)
             for true, word in zip(clip.words, words, strict=True)]  # fmt: skip
    result: dict[str, Any] = {"words": len(pairs), "left_out": sum(len(clip.words) for clip in clips) - len(pairs)}
    for name, errors in (
        ("onset", [w.start - t.start for t, w in pairs]),
        ("offset", [w.end - t.end for t, w in pairs]),
    ):
        late = 1e3 * np.array(errors or [np.nan])  # ms
        middle, most = np.quantile(np.abs(late), (0.5, 0.95))
        figures = {"median": middle, "p95": most, "bias": np.median(late)}
        result |= {f"{name}_{figure}_ms": round(float(value), 1) for figure, value in figures.items()}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.word_times", description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of a model that knows the words of synth:tones")
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="whose voices speak")
    parser.add_argument("--clips", type=int, default=100, help="of either kind (default 100)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    try:
        measure(arguments)
    except EchoError as error:
        parser.exit(1, f"{error}\n")


def measure(arguments: argparse.Namespace) -> None:
    """Print a row for each kind of speech, text and method."""
    recognizer = load(arguments.model)
    with EspeakWithOnsets(SEED) as espeak:
        speech = {
            "apart": list(speak_apart(espeak, arguments.split, arguments.clips)),
            "joined": list(speak_joined(espeak, arguments.split, arguments.clips)),
        }
    for kind, clips in speech.items():
        for text in ("recognised", "reference"):
            for method in METHODS:
                row = {"benchmark": "word_times", "split": arguments.split, "speech": kind, "text": text}
                row |= {"method": method, "clips": len(clips)}
                row |= compare(clips, word_times(recognizer, clips, method, text == "reference"))
                if arguments.json:
                    print(json.dumps(row), flush=True)
                    continue
                errors = "   ".join(
                    f"{name} median {row[f'{name}_median_ms']:5.1f} ms, 95 % under {row[f'{name}_p95_ms']:5.1f} ms, "
                    f"bias {row[f'{name}_bias_ms']:+5.1f} ms"
                    for name in ("onset", "offset")
                )
                counts = f"{row['words']} words ({row['left_out']} left out)"
                print(f"{kind:6s} {text:10s} {method:9s} {counts:27s} {errors}", flush=True)


if __name__ == "__main__":
    main()
