"""The speed of training, beside Whisper and Moonshine: `python -m benchmarks.training [--json]`.

Echo and transformers' Whisper and Moonshine, all of one width and depth, the same vocabulary size and random weights,
are trained on the same clips: one update is a forward pass with its loss, the backward pass, clipping of the gradient
and a step of AdamW, in float32 on the CPU; Echo's includes its averaged weights. Features are computed beforehand,
as they are for all epochs but the first. The models alternate in one process, and the median of the repeats is given.
Whisper encodes 30 s for any clip; Moonshine has 41.7 states a second, Echo 50 or 25.

`ratio` is Echo's throughput over another's. `--profile` shows instead where Echo's time goes.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from benchmarks.features import voice
from benchmarks.peers import TOKENS, VOCABULARY, make_moonshine, make_whisper, parameter_count
from benchmarks.transcription import MODES, versions
from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.features import FeatureExtractor, collate_features
from echo_asr.model.config import ModelConfig
from echo_asr.model.echo import Echo
from echo_asr.train.config import TrainConfig
from echo_asr.train.efficiency import subnormals_flushed
from echo_asr.train.optimizer import make_optimizer
from echo_asr.train.state import AveragedWeights

CLIP_SECONDS = 4.0
WIDTH, HEADS, LAYERS = 384, 6, 4  # layers of encoder and decoder each
FEEDFORWARD = 1024  # gated, with three matrices: as many weights as Whisper's two of four times the width


@dataclass(frozen=True)
class Trained:
    """A model to be trained.

    Attributes:
        name: who it is.
        parameters: trainable ones.
        update: makes one update.
    """

    name: str
    parameters: int
    update: Callable[[], None]


def updating(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor], after: Callable[[], None]
) -> Callable[[], None]:
    """One update of a model by its loss; `after` follows it."""

    def update() -> None:
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        after()

    return update


def echo(mode: str, subsampling: Literal[2, 4], clips: list[Any], texts: Tensor) -> Trained:
    """Echo with the features and modes of `MODES[mode]`."""
    torch.manual_seed(0)
    features, modes = MODES[mode]
    config = ModelConfig(
        features=features,
        vrope=modes,
        width=WIDTH,
        heads=HEADS,
        feedforward=FEEDFORWARD,
        spectrogram_layers=LAYERS,
        pitch_layers=LAYERS // 2,
        decoder_layers=0 if len(features) == 1 else LAYERS - 2,
        cross_layers=LAYERS if len(features) == 1 else 1,
        subsampling=subsampling,
    )
    model = Echo(config, VOCABULARY).train()
    settings = TrainConfig()
    averaged = AveragedWeights(model, settings.ema_decay)
    extractor = FeatureExtractor()
    inputs = collate_features([extractor(clip) for clip in clips])
    lengths = torch.full((len(clips),), TOKENS)

    def loss() -> Tensor:
        return model.loss(inputs, texts, lengths, settings.label_smoothing).total

    update = updating(model, make_optimizer(model, settings), loss, lambda: averaged.update(model))
    return Trained(f"echo {mode}, {100 // subsampling} Hz", model.parameter_count, update)


def peers(clips: list[Any], texts: Tensor) -> list[Trained]:
    """Whisper and Moonshine of the same width and depth.

    Raises:
        ImportError: transformers is missing.
    """
    from transformers import WhisperFeatureExtractor

    logmel = WhisperFeatureExtractor()(clips, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
    samples = torch.stack([torch.from_numpy(clip) for clip in clips])
    found = []
    for name, make, inputs in (("whisper", make_whisper, logmel), ("moonshine", make_moonshine, samples)):
        torch.manual_seed(0)
        model = make(WIDTH, HEADS, LAYERS).train()
        optimizer = torch.optim.AdamW(model.parameters(), 1e-4)

        def loss(model: Any = model, inputs: Tensor = inputs) -> Tensor:
            value: Tensor = model(inputs, labels=texts).loss
            return value

        update = updating(model, optimizer, loss, lambda: None)
        found.append(Trained(f"{name}, transformers", parameter_count(model), update))
    return found


def compare(models: list[Trained], clips: int, budget: float) -> list[dict[str, Any]]:
    """A row for each model: seconds of audio trained on in a second, and the throughput of each Echo over it. `budget`
    is the time to spend, about, in seconds."""
    for model in models:
        model.update()  # what is made ready on first use
    rounds: list[list[float]] = []
    began = time.perf_counter()
    while len(rounds) < 3 or (len(rounds) < 50 and time.perf_counter() - began < budget):
        taken = []
        for model in models:
            start = time.perf_counter()
            model.update()
            taken.append(time.perf_counter() - start)
        rounds.append(taken)
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    own = {m.name: taken for m, taken in zip(models, medians, strict=True) if m.name.startswith("echo")}
    return [
        {
            "benchmark": "training",
            "model": model.name,
            "parameters": model.parameters,
            "clips": clips,
            "clip_seconds": CLIP_SECONDS,
            "tokens": TOKENS,
            "width": WIDTH,
            "layers": LAYERS,
            "seconds_median": round(median, 4),
            "audio_seconds_a_second": round(clips * CLIP_SECONDS / median, 2),
            "ratio": {name: round(median / taken, 2) for name, taken in own.items()},
            "repeats": len(rounds),
        }
        for model, median in zip(models, medians, strict=True)
    ]


def profile(model: Trained) -> str:
    """Where the time of an update goes, by operation."""
    model.update()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as taken:
        for _ in range(3):
            model.update()
    table: str = taken.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=48)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clips", type=int, default=8, help="in a batch (default 8)")
    parser.add_argument("--seconds", type=float, default=120.0, help="time it may take, about; three repeats at least")
    parser.add_argument("--profile", action="store_true", help="where Echo's time goes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clips = [voice(CLIP_SECONDS, seed) for seed in range(arguments.clips)]
    texts = torch.randint(2, VOCABULARY, (len(clips), TOKENS), generator=torch.Generator().manual_seed(0))
    rates: tuple[Literal[2, 4], ...] = (2, 4)
    models = [echo(mode, rate, clips, texts) for mode in MODES for rate in rates]
    if arguments.profile:
        for model in models:
            print(model.name, profile(model), sep="\n")
        return
    try:
        models += peers(clips, texts)
    except ImportError as error:
        print(f"Whisper and Moonshine are left out ({error}); pip install 'echo-asr[bench]'", file=sys.stderr)
    with subnormals_flushed():  # for all of them, as Echo's training does
        rows = compare(models, len(clips), arguments.seconds)
    for row in rows:
        if arguments.json:
            tail = {"threads": arguments.threads, "versions": versions(), "machine": platform.machine()}
            print(json.dumps({**row, **tail}), flush=True)
        else:
            print(
                f"{row['model']:30s} {row['parameters'] / 1e6:6.2f} M  {row['audio_seconds_a_second']:7.2f} s of audio "
                f"a second  " + "  ".join(f"x {ratio:.2f}" for ratio in row["ratio"].values()),
                flush=True,
            )


if __name__ == "__main__":
    main()
