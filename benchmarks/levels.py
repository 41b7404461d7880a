"""The effect of levels on a model: `python -m benchmarks.levels MODEL CORPUS [--split validation] [--clips 300]
[--json]`.

The word error of a corpus's clips by themselves, their peaks at several levels, 16-bit; and in one recording, with
pauses between: all at one level, every other one 20 dB softer, and soft speech with a bump that is 40 dB louder in
every pause. Then the number of clips that get another text in a recording with pauses than by themselves. All through
`Recognizer.transcribe`, free-running.
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
from echo_asr.decode.load import load
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.metrics import error_rate

PEAKS = (0.0, -20.0, -40.0, -55.0)  # dBFS
APART = 20.0  # dB between two speakers
BUMP_SECONDS, BUMP_DB = 0.06, 40.0  # dB over the speech's peak
PAUSES = (0.3, 5.0)  # seconds
ROOM_DB = -50.0  # dB of noise under the peak of the clips
PLACED = 600  # clips in the recording whose texts are compared, with repetitions
SEED = 7


def quantised(audio: np.ndarray, gain_db: float) -> np.ndarray:
    """Samples at another gain, rounded to 16 bits."""
    return (np.rint(audio * 10 ** (gain_db / 20) * 32767) / 32767).astype(np.float32)


def recording(
    parts: Sequence[np.ndarray], rng: np.random.Generator, bumps: bool = False, room: bool = True
) -> tuple[np.ndarray, list[float]]:
    """Clips of peak 1 or less with pauses before, between and after them, and the start of each in seconds."""
    segments, starts, at = [], [], 0
    for part in (*parts, np.zeros(0, np.float32)):
        pause = np.zeros(seconds_to_samples(rng.uniform(*PAUSES)), np.float32)
        if bumps:
            size, peak = seconds_to_samples(BUMP_SECONDS), 10 ** (BUMP_DB / 20)
            middle = (len(pause) - size) // 2
            pause[middle : middle + size] = peak * np.hanning(size) * rng.choice([-1.0, 1.0], size)
        segments += [pause, part]
        starts.append(samples_to_seconds(at + len(pause)))
        at += len(pause) + len(part)
    audio = np.concatenate(segments)
    if room:
        audio = audio + (10 ** (ROOM_DB / 20) * rng.standard_normal(len(audio))).astype(np.float32)
    return (audio / np.abs(audio).max()).astype(np.float32), starts[:-1]


def error(recognizer: Recognizer, texts: Sequence[str], found: Sequence[str]) -> dict[str, Any]:
    return error_rate(list(texts), [recognizer.normalize(text) for text in found]).to_dict()


def by_peak(recognizer: Recognizer, clips: Sequence[np.ndarray], texts: Sequence[str]) -> dict[str, Any]:
    results = {}
    for peak in PEAKS:
        found = recognizer.transcribe([quantised(clip, peak) for clip in clips], words=False)
        results[f"{peak:g} dBFS"] = error(recognizer, texts, [one.text for one in found])
    return results


def in_one_recording(recognizer: Recognizer, clips: Sequence[np.ndarray], texts: Sequence[str]) -> dict[str, Any]:
    """Errors of the clips of each of two speakers, the even and the odd, by the segment that each is found in."""
    soft = [clip * (10 ** (-APART / 20) if number % 2 else 1.0) for number, clip in enumerate(clips)]
    results = {}
    for name, parts, bumps in (("one level", clips, False), ("20 dB apart", soft, False), ("bumps", clips, True)):
        # Without noise, of which a softer speaker would have more.
        audio, starts = recording(parts, np.random.default_rng(SEED), bumps, room=False)
        found = texts_of(recognizer, audio, starts, [samples_to_seconds(len(clip)) for clip in clips])
        results[name] = {
            "all": error(recognizer, texts, found),
            "first speaker": error(recognizer, texts[::2], found[::2]),
            "second speaker": error(recognizer, texts[1::2], found[1::2]),
        }
    return results


def texts_of(recognizer: Recognizer, audio: np.ndarray, starts: Sequence[float], seconds: Sequence[float]) -> list[str]:
    """The words of a recording nearest to each clip, by their middles."""
    words = [w for segment in recognizer.transcribe(audio).segments for w in segment.words]
    middles = np.array([start + length / 2 for start, length in zip(starts, seconds, strict=True)])
    reach = np.array(seconds) / 2
    found: list[list[str]] = [[] for _ in starts]
    for word in words:
        distance = np.abs(middles - (word.start + word.end) / 2) - reach
        found[int(distance.argmin())].append(word.word)
    return [" ".join(one) for one in found]


def other_than_alone(recognizer: Recognizer, clips: Sequence[np.ndarray]) -> dict[str, Any]:
    """How many clips get another text between pauses than by themselves, without noise and with it."""
    rng = np.random.default_rng(SEED)
    order = np.concatenate([rng.permutation(len(clips)) for _ in range(-(-PLACED // len(clips)))])[:PLACED].tolist()
    alone = [one.text for one in recognizer.transcribe(list(clips), words=False)]
    results = {}
    for name, room in (("digital silence", False), ("noise", True)):
        parts = [clips[index] for index in order]
        audio, starts = recording(parts, np.random.default_rng(SEED), room=room)
        found = texts_of(recognizer, audio, starts, [samples_to_seconds(len(part)) for part in parts])
        other = [text != alone[index] for text, index in zip(found, order, strict=True)]
        results[name] = {"clips": len(order), "other": sum(other), "percent": round(100 * float(np.mean(other)), 2)}
    return results


def main() -> None:
    parser = model_and_corpus("levels", __doc__)
    parser.add_argument("--clips", type=int, default=300, help="clips of it, at most (default 300)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recognizer, began = load(arguments.model, "cpu"), time.perf_counter()
    rows = [u for u in load_corpus(arguments.corpus).split(arguments.split) if u.text.strip()]
    rows = [rows[i] for i in sorted(np.random.default_rng(SEED).permutation(len(rows))[: arguments.clips])]
    clips = [load_audio(u.audio) for u in rows]
    evened = [clip / max(float(np.abs(clip).max()), 1e-9) for clip in clips]
    texts = [recognizer.normalize(u.text) for u in rows]
    result = {
        "benchmark": "levels", "corpus": arguments.corpus, "split": arguments.split, "clips": len(clips),
        "word_error_by_peak": by_peak(recognizer, evened, texts),
        "word_error_in_one_recording": in_one_recording(recognizer, evened, texts),
        "other_text_than_alone": other_than_alone(recognizer, evened),
        "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False))
        return
    for name, rate in result["word_error_by_peak"].items():
        print(f"peak {name:10s} {rate['percent']:.2f} % of words ({rate['ci95'][0]:.2f} to {rate['ci95'][1]:.2f})")
    for name, rates in result["word_error_in_one_recording"].items():
        print(f"{name:15s}", ", ".join(f"{who} {rate['percent']:.2f} %" for who, rate in rates.items()))
    print("another text than alone", result["other_text_than_alone"])


if __name__ == "__main__":
    main()
