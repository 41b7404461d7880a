"""Sounds without speech: does a model stay silent? `python -m benchmarks.silence MODEL CORPUS`.

Sounds of families that no training of Echo draws from (`benchmarks.sounds`, `benchmarks.sounds_near_speech`): for
choosing anything `--families develop` (blue and band noise, fans, sweeps, beeps, knocks), and once each, for the figure
of what ships, `first` (rain, chords of music, birds, a crowd of reversed speech from the corpus, engines, a keyboard),
`second` (wind, applause, sirens, bubbles, barks, bowed strings, snoring, a crowd whose spectrum is upside down) and
`third` (a cat, a duck, a goat, frogs, coughs, a creaking door, a drill, a kettle). Each lasts 0.3 to 10 s, has a level
of -60 to -10 dBFS, and in half of the cases quiet around it. Beside them the clips of a split of the corpus: how many
get text. With `--grammar FILE` both are heard by it.

Prints one JSON object: the share of sounds that stay without text and the share of clips that get one, in percent with
95 % intervals, and how many of each family get text, with some of the texts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.arguments import model_and_corpus
from benchmarks.sounds import DEVELOP, FIRST, SECOND, Sound, backwards, crowd, upside_down
from benchmarks.sounds_near_speech import THIRD
from echo_asr.audio import load_audio
from echo_asr.audio.convert import seconds_to_samples
from echo_asr.data.corpus import load_corpus
from echo_asr.data.partition import stratified_sample
from echo_asr.decode.load import load
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.grammar import Share
from echo_asr.evaluate.speech import placed

SECONDS = (0.3, 10.0)
TOGETHER = 64  # sounds that are recognised at a time
SEED = 1_000_003


def families(judgement: str, speech: Sequence[np.ndarray]) -> dict[str, Sound]:
    """The families of `develop`, or of the `first`, `second` or `third` judgement; of speech recordings crowds are
    made."""
    return {
        "develop": DEVELOP,
        "first": {**FIRST, "crowd": crowd(speech, backwards)},
        "second": {**SECOND, "crowd": crowd(speech, upside_down)},
        "third": THIRD,
    }[judgement]


def sounds(kinds: dict[str, Sound], count: int) -> Iterator[tuple[str, np.ndarray]]:
    """So many sounds, of each family in turn, with its name: `(S,)` float32 at 16 kHz."""
    rng = np.random.default_rng(SEED)
    names = list(kinds)
    for number in range(count):
        name = names[number % len(names)]
        size = seconds_to_samples(float(np.exp(rng.uniform(*np.log(SECONDS)))))
        yield name, placed(kinds[name](size, rng), rng)


def texts(recognizer: Recognizer, clips: Sequence[np.ndarray]) -> list[str]:
    """What is heard in clips: the text, or the sentence of the grammar."""
    heard = recognizer.transcribe(list(clips), words=False)
    return [one.text for one in heard]


def measure(
    recognizer: Recognizer, kinds: dict[str, Sound], count: int, speech: Sequence[np.ndarray]
) -> dict[str, Any]:
    """What is printed of the sounds and of clips of speech."""
    found: dict[str, list[str]] = {name: [] for name in kinds}
    batch: list[tuple[str, np.ndarray]] = []

    def flush() -> None:
        for (name, _), text in zip(batch, texts(recognizer, [clip for _, clip in batch]), strict=True):
            found[name].append(text)
        batch.clear()

    for one in sounds(kinds, count):
        batch.append(one)
        if len(batch) == TOGETHER:
            flush()
    flush()
    written = {name: [text for text in own if text] for name, own in found.items()}
    return {
        "without_text": Share.over([not text for own in found.values() for text in own]).to_dict(),
        "texts_by_family": {name: [len(own), len(found[name])] for name, own in written.items()},
        "texts": {name: own[:8] for name, own in written.items() if own},
        "speech_with_text": Share.over([bool(text) for text in texts(recognizer, speech)]).to_dict(),
    }


def main() -> None:
    parser: argparse.ArgumentParser = model_and_corpus("silence", __doc__)
    parser.add_argument("--families", choices=("develop", "first", "second", "third"), default="develop")
    parser.add_argument("--sounds", type=int, default=10_000, help="how many (default 10000)")
    parser.add_argument("--clips", type=int, default=1000, help="clips of the corpus, at most (default 1000)")
    parser.add_argument("--grammar", default="", help="file of the sentences that may be said")
    arguments = parser.parse_args()
    if min(arguments.sounds, arguments.clips) < 1:
        parser.error("--sounds and --clips must be at least 1")
    torch.set_num_threads(1)
    settings = {"grammar": arguments.grammar} if arguments.grammar else {}
    recognizer, began = load(arguments.model, "cpu", **settings), time.perf_counter()
    spoken = [u for u in load_corpus(arguments.corpus).split(arguments.split) if u.text.strip()]
    speech = [load_audio(u.audio) for u in stratified_sample(spoken, arguments.clips)]
    row = measure(recognizer, families(arguments.families, speech), arguments.sounds, speech)
    head = {"benchmark": "silence", **{k: v for k, v in vars(arguments).items() if k not in ("clips", "sounds")}}
    print(json.dumps({**head, **row, "seconds": round(time.perf_counter() - began, 1)}, ensure_ascii=False))


if __name__ == "__main__":
    main()
