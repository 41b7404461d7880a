"""The effect of silence and noise around speech: `python -m benchmarks.robustness MODEL CORPUS [--split test]`.

How often do the clips of the corpus get text, and what is their error unchanged; with 0 to 10 s of silence, or of noise
20 to 40 dB below them, around them; and three in a row with as much between them? All through `Recognizer.transcribe`,
free-running. Clips without speech are those of `benchmarks.silence`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.arguments import model_and_corpus
from echo_asr.audio import load_audio
from echo_asr.audio.convert import samples_to_seconds, seconds_to_samples
from echo_asr.data.corpus import load_corpus
from echo_asr.data.noise import Kind, noise_clip
from echo_asr.decode.load import load
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.metrics import ErrorRate, error_rate

SEED = 1_000_003  # far from those of noises in training
BEDS: tuple[Kind, ...] = ("white", "pink", "brown", "room", "hum")
BELOW = (20.0, 40.0)  # dB, of noise about speech, under the RMS of the speech
LONGEST = 10.0  # seconds of silence or noise before, after and between


def about(clips: Sequence[np.ndarray], kind: Kind, rng: np.random.Generator) -> np.ndarray:
    """Clips in a row with silence, or noise of a kind, before, between and after them."""
    gaps = [np.zeros(seconds_to_samples(s), np.float32) for s in rng.uniform(0.0, LONGEST, len(clips) + 1)]
    row = np.concatenate([part for pair in zip(gaps, clips, strict=False) for part in pair] + [gaps[-1]])
    if kind == "silence":
        return row
    level = min(10 * np.log10(np.mean(clip**2) + 1e-12) for clip in clips)  # dBFS, of the softest
    wanted = float(np.clip(level - rng.uniform(*BELOW), -119.0, 0.0))
    bed = noise_clip(kind, samples_to_seconds(len(row)), SEED + int(rng.integers(2**31)), wanted)
    return np.asarray(row + np.resize(bed, len(row)), np.float32)


def transcribe(recognizer: Recognizer, clips: Sequence[np.ndarray]) -> list[str]:
    return [found.text for found in recognizer.transcribe(list(clips), words=False)]


def speech(recognizer: Recognizer, corpus: str, split: str, most: int) -> dict[str, Any]:
    """Errors of the clips of a corpus, as they are and with silence and noise around them."""
    rng = np.random.default_rng(SEED)
    rows = [u for u in load_corpus(corpus).split(split) if u.text.strip()]
    rows = [rows[i] for i in sorted(rng.permutation(len(rows))[:most])]
    clips = [load_audio(u.audio) for u in rows]
    texts = [recognizer.normalize(u.text) for u in rows]
    threes = [list(range(i, i + 3)) for i in range(0, len(rows) - 2, 3)]
    joined = [" ".join(texts[i] for i in row) for row in threes]
    beds = [BEDS[i % len(BEDS)] for i in range(len(rows))]  # in turn
    alone = [[clip] for clip in clips]
    three = [[clips[i] for i in row] for row in threes]
    cases: dict[str, tuple[Sequence[Sequence[np.ndarray]], Sequence[str], Sequence[Kind]]] = {
        "silence around": (alone, texts, ["silence"] * len(alone)),
        "noise around": (alone, texts, beds),
        "silence between": (three, joined, ["silence"] * len(three)),
        "noise between": (three, joined, beds[: len(three)]),
    }
    found: dict[str, Any] = {"clips": len(clips), "as they are": result(texts, recognized(recognizer, clips))}
    for name, (parts, wanted, kinds) in cases.items():
        noisy = [about(part, kind, rng) for part, kind in zip(parts, kinds, strict=True)]
        got = recognized(recognizer, noisy)
        found[name] = {**result(wanted, got), "percent_by_kind": {}}
        for kind in dict.fromkeys(kinds):
            here = [i for i, other in enumerate(kinds) if other == kind]
            error = error_rate([wanted[i] for i in here], [got[i] for i in here])
            found[name]["percent_by_kind"][kind] = round(error.percent, 2)
    return found


def recognized(recognizer: Recognizer, clips: Sequence[np.ndarray]) -> list[str]:
    return [recognizer.normalize(text) for text in transcribe(recognizer, clips)]


def result(wanted: Sequence[str], got: Sequence[str]) -> dict[str, Any]:
    error: ErrorRate = error_rate(wanted, got)
    return {"word_error": error.to_dict(), "text_percent": round(100 * float(np.mean([bool(t) for t in got])), 2)}


def main() -> None:
    parser = model_and_corpus("robustness", __doc__)
    parser.add_argument("--clips", type=int, default=300, help="clips of it, at most (default 300)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recognizer, began = load(arguments.model, "cpu"), time.perf_counter()
    spoken = speech(recognizer, arguments.corpus, arguments.split, arguments.clips)
    result = {
        "benchmark": "robustness", "corpus": arguments.corpus, "split": arguments.split,
        "speech": spoken, "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False))
        return
    for name, case in spoken.items():
        if name != "clips":
            rate = case["word_error"]
            print(
                f"{name:16s} word error {rate['percent']:.2f} % ({rate['ci95'][0]:.2f} to {rate['ci95'][1]:.2f}; "
                f"{rate['insertions']} ins, {rate['deletions']} del, {rate['substitutions']} sub), "
                f"{case['text_percent']} % get text",
                case.get("percent_by_kind", ""),
            )


if __name__ == "__main__":
    main()
