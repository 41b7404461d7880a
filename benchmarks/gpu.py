"""Echo on one GPU: `python -m benchmarks.gpu`, in eight minutes at most.

Three measurements, in bfloat16. *Attention*: modes of vRoPE beside `scaled_dot_product_attention` of the same shape,
turn about, as ratios of medians (`benchmarks.attention`). *Training*: updates of two presets on clips that are on the
GPU already, as `echo-asr train` makes them; `share_of_products` is the rate of floating-point operations of forward and
backward pass over that of large matrix products on the same card in the same run. With `--peak` the model FLOP
utilisation (Chowdhery et al. 2022, arXiv:2204.02311) stands beside it, over the rate that the card's maker states.
*Transcription*: from samples to tokens, in batches, with F0 measured by Echo's own tracker on the GPU, and on the CPU,
where the rest of the features is made either way.

Prints a JSON object for each, with the name of the card. `--small` does the same with small shapes on whatever there
is, in seconds, to try the script.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.attention import compare
from benchmarks.features import voice
from benchmarks.peers import Contestant
from benchmarks.training import updating
from benchmarks.transcription import ForcedEcho, seconds, versions
from echo_asr.features import FeatureExtractor, collate_features
from echo_asr.model.config import PRESETS, ModelConfig
from echo_asr.model.echo import Echo
from echo_asr.train.config import TrainConfig
from echo_asr.train.optimizer import make_optimizer
from echo_asr.train.state import AveragedWeights

VOCABULARY = 500
TOKENS_A_SECOND = 4


@dataclass(frozen=True)
class Shapes:
    """How large everything is, and how long it may take.

    Attributes:
        frames: of attention, `F`.
        modes: of `benchmarks.attention`.
        presets: that are trained.
        clips: in a batch of training, each of `clip_seconds`; attention has as many frames in all as 4 s of each.
        batches: clips of 4 s that are transcribed at once.
        size: of the matrices that are multiplied.
        seconds: that a measurement may take, about; there are more than ten.
    """

    frames: tuple[int, ...] = (1500, 6000)
    modes: tuple[str, ...] = ("default", "rope", "integrated", "all")
    presets: tuple[str, ...] = ("small", "base")
    clips: int = 64
    clip_seconds: float = 10.0
    batches: tuple[int, ...] = (32, 256)
    size: int = 8192
    seconds: float = 12.0


SMALL = Shapes((64,), ("default", "rope"), ("tiny",), 2, 1.0, (2,), 256, 0.1)


def measure(device: torch.device, shapes: Shapes, peak: float | None = None) -> Iterator[dict[str, Any]]:
    """All rows, as dictionaries.

    Args:
        peak: 10^12 operations a second that the maker of the card states, in bfloat16 without sparsity.
    """
    yield from attention(device, shapes)
    products = matrix_products(device, shapes)
    yield {"benchmark": "matrix products", "size": shapes.size, "tera_operations_a_second": round(products / 1e12, 3)}
    for preset in shapes.presets:
        yield training(device, shapes, preset, products, peak)
    for batch in shapes.batches:
        yield from transcription(device, shapes, batch)


def attention(device: torch.device, shapes: Shapes) -> Iterator[dict[str, Any]]:
    for frames in shapes.frames:
        for mode in shapes.modes:
            repeats = 30 if shapes.seconds >= 1 else 2
            yield from compare(
                mode, "sdpa", frames, max(1, shapes.clips * 400 // frames), device, torch.bfloat16, repeats
            )


def matrix_products(device: torch.device, shapes: Shapes) -> float:
    """Floating-point operations a second of products of square matrices in bfloat16."""
    left, right = torch.randn(2, shapes.size, shapes.size, device=device, dtype=torch.bfloat16).unbind()
    taken = repeated(device, shapes.seconds / 4, lambda: left @ right)
    return 2.0 * shapes.size**3 / statistics.median(taken)


def training(device: torch.device, shapes: Shapes, preset: str, products: float, peak: float | None) -> dict[str, Any]:
    """Updates of a preset with its default features and modes."""
    torch.manual_seed(0)
    dimensions: dict[str, Any] = {**PRESETS[preset]}
    model = Echo(ModelConfig(**dimensions), VOCABULARY).train().to(device)
    extractor, settings = FeatureExtractor(), TrainConfig()
    one = extractor(voice(shapes.clip_seconds, 0))
    inputs = collate_features([one] * shapes.clips).to(device)
    tokens = round(TOKENS_A_SECOND * shapes.clip_seconds)
    texts = torch.randint(2, VOCABULARY, (shapes.clips, tokens), device=device)
    lengths = torch.full((shapes.clips,), tokens, device=device)
    averaged = AveragedWeights(model, settings.ema_decay)

    def loss() -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return model.loss(inputs, texts, lengths, settings.label_smoothing).total

    update = updating(model, make_optimizer(model, settings), loss, lambda: averaged.update(model))
    with FlopCounterMode(display=False) as counter:
        update()
    operations = counter.get_total_flops()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    taken = repeated(device, shapes.seconds, update)
    rate = operations / statistics.median(taken)
    row = {
        "benchmark": "training",
        "preset": preset,
        "parameters": model.parameter_count,
        "clips": shapes.clips,
        "clip_seconds": shapes.clip_seconds,
        "updates": len(taken),
        "seconds_median": round(statistics.median(taken), 5),
        "audio_seconds_a_second": round(shapes.clips * shapes.clip_seconds / statistics.median(taken), 1),
        "tera_operations_an_update": round(operations / 1e12, 4),
        "tera_operations_a_second": round(rate / 1e12, 3),
        "share_of_products": round(rate / products, 4),
        "memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2) if device.type == "cuda" else None,
    }
    return row if peak is None else {**row, "model_flop_utilisation": round(rate / (1e12 * peak), 4)}


def transcription(device: torch.device, shapes: Shapes, batch: int) -> Iterator[dict[str, Any]]:
    """Clips of 4 s, greedily decoded to texts of equal length; and their features alone."""
    clips = [voice(4.0, seed) for seed in range(min(batch, 32))] * -(-batch // 32)
    clips = clips[:batch]
    for where in dict.fromkeys((device, torch.device("cpu"))):
        echo = ForcedEcho(shapes.presets[0], "default", 4, device, "echo")
        echo.extractor.to(where)
        echo.transcribe(clips)  # what is loaded or made ready on first use
        limit = max(1, round(shapes.seconds / 2))
        whole = [
            seconds(Contestant("echo", echo.model.parameter_count, echo.transcribe), clips)
            for _ in range(min(limit, 5))
        ]
        features = repeated(device, 0.0, partial(echo.extractor.measure_batch, clips))
        pitch = repeated(device, 0.0, partial(echo.extractor.tracker.batch, clips, [400] * batch))
        yield {
            "benchmark": "transcription",
            "preset": shapes.presets[0],
            "batch": batch,
            "clip_seconds": 4.0,
            "f0_on": where.type,
            "seconds_median": round(statistics.median(whole), 4),
            "times_real_time": round(4.0 * batch / statistics.median(whole), 1),
            "of_these_features": round(statistics.median(features), 4),
            "of_these_f0": round(statistics.median(pitch), 4),
        }


def repeated(device: torch.device, budget: float, do: Callable[[], Any]) -> list[float]:
    """Seconds of each of three calls or more, up to a time in all; one call before is not counted."""
    taken: list[float] = []
    do()
    while len(taken) < 3 or (sum(taken) < budget and len(taken) < 200):
        if device.type == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        do()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="small shapes, on a CPU too, to try the script")
    parser.add_argument("--peak", type=float, help="10^12 operations a second in bfloat16 that the maker states")
    arguments = parser.parse_args()
    if not (torch.cuda.is_available() or arguments.small):
        raise SystemExit("benchmarks.gpu: there is no CUDA device here; --small tries the script without one")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    began = time.perf_counter()
    for row in measure(device, SMALL if arguments.small else Shapes(), arguments.peak):
        print(json.dumps({**row, "device": name}), flush=True)
    print(json.dumps({"benchmark": "gpu", "seconds": round(time.perf_counter() - began, 1), "versions": versions()}))


if __name__ == "__main__":
    main()
