"""Alignment of joined clips: `python -m benchmarks.joined_alignment MODEL CORPUS [--clips 5] [--json]`.

Joins clips of a corpus, by fives or more, with pauses of 0.3 to 1 s, noise as loud as the softest frames of the next
clip, and aligns all of their text with the result. The speech of a clip begins and ends where its level rises
above, and falls under, 40 dB below its loudest: the first word should begin there, and the last one end there
(`edges`). The other words have no times that are known; theirs are compared with those in the alignment of their clip
alone (`inner`). Errors are absolute, in ms.
"""

from __future__ import annotations

import json
import time

import numpy as np
import torch

from benchmarks.arguments import model_and_corpus
from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE, frames_to_seconds, samples_to_frames, seconds_to_samples
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.given_texts import align_each
from echo_asr.decode.load import load
from echo_asr.decode.results import Segment
from echo_asr.errors import EchoError
from echo_asr.features.log_mel import frame_levels

PAUSES = (0.3, 1.0)  # seconds
SOFTEST = 0.02  # share of the frames of a clip, whose level is that of its background
BELOW = 40.0  # dB under the loudest frame of a clip


def speech_edges(samples: np.ndarray) -> tuple[float, float]:
    """Where the speech of a clip begins and ends, in seconds."""
    levels = frame_levels(samples, samples_to_frames(len(samples)))
    loud = np.flatnonzero(levels > levels.max() - BELOW)
    return frames_to_seconds(float(loud[0])), frames_to_seconds(float(loud[-1] + 1))


def noise(clip: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """White noise `(size,)` as loud as the softest frames of a clip."""
    return steady_noise(softest_level(clip), size, rng)


def softest_level(clip: np.ndarray) -> float:
    """How loud the softest frames of a clip are, in dBFS."""
    return float(np.quantile(frame_levels(clip, samples_to_frames(len(clip))), SOFTEST))


def steady_noise(level: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """White noise `(size,)` of so many dBFS."""
    return rng.normal(0.0, 10.0 ** (level / 20.0), size).astype(np.float32)


def measure(model: str, corpus: str, split: str, recordings: int, clips_each: int, seed: int) -> dict[str, object]:
    torch.set_num_threads(1)
    recognizer, rng = load(model, "cpu"), np.random.default_rng(seed)
    rows = [u for u in load_corpus(corpus).split(split) if recognizer.normalize(u.text)]
    rows = [rows[i] for i in rng.permutation(len(rows))[: clips_each * recordings]]
    clips = [load_audio(u.audio) for u in rows]
    alone = list(align_each(recognizer, clips, [u.text for u in rows]))
    starts, joined, texts = [], [], []
    for first in range(0, len(rows) - clips_each + 1, clips_each):
        parts: list[np.ndarray] = []
        size = 0
        for samples in clips[first : first + clips_each]:
            pause = noise(samples, seconds_to_samples(rng.uniform(*PAUSES)), rng)
            starts.append((size + len(pause)) / SAMPLE_RATE)
            parts += [pause, samples]
            size += len(pause) + len(samples)
        joined.append(np.concatenate(parts))
        texts.append(" ".join(u.text for u in rows[first : first + clips_each]))
    began = time.process_time()
    results = list(align_each(recognizer, joined, texts))
    taken = time.process_time() - began
    edges: list[float] = []
    inner: list[float] = []
    unaligned = 0
    for number, found in enumerate(results):
        words = iter(found.words if isinstance(found, Segment) else ())
        for clip in range(clips_each * number, clips_each * (number + 1)):
            own = alone[clip]
            if not isinstance(own, Segment) or not isinstance(found, Segment):
                unaligned += 1
                continue
            here = [next(words) for _ in own.words]
            start, (begins, ends) = starts[clip], speech_edges(clips[clip])
            edges += [here[0].start - start - begins, here[-1].end - start - ends]
            inner += [a.start - start - b.start for a, b in zip(here[1:], own.words[1:], strict=True)]
    result: dict[str, object] = {"benchmark": "joined_alignment", "corpus": corpus, "split": split, "seed": seed}
    result |= {"recordings": len(joined), "clips": len(starts), "unaligned_clips": unaligned}
    seconds = sum(map(len, joined)) / SAMPLE_RATE
    result |= {"minutes": round(seconds / 60, 1), "times_real_time_cpu": round(seconds / taken, 1), "threads": 1}
    for name, errors in (("edges", edges), ("inner", inner)):
        absolute = 1e3 * np.abs(errors or [np.nan])
        figures = {f"p{q}": round(float(np.quantile(absolute, q / 100)), 1) for q in (50, 90)}
        result[f"{name}_ms"] = {"boundaries": len(errors), **figures, "mean": round(float(absolute.mean()), 1)}
    return result


def main() -> None:
    parser = model_and_corpus("joined_alignment", __doc__ or "")
    parser.add_argument("--recordings", type=int, default=40, help="at most (default 40)")
    parser.add_argument("--clips", type=int, default=5, help="in each recording (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="another joins other clips (default 0)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args()
    try:
        own = (arguments.split, arguments.recordings, arguments.clips, arguments.seed)
        row = measure(arguments.model, arguments.corpus, *own)
    except EchoError as error:
        parser.exit(1, f"{error}\n")
    print(json.dumps(row) if arguments.json else "\n".join(f"{name:16s} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
