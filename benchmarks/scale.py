"""The cost of a large corpus: `python -m benchmarks.scale --hours 1000`.

A corpus of so many hours is simulated by a few synthetic clips under many names, each with a text of its own. It
measures the time of a process before its first update (reading `metadata.csv`, texts, tokens, checks, concatenated
clips, the plan of an epoch, the size and time of every recording; features are in the cache and marked as complete),
the memory then and after so many batches, and the padding and waiting of the plan. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import gc
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from benchmarks.features import voice
from benchmarks.memory import held_bytes
from echo_asr.audio.convert import SAMPLE_RATE, frames_to_seconds
from echo_asr.data.batch import weigh_plan
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import load_corpus
from echo_asr.data.precompute import fill_recordings
from echo_asr.distributed.launch import ProcessRank
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.train.config import TrainConfig
from echo_asr.train.data import TrainingData

CLIPS = 40
FILES = 1000  # in a folder
SYLLABLES = ("ka", "lo", "mi", "ten", "ru", "sa", "vel", "o", "pin", "da", "gre", "sho")
SECONDS_A_WORD = 0.45


def make_clips(folder: Path, mean: float) -> list[tuple[Path, float]]:
    """Some clips of a quarter to three times the mean, and their seconds."""
    rng = np.random.default_rng(0)
    clips = []
    for number in range(CLIPS):
        seconds = round(float(np.clip(rng.gamma(8.0, mean / 8.0), mean / 4, 3 * mean)), 2)
        clips.append((folder / f"{number}.wav", seconds))
        soundfile.write(clips[-1][0], voice(seconds, number), SAMPLE_RATE)
    return clips


def simulate(hours: float, clips: list[tuple[Path, float]], folder: Path, mean: float) -> None:
    """Make a folder of so many hours with its `metadata.csv`, each utterance a link to a clip, with words of its own
    and up to 0.2 s off its length."""
    rng = np.random.default_rng(1)
    count = round(hours * 3600 / mean)
    words = np.array([a + b for a in SYLLABLES for b in ("", *SYLLABLES)])
    which, off = rng.integers(len(clips), size=count), rng.uniform(-0.2, 0.2, count)
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file_name", "transcription", "speaker", "split", "duration"))
        for number, (clip, change) in enumerate(zip(which.tolist(), off.tolist(), strict=True)):
            path, seconds = clips[clip]
            name = f"{number // FILES:04d}/{number}.wav"
            if number % FILES == 0:
                (folder / name).parent.mkdir()
            os.link(path, folder / name)
            text = " ".join(words[rng.integers(len(words), size=max(1, int(seconds / SECONDS_A_WORD)))].tolist())
            table.writerow((name, text, f"speaker {number % 999}", "train", f"{seconds + change:.3f}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--hours", type=float, default=1000.0, help="of audio (default 1000)")
    parser.add_argument("--mean", type=float, default=4.0, help="seconds of a clip (default 4)")
    parser.add_argument("--processes", type=int, default=8, help="that the plan is shared by (default 8)")
    parser.add_argument("--batches", type=int, default=40, help="that are made (default 40)")
    parser.add_argument("--vocabulary", type=int, default=0, help="of a BPE tokenizer; 0 for characters (default)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), arguments)))


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures; the clips and their features are made in a folder."""
    clips = make_clips(folder, arguments.mean)
    simulated = folder / "simulated"
    simulated.mkdir()
    simulate(arguments.hours, clips, simulated, arguments.mean)
    config = TrainConfig(speeds=(1.0,), noisy_copies=0, concatenated_share=0.1)
    cache = FeatureCache(folder / "cache", FeatureExtractor(FeatureConfig(tracker="autocorrelation")))
    steps: dict[str, dict[str, float]] = {}

    def timed(name: str, do: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        done = do()
        steps[name] = {
            "wall_seconds": round(time.perf_counter() - wall, 2), "cpu_seconds": round(time.process_time() - cpu, 2)
        }  # fmt: skip
        return done

    gc.disable()  # as training does while it draws up its data
    corpus = timed("read metadata.csv", lambda: load_corpus(simulated))
    gc.enable()
    few = {u.audio.stat().st_ino: u for u in corpus.utterances[: 100 * CLIPS] if isinstance(u.audio, Path)}
    fill_recordings(cache, [(list(few.values()), config.perturbations)])
    note = cache.note((u.audio, config.perturbations) for u in corpus.utterances)
    if note is not None:  # as the first start leaves it
        note.touch()
    before = held_bytes() / 1e6
    gc.disable()
    texts = timed("normalize", lambda: [normalize_basic(u.text) for u in corpus.split("train")])
    kind = ("bpe", arguments.vocabulary) if arguments.vocabulary else ("character", None)
    tokenizer = timed("tokenizer", lambda: Tokenizer.train(texts, *kind))
    place = ProcessRank(0, arguments.processes)
    data = timed(
        "examples, checks, rows",
        lambda: TrainingData(corpus, tokenizer, normalize_basic, config, 2, cache, rank=place, texts=texts),
    )
    gc.enable()
    timed("fingerprint", lambda: data.fingerprint)
    timed(
        "look at recordings",
        lambda: fill_recordings(cache, [([e.utterance for e in data.examples], config.perturbations)]),
    )
    plan = timed("plan", lambda: data.plan(data.clean_epochs))
    balance = weigh_plan(plan, data.durations, arguments.processes)
    batches = data.batches(data.clean_epochs)
    timed("first batch", lambda: next(batches))
    started = held_bytes() / 1e6

    audio, began, middle = 0.0, time.perf_counter(), 0.0
    for number, (_, _, batch) in enumerate(islice(batches, arguments.batches)):
        audio += frames_to_seconds(float(batch.features.lengths.sum()))
        if number == arguments.batches // 2:
            middle = held_bytes() / 1e6
    seconds = time.perf_counter() - began
    return {
        "benchmark": "scale",
        "hours": arguments.hours,
        "utterances": len(data.examples),
        "start_seconds": round(sum(step["wall_seconds"] for step in steps.values()), 2),
        "start_cpu_seconds": round(sum(step["cpu_seconds"] for step in steps.values()), 2),
        "steps": steps,
        "every_clip_once": sorted(index for batch in plan for index in batch) == list(range(len(data.durations))),
        "batches": balance.batches,
        "padding": round(balance.padding, 4),
        "idle_of_processes": round(balance.idle, 4),
        "processes": arguments.processes,
        "memory_mb": {
            "corpus": round(before), "started": round(started), "half of the batches": round(middle),
            "all of them": round(held_bytes() / 1e6),
        },
        "audio_seconds_a_second": round(audio / seconds, 1),
        "threads": 1,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    main()
