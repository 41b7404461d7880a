"""The effect of silence and noise on a model: `python -m benchmarks.robustness MODEL CORPUS [--split test] [--json]`.

First, clips without speech, of 1 to 60 s: of the kinds of noise in training, from other seeds, and of other kinds; how
often is the text empty? Then the clips of the corpus: how often do they get text, and what is their error unchanged;
with 0 to 10 s of silence, or of noise 20 to 40 dB below them, around them; and three in a row with as much between
them. All through `Recognizer.transcribe`, free-running.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

import numpy as np
import torch

from benchmarks.arguments import model_and_corpus
from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds, seconds_to_samples
from echo_asr.data.corpus import load_corpus
from echo_asr.data.noise import Kind, noise_clip
from echo_asr.decode.load import load
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.metrics import ErrorRate, error_rate

KNOWN: tuple[Kind, ...] = get_args(Kind)
LEVELS = (-60.0, -40.0, -20.0)  # dBFS
SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
SEED = 1_000_003  # far from those of noises in training
BEDS: tuple[Kind, ...] = ("white", "pink", "brown", "room", "hum")
BELOW = (20.0, 40.0)  # dB, of noise about speech, under the RMS of the speech
LONGEST = 10.0  # seconds of silence or noise before, after and between


def _shaped(size: int, rng: np.random.Generator, exponent: float, low: float, high: float) -> np.ndarray:
    """Gaussian noise of power density `f^exponent` between two frequencies in Hz."""
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    inside = (frequencies >= low) & (frequencies <= high)
    spectrum = np.where(inside, np.maximum(frequencies, 1.0) ** (exponent / 2), 0.0)
    made: np.ndarray = np.fft.irfft(spectrum * (rng.standard_normal((2, len(spectrum))).T @ np.array([1, 1j])), size)
    return made


def _clock(size: int) -> np.ndarray:
    return samples_to_seconds(np.arange(size))


def blue(size: int, rng: np.random.Generator) -> np.ndarray:
    return _shaped(size, rng, 1.0, 100.0, 8000.0)


def band(size: int, rng: np.random.Generator) -> np.ndarray:
    low = rng.uniform(200.0, 2000.0)
    return _shaped(size, rng, 0.0, low, low * 1.5)


def fan(size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise that swells several times a second, over the tones of its blades."""
    rate = rng.uniform(3.0, 12.0)
    noise = _shaped(size, rng, -1.0, 50.0, 4000.0)
    swell = 1.0 + 0.4 * np.sin(2 * np.pi * rate * _clock(size))
    tones = sum(np.sin(2 * np.pi * rate * 8 * k * _clock(size)) / k for k in range(1, 5))
    return swell * noise / noise.std() + 0.5 * np.asarray(tones)


def sweep(size: int, rng: np.random.Generator) -> np.ndarray:
    """A tone that rises and falls between 200 and 3000 Hz."""
    position = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * _clock(size))
    made: np.ndarray = np.sin(2 * np.pi * np.cumsum(200.0 * 15.0**position) / SAMPLE_RATE)
    return made


def beeps(size: int, rng: np.random.Generator) -> np.ndarray:
    """A tone on and off, as of a machine."""
    on = np.mod(_clock(size) * rng.uniform(0.7, 2.0), 1.0) < 0.4
    made: np.ndarray = on * np.sin(2 * np.pi * rng.uniform(400.0, 2500.0) * _clock(size))
    return made


def chord(size: int, rng: np.random.Generator) -> np.ndarray:
    """Three steady tones."""
    made: np.ndarray = sum(np.sin(2 * np.pi * f * _clock(size)) for f in rng.uniform(150.0, 1500.0, 3))
    return made


def knocks(size: int, rng: np.random.Generator) -> np.ndarray:
    """Dull blows that die away within a tenth of a second."""
    made = np.zeros(size)
    for start in rng.integers(0, size, max(1, round(1.5 * size / SAMPLE_RATE))):
        length = min(size - int(start), SAMPLE_RATE // 4)
        decay = np.exp(-_clock(length) / 0.03)
        made[start : start + length] += decay * np.sin(2 * np.pi * rng.uniform(80.0, 250.0) * _clock(length))
    return made


def rain(size: int, rng: np.random.Generator) -> np.ndarray:
    """Hundreds of drops a second."""
    drops = (rng.random(size) < 300.0 / SAMPLE_RATE) * rng.standard_normal(size)
    return np.convolve(drops, np.exp(-_clock(200) / 0.002), "same")


UNKNOWN: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    f.__name__: f for f in (blue, band, fan, sweep, beeps, chord, knocks, rain)
}


def clips_without_speech() -> Iterator[tuple[str, np.ndarray]]:
    """Every clip without speech, with the name of its kind: at least 500."""
    rng = np.random.default_rng(SEED)
    for round_ in range(2):
        for seconds in SECONDS:
            for level in LEVELS:
                for kind in KNOWN:
                    yield kind, noise_clip(kind, seconds, SEED + int(rng.integers(2**31)), level)
                for name, make in UNKNOWN.items():
                    if round_ and name in ("blue", "band"):
                        continue
                    made = make(seconds_to_samples(seconds), rng)
                    wanted = 10 ** (level / 20) / max(float(np.sqrt(np.mean(made**2))), 1e-9)
                    yield name, (made * min(wanted, 1 / max(float(np.abs(made).max()), 1e-9))).astype(np.float32)


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


def silence(recognizer: Recognizer) -> dict[str, Any]:
    """The share of clips without speech that get no text."""
    kinds: dict[str, list[str]] = {}
    wrong = []
    batch: list[tuple[str, np.ndarray]] = []

    def flush() -> None:
        for (kind, clip), text in zip(batch, transcribe(recognizer, [clip for _, clip in batch]), strict=True):
            kinds.setdefault(kind, []).append(text)
            if text:
                wrong.append({"kind": kind, "seconds": round(samples_to_seconds(len(clip)), 1), "text": text[:60]})
        batch.clear()

    for kind, clip in clips_without_speech():
        batch.append((kind, clip))
        if len(batch) == 48:
            flush()
    flush()
    clips = sum(map(len, kinds.values()))
    known = [bool(text) for kind in KNOWN for text in kinds[kind]]
    return {
        "clips": clips,
        "empty_percent": round(100 * (1 - len(wrong) / clips), 2),
        "empty_percent_known_kinds": round(100 * (1 - sum(known) / len(known)), 2),
        "texts_by_kind": {kind: sum(map(bool, texts)) for kind, texts in kinds.items() if any(texts)},
        "texts": wrong[:20],
    }


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
    quiet = silence(recognizer)
    spoken = speech(recognizer, arguments.corpus, arguments.split, arguments.clips)
    result = {
        "benchmark": "robustness", "corpus": arguments.corpus, "split": arguments.split, "no_speech": quiet,
        "speech": spoken, "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False))
        return
    print(f"no speech: {quiet['clips']} clips, {quiet['empty_percent']} % without text", quiet["texts_by_kind"])
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
