"""Long recordings: `python -m benchmarks.long_recordings MODEL CORPUS [--minutes 60 600] [--json]`.

Builds a recording of so many minutes from the clips of a corpus, in turn, with pauses of 0.3 to 5 s, and transcribes
it: its error beside that of the clips one by one, the peak memory (each length in a process of its own), and the speed
in multiples of real time, on one thread.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from benchmarks.arguments import model_and_corpus
from benchmarks.memory import peak_bytes
from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds, seconds_to_samples
from echo_asr.data.corpus import Audio, load_corpus
from echo_asr.decode.load import load
from echo_asr.evaluate.metrics import error_rate

PAUSES = (0.3, 5.0)  # seconds
MOST = 600  # clips of the corpus, at most


def make(corpus: str, split: str, minutes: float, path: Path) -> tuple[list[Audio], list[str]]:
    """Write the recording; returns the clips in it, in order, and their texts."""
    rng = np.random.default_rng(0)
    rows = [u for u in load_corpus(corpus).split(split) if u.text.strip()]
    rows = [rows[i] for i in rng.permutation(len(rows))[:MOST]]
    clips: list[Audio] = []
    texts: list[str] = []
    seconds = 0.0
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, "PCM_16") as file:
        while seconds < 60 * minutes:
            row = rows[len(clips) % len(rows)]
            clip = load_audio(row.audio)
            pause = np.zeros(seconds_to_samples(rng.uniform(*PAUSES)), np.float32)
            for part in (pause, clip):
                file.write(part)
                seconds += samples_to_seconds(len(part))
            clips.append(row.audio)
            texts.append(row.text)
    return clips, texts


def measure(model: str, corpus: str, split: str, minutes: float, clips_too: bool) -> dict[str, Any]:
    torch.set_num_threads(1)
    recognizer = load(model, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        clips, texts = make(corpus, split, minutes, path)
        before = peak_bytes()
        began = time.perf_counter()
        found = recognizer.transcribe(path, words=False)
        taken = time.perf_counter() - began
        most = peak_bytes()
    normal = recognizer.normalize
    wanted = " ".join(normal(text) for text in texts)
    whole = error_rate([wanted], [normal(found.text)])
    result: dict[str, Any] = {
        "benchmark": "long_recordings", "corpus": corpus, "split": split, "minutes": minutes, "clips": len(clips),
        "segments": len(found.segments), "word_error_percent": round(whole.percent, 2),
        "peak_mib": round(most / 2**20), "peak_mib_before": round(before / 2**20),
        "times_real_time": round(found.duration / taken, 1), "threads": 1,
    }  # fmt: skip
    if clips_too:
        first = clips[:MOST]
        recognised = [one.text for one in recognizer.transcribe([*first], words=False)]
        alone = {clip: text for clip, text in zip(first, recognised, strict=True)}
        apart = error_rate([normal(t) for t in texts], [normal(alone[clip]) for clip in clips])
        result["word_error_percent_of_clips"] = round(apart.percent, 2)
    return result


def main() -> None:
    parser = model_and_corpus("long_recordings", __doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[60.0, 600.0], help="lengths (default 60 600)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    arguments = parser.parse_args()
    if len(arguments.minutes) > 1:
        for minutes in arguments.minutes:
            words = [arguments.model, arguments.corpus, "--split", arguments.split, "--minutes", str(minutes)]
            command = [sys.executable, "-m", "benchmarks.long_recordings", *words]
            subprocess.run([*command, "--json"] if arguments.json else command, check=True)
        return
    (minutes,) = arguments.minutes
    result = measure(arguments.model, arguments.corpus, arguments.split, minutes, clips_too=minutes <= 60)
    print(json.dumps(result) if arguments.json else result)


if __name__ == "__main__":
    main()
