"""The time of a beam search on one clip of 4 s, by its parts: `python -m benchmarks.beam [--against FOLDER]`.

A model of the preset `tiny` with random weights, which writes 24 characters, decodes with beam 4, the CTC prefix scorer
and word times, on one thread. Printed are the median and the least time of each part, on the clock and of the
CPU, and the machine's rate of matrix products. With `--against`, the folder of another checkout of Echo, the two
take turns, clip by clip, in two processes, and ratios are printed, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from benchmarks.features import voice
from benchmarks.machine import matrix_products

CLIP_SECONDS = 4.0
CLIPS = 12  # different ones
TOKENS = 24
SYMBOLS = "abcdefghijklmnopqrstuvwxyz0123456789 '-"
T = TypeVar("T")


class Decoding:
    """Decodes clip after clip, and takes the time of each part."""

    def __init__(self, size: str, beam: int) -> None:
        from echo_asr.decode.search import DecodeConfig
        from echo_asr.decode.transcribe import Recognizer
        from echo_asr.features import FeatureConfig
        from echo_asr.model.checkpoint import Bundle
        from echo_asr.model.config import PRESETS, ModelConfig
        from echo_asr.model.echo import Echo
        from echo_asr.text.config import TextConfig
        from echo_asr.text.tokenizer import Tokenizer

        torch.manual_seed(0)
        tokenizer = Tokenizer.train([SYMBOLS], "character")
        others: dict[str, Any] = PRESETS[size]
        model = Echo(ModelConfig(**others), tokenizer.vocabulary_size).eval()
        torch.nn.init.constant_(model.decoder.end_bias, -1e4)
        bundle = Bundle(model, tokenizer, FeatureConfig(), TextConfig(), {})
        self.recognizer = Recognizer(bundle, DecodeConfig(beam=beam, max_tokens=TOKENS))
        self.clips = [voice(CLIP_SECONDS, seed) for seed in range(CLIPS)]
        self.number = 0

    @torch.inference_mode()
    def __call__(self) -> dict[str, tuple[float, float]]:
        """Milliseconds of each part for the next clip, on the clock and of the CPU."""
        from echo_asr.decode.alignment import align
        from echo_asr.decode.search import search_nbest
        from echo_asr.features import collate_features

        taken: dict[str, tuple[float, float]] = {}

        def timed(part: str, call: Callable[[], T]) -> T:
            clock, cpu = time.perf_counter(), time.thread_time()
            found = call()
            taken[part] = 1e3 * (time.perf_counter() - clock), 1e3 * (time.thread_time() - cpu)
            return found

        recognizer, clip = self.recognizer, self.clips[self.number % CLIPS]
        model, tokenizer, config = recognizer.bundle.model, recognizer.bundle.tokenizer, recognizer.decode
        self.number += 1
        features = [timed("features", lambda: recognizer.extractor(clip))]
        encoded = timed("encoder", lambda: model.encode(collate_features(features)))
        best = timed("search", lambda: search_nbest(model, encoded, config, None, recognizer.spell))
        tokens = [texts[0].tokens for texts in best]
        timed("alignment", lambda: align(model, encoded, features, tokens, tokenizer))
        taken["all"] = (sum(clock for clock, _ in taken.values()), sum(cpu for _, cpu in taken.values()))
        return taken


def serve(size: str, beam: int) -> None:
    """Decode a clip for each line on standard input."""
    torch.set_num_threads(1)
    decoding = Decoding(size, beam)
    decoding()
    for _ in sys.stdin:
        print(json.dumps(decoding()), flush=True)


class Served:
    """A process that decodes with the code in a folder."""

    def __init__(self, folder: Path, size: str, beam: int) -> None:
        here = Path(__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder / "src"), str(here)))}
        command = [sys.executable, "-m", "benchmarks.beam", "--size", size, "--beam", str(beam), "--serve"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=here, env=environment, stdin=pipe, stdout=pipe, encoding="utf-8")

    def __call__(self) -> dict[str, tuple[float, float]]:
        assert self.process.stdin is not None and self.process.stdout is not None
        print("", file=self.process.stdin, flush=True)
        found: dict[str, tuple[float, float]] = json.loads(self.process.stdout.readline())
        return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beam", description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="tiny", help="preset (default tiny)")
    parser.add_argument("--beam", type=int, default=4, help="hypotheses (default 4)")
    parser.add_argument("--repeats", type=int, default=40, help="clips (default 40)")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout, to take turns with")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.size, arguments.beam)
        return
    folders = {"here": Path(__file__).parents[1]} | ({"there": arguments.against} if arguments.against else {})
    served = {name: Served(folder.absolute(), arguments.size, arguments.beam) for name, folder in folders.items()}
    rounds = [{name: decode() for name, decode in served.items()} for _ in range(arguments.repeats)]
    for decode in served.values():
        decode.process.communicate()
    medians: dict[str, dict[str, float]] = {}
    for name in served:
        for part in rounds[0][name]:
            clock, cpu = ([one[name][part][kind] for one in rounds] for kind in (0, 1))
            medians.setdefault(part, {})[name] = statistics.median(cpu)
            figures = [statistics.median(clock), min(clock), statistics.median(cpu), min(cpu)]
            shown = " ".join(f"{figure:8.1f}" for figure in figures)
            print(f"{name:6s} {part:10s} {shown}   ms: median and least on the clock, median and least of the CPU")
    for part, of in medians.items():
        if "there" in of:
            print(f"{part:10s} there / here {of['there'] / of['here']:.2f}, medians of CPU time")
    print(f"{matrix_products():.0f} GFLOP/s in matrix products")


if __name__ == "__main__":
    main()
