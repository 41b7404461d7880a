"""The speed of feature extraction with F0, on one thread: `python -m benchmarks.features`.

Prints one JSON object with the median of five repeats for each F0 tracker. The signal is synthetic: a voice of
harmonics under three formants, with a moving F0, pauses and a little noise.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from typing import get_args

import numpy as np
import torch

from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds, seconds_to_samples
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.features.pitch import TrackerName

SECONDS = 60.0  # of audio in all, in clips as long as utterances are
CLIP_SECONDS = 4.0
REPEATS = 5
FORMANTS = ((600.0, 90.0), (1200.0, 110.0), (2500.0, 160.0))  # centre and bandwidth, Hz


def voice(seconds: float, seed: int) -> np.ndarray:
    """A voice-like signal: (S,) float32 at 16 kHz, peak 0.5, one pause of 0.2 s in every second."""
    rng = np.random.default_rng(seed)
    times = samples_to_seconds(np.arange(seconds_to_samples(seconds)))  # s
    f0 = rng.uniform(90.0, 240.0) * 2.0 ** (0.3 * np.sin(2.0 * np.pi * rng.uniform(0.5, 2.0) * times))  # Hz
    phase = 2.0 * np.pi * np.cumsum(f0) / SAMPLE_RATE  # rad
    signal = np.zeros_like(times)
    for harmonic in range(1, 40):
        frequency = harmonic * f0
        envelope = sum(1.0 / (1.0 + ((frequency - centre) / width) ** 2) for centre, width in FORMANTS)
        signal += np.where(frequency < 7000.0, envelope, 0.0) * np.cos(harmonic * phase)
    signal *= np.mod(times, 1.0) < 0.8
    signal = 0.5 * signal / np.abs(signal).max() + rng.normal(0.0, 1e-3, times.shape)
    return signal.astype(np.float32)


def measure(extractor: FeatureExtractor, clips: list[np.ndarray]) -> list[float]:
    """Seconds of each repeat, for all clips one after the other."""
    extractor(clips[0])  # the tracker is loaded on first use
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for clip in clips:
            extractor(clip)
        taken.append(time.perf_counter() - began)
    return taken


def main() -> None:
    torch.set_num_threads(1)
    clips = [voice(CLIP_SECONDS, seed) for seed in range(round(SECONDS / CLIP_SECONDS))]
    trackers = {}
    for tracker in get_args(TrackerName):
        taken = measure(FeatureExtractor(FeatureConfig(tracker=tracker)), clips)
        median = statistics.median(taken)
        trackers[tracker] = {
            "wall_seconds": round(median, 4),
            "wall_seconds_range": [round(min(taken), 4), round(max(taken), 4)],
            "real_time_factor": round(median / SECONDS, 6),
            "times_real_time": round(SECONDS / median, 1),
        }
    result = {
        "benchmark": "features",
        "trackers": trackers,
        "audio_seconds": SECONDS,
        "clip_seconds": CLIP_SECONDS,
        "repeats": REPEATS,
        "threads": 1,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
