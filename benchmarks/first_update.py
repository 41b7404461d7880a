"""How long training takes to its first update on a new corpus: `python -m benchmarks.first_update CORPUS... `.

The corpora, folders with a `metadata.csv`, are joined into one. `echo-asr train` runs on it as a process of its own,
with an empty cache of features, until its metrics have a line of the first update (and, with `--updates`, of a later
one), and is then ended. Printed: seconds from the command to each, the CPU time until the first, and the machine's rate
of matrix products.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import matrix_products
from echo_asr.data.corpus import load_corpus


def join(corpora: Sequence[Path], out: Path) -> float:
    """Write a corpus of the training and validation splits of others; returns its seconds of audio."""
    rows, seconds = list[dict[str, str]](), 0.0
    for corpus in corpora:
        for utterance in load_corpus(corpus).utterances:
            if utterance.split in ("train", "validation"):
                named = {"file_name": str(Path(str(utterance.audio)).absolute()), "transcription": utterance.text}
                where = {"speaker": utterance.speaker, "split": utterance.split, "duration": str(utterance.duration)}
                rows.append({**named, **where})
                seconds += utterance.duration
    with (out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return seconds


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of those that it started, so far."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def measure(corpora: Sequence[Path], recipe: str, updates: Sequence[int], limit: float) -> dict[str, Any]:
    """Seconds from the command to each of some updates; those that did not come within a limit are missing."""
    with tempfile.TemporaryDirectory() as name:
        folder, found, spent = Path(name), dict[str, float](), 0.0
        audio = join(corpora, folder)
        options = ["--train.log_every", "1", "--train.max_steps", "10000"]
        command = [sys.executable, "-m", "echo_asr", "train", recipe, "--corpus", str(folder), "--broken", "skip"]
        metrics = folder / "run" / "metrics.jsonl"
        environment = {**os.environ, "ECHO_ASR_CACHE": str(folder / "cache")}
        began = time.perf_counter()
        with (folder / "output.txt").open("w", encoding="utf-8", newline="") as output:
            process = subprocess.Popen(
                [*command, "--out", str(folder / "run"), *options], env=environment, stdout=output, stderr=output
            )
            try:
                while len(found) < len(updates) and time.perf_counter() - began < limit and process.poll() is None:
                    time.sleep(0.1)
                    there = metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else []
                    done = max((json.loads(line)["update"] for line in there if line.endswith("}")), default=0)
                    now = time.perf_counter() - began
                    spent = cpu_seconds(process.pid) if done and not found else spent
                    found |= {str(one): round(now, 1) for one in updates if one <= done and str(one) not in found}
            finally:
                process.terminate()
                process.wait()
        if not found:
            print((folder / "output.txt").read_text(encoding="utf-8"), file=sys.stderr)
    return {
        "benchmark": "first_update",
        "recipe": recipe,
        "corpus_hours": round(audio / 3600, 2),
        "seconds_to_update": found,
        "cpu_seconds_to_first": round(spent, 1),
        "cpus": os.cpu_count(),
        "gflops": round(matrix_products()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_update", description=__doc__.splitlines()[0])
    parser.add_argument("corpora", metavar="CORPUS", nargs="+", type=Path, help="folder with a metadata.csv")
    parser.add_argument("--recipe", default="mandarin", help="recipe or configuration (default mandarin)")
    parser.add_argument("--updates", type=int, nargs="+", default=[1], help="updates to wait for (default 1)")
    parser.add_argument("--seconds", type=float, default=1800.0, help="the longest wait (default 1800)")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.corpora, arguments.recipe, arguments.updates, arguments.seconds)))


if __name__ == "__main__":
    main()
