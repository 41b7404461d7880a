"""The speed of transcribing clips of 4 s, beside Whisper and Moonshine: `python -m benchmarks.transcription [--json]`.

Echo is timed against transformers' Whisper and Moonshine and CTranslate2's Whisper, each with as many parameters to
within 5 %, the same vocabulary size and random weights; every text is `TOKENS` tokens long, for any weights,
greedily decoded with key-value caches. All run in the same process, alternating, on the CPU, and the median of the
repeats is given: one clip at a time, then 32 in one batch. The time is that from samples to tokens, with feature
extraction; for Echo that includes F0, which vRoPE needs even if the spectrogram is the only feature. Whisper encodes
30 s for any clip.

A trained Echo's CTC path has most of the text, which the decoder then reads in a few calls; one of random weights has
another text. So the path is made here from the text that the decoder writes, `--path-errors` of its tokens exchanged:
as many as `--model MODEL --corpus CORPUS` counts in the validation split for a trained model. 1 is the worst case.

`ratio` is how many times as long as Echo another takes. `--profile` shows instead where Echo's time goes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.features import voice
from benchmarks.peers import TOKENS, VOCABULARY, Contestant, peers
from echo_asr.audio import load_audio
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.ctc import best_paths
from echo_asr.decode.recognize import ClipRecognizer
from echo_asr.decode.search import DecodeConfig, search
from echo_asr.evaluate.metrics import count_errors
from echo_asr.features import FeatureConfig, FeatureExtractor, collate_features
from echo_asr.model.checkpoint import load_bundle
from echo_asr.model.config import PRESETS, Feature, ModelConfig
from echo_asr.model.cross_attention import CrossAttention
from echo_asr.model.echo import Echo
from echo_asr.vrope import VRoPEModes

CLIP_SECONDS = 4.0
BATCHES = (1, 32)  # clips transcribed at once
MODES: dict[str, tuple[tuple[Feature, ...], VRoPEModes]] = {
    "default": (("spectrogram",), VRoPEModes()),
    "everything": (
        ("spectrogram", "pitch"),
        VRoPEModes(reference="utterance", radius="acoustic", bias="quadratic", nulls="weight"),
    ),
}
"""By name, features and vRoPE modes of Echo: the default, and everything."""


class ForcedEcho:
    """Echo with random weights, which cannot end a text before the bound.

    Args:
        size: a preset.
        mode: one of `MODES`.
        subsampling: 10 ms frames in an encoder frame.
        device: of the model, and of the tracker if it can be there.
        tracker: of F0; by default the one that Echo has by default.
        path_errors: share of the tokens in which the CTC path is another than the decoder's text.
    """

    decode = DecodeConfig(max_tokens=TOKENS)

    def __init__(
        self,
        size: str,
        mode: str,
        subsampling: int,
        device: torch.device | str = "cpu",
        tracker: str = "",
        path_errors: float = 1.0,
    ) -> None:
        torch.manual_seed(0)
        features, modes = MODES[mode]
        others: dict[str, Any] = {"subsampling": subsampling, **PRESETS[size]}
        config = ModelConfig(features=features, vrope=modes, **others)
        self.model = Echo(config, VOCABULARY).eval().to(device)
        torch.nn.init.constant_(self.model.decoder.end_bias, -torch.inf)
        chosen: Any = {"tracker": tracker} if tracker else {}
        self.extractor = FeatureExtractor(FeatureConfig(**chosen)).to(device)
        self.path_errors = path_errors
        self.paths: dict[int, list[list[int]]] = {}  # of so many clips

    @torch.inference_mode()
    def transcribe(self, clips: Sequence[np.ndarray]) -> list[list[int]]:
        with mock.patch("echo_asr.decode.search.best_paths", self._paths):
            batch = collate_features(self.extractor.measure_batch(clips)).to(self.model.device)
            texts = [found.tokens for found in search(self.model, self.model.encode(batch), self.decode)]
        if len(clips) not in self.paths:
            rng = np.random.default_rng(0)
            tokens = np.array(texts)
            others = 1 + (tokens - 1 + rng.integers(1, VOCABULARY - 1, tokens.shape)) % (VOCABULARY - 1)
            wrong = rng.random(tokens.shape) < self.path_errors
            self.paths[len(clips)] = np.where(wrong, others, tokens).tolist()
        return texts

    def _paths(self, log_probabilities: torch.Tensor, lengths: torch.Tensor) -> list[list[int]]:
        found = best_paths(log_probabilities, lengths)  # for the time that it takes
        return self.paths.get(len(found), found)


def seconds(contestant: Contestant, clips: Sequence[np.ndarray]) -> float:
    """That one transcription takes.

    Raises:
        RuntimeError: texts of another length came out.
    """
    began = time.perf_counter()
    texts = contestant.transcribe(clips)
    taken = time.perf_counter() - began
    lengths = [len(text) for text in texts]
    if lengths != [TOKENS] * len(clips):
        raise RuntimeError(f"{contestant.name}: expected {len(clips)} texts of {TOKENS} tokens, got {lengths}")
    return taken


def compare(
    contestants: Sequence[Contestant], batch: int, budget: float, common: dict[str, Any]
) -> list[dict[str, Any]]:
    """A row for each contestant; Echo is the first. `budget` is the time to spend, about, in seconds."""
    clips = [voice(CLIP_SECONDS, seed) for seed in range(batch)]
    for contestant in contestants:
        seconds(contestant, clips)  # what is loaded or made ready on first use
    rounds: list[list[float]] = []
    began = time.perf_counter()
    while len(rounds) < 3 or (len(rounds) < 50 and time.perf_counter() - began < budget):
        rounds.append([seconds(contestant, clips) for contestant in contestants])
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    return [
        {
            "benchmark": "transcription",
            **common,
            "model": contestant.name,
            "parameters": contestant.parameters,
            "features_included": True,
            "batch": batch,
            "clip_seconds": CLIP_SECONDS,
            "tokens": TOKENS,
            "seconds_median": round(median, 5),
            "times_real_time": round(batch * CLIP_SECONDS / median, 1),
            "ratio": round(median / medians[0], 2),
            "repeats": len(rounds),
        }
        for contestant, median in zip(contestants, medians, strict=True)
    ]


class Stopwatch:
    """Time spent in methods, by label: total seconds and calls."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)

    def watch(self, owner: Any, method: str, label: str) -> None:
        """Have each call of `owner.method` timed from now on."""
        original = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            out = original(*args, **kwargs)
            self.taken[label] += time.perf_counter() - began
            self.calls[label] += 1
            return out

        setattr(owner, method, timed)


def profile(echo: ForcedEcho, repeats: int) -> list[tuple[str, float, float, float]]:
    """Where the time goes for one clip: of each part its name, milliseconds a clip, calls a clip and microseconds a
    call, all means of `repeats` clips. A part's name is indented under the one that it is a part of."""
    watch, model, extractor = Stopwatch(), echo.model, echo.extractor
    clips = [[voice(CLIP_SECONDS, seed)] for seed in range(repeats)]
    echo.transcribe(clips[0])
    watch.watch(extractor.tracker, "batch", "f0")
    watch.watch(extractor, "measure_batch", "features")
    watch.watch(model, "encode", "encode")
    for name, encoder in model.encoders.items():
        watch.watch(encoder, "forward", f"encoder {name}")
    watch.watch(model.decoder, "state", "state")
    watch.watch(model, "predict", "predict")
    for name, module in model.decoder.named_modules():
        kind = name.rsplit(".", 1)[-1]
        if kind in ("attention", "cross", "feedforward"):
            watch.watch(module, "forward", kind)
    watch.watch(echo, "transcribe", "all")
    for clip in clips:
        echo.transcribe(clip)
    taken, calls = watch.taken, watch.calls
    encoders = [label for label in taken if label.startswith("encoder ")]
    decode = taken["all"] - taken["features"] - taken["encode"]
    inside = taken["attention"] + taken["cross"] + taken["feedforward"]
    rows = [
        ("all", taken["all"], calls["all"]),
        ("  features", taken["features"], calls["features"]),
        ("    F0", taken["f0"], calls["f0"]),
        ("    mel, energy, nulls", taken["features"] - taken["f0"], calls["features"]),
        ("  encode", taken["encode"], calls["encode"]),
        *((f"    {label}", taken[label], calls[label]) for label in encoders),
        ("    pitch track", taken["encode"] - sum(taken[label] for label in encoders), calls["encode"]),
        ("  decode", decode, calls["all"]),
        ("    keys and values of the encoder", taken["state"], calls["state"]),
        ("    steps", taken["predict"], calls["predict"]),
        ("      self-attention with its cache", taken["attention"], calls["attention"]),
        ("      cross-attention", taken["cross"], calls["cross"]),
        ("      feed-forward", taken["feedforward"], calls["feedforward"]),
        ("      norms, embedding, output", taken["predict"] - inside, calls["predict"]),
        ("    choice, repetitions, lists, collation", decode - taken["state"] - taken["predict"], calls["predict"]),
        ("for comparison: linear maps of all steps", linear_seconds(model) * calls["predict"], calls["predict"]),
    ]
    return [(name, 1e3 * t / repeats, n / repeats, 1e6 * t / n) for name, t, n in rows]


@torch.inference_mode()
def linear_seconds(model: Echo) -> float:
    """The least that a step can take: its matrix products one after another, with nothing between them."""
    modules = list(model.decoder.modules())
    once = {id(linear) for m in modules if isinstance(m, CrossAttention) for linear in (m.key, m.value)}  # not a step
    maps = [m for m in modules if isinstance(m, torch.nn.Linear) and id(m) not in once]
    inputs = [torch.randn(1, 1, m.in_features) for m in maps]
    taken = []
    for _ in range(50):
        began = time.perf_counter()
        for module, x in zip(maps, inputs, strict=True):
            torch.nn.functional.linear(x, module.weight, module.bias)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


@torch.inference_mode()
def count_path_errors(model: str, corpus: str, clips: int) -> tuple[float, float]:
    """Share of the tokens of texts, ends included, in which the CTC path of a trained model differs from what its
    decoder writes, and calls of the decoder a token: of the first clips of the validation split, each by itself."""
    recognizer = ClipRecognizer(load_bundle(model))
    own = recognizer.bundle.model
    errors = tokens = calls = 0
    for record in load_corpus(corpus).split("validation")[:clips]:
        encoded = recognizer.encode([recognizer.extractor(load_audio(record.audio))])
        with mock.patch.object(own, "decode", wraps=own.decode) as counted:
            text = search(own, encoded, DecodeConfig())[0].tokens
        path = best_paths(own.ctc_log_probabilities(encoded), encoded.lengths)[0]
        heard, written = (" ".join(map(str, ids)) for ids in (path, [*text, "end"]))
        errors += int(count_errors([written], [f"{heard} end"], "word")[0, :3].sum())
        tokens += len(text) + 1
        calls += counted.call_count
    return errors / tokens, calls / tokens


def versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"torch": torch.__version__, "transformers": None, "ctranslate2": None}
    for name in ("transformers", "ctranslate2"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transcription", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--size", choices=PRESETS, default="tiny", help="preset of Echo (default tiny)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--subsampling", type=int, choices=(2, 4), default=4, help="of Echo (default 4)")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="clips at once (default 1 32)")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="time a batch size may take, about; three repeats at least"
    )
    parser.add_argument("--tracker", default="", help="of F0 (default that of Echo)")
    parser.add_argument(
        "--path-errors", type=float, default=1.0, help="share of tokens that the CTC path has wrong (default 1)"
    )
    parser.add_argument("--model", help="count them for this model instead")
    parser.add_argument("--corpus", help="on the validation split of this corpus")
    parser.add_argument("--profile", action="store_true", help="where Echo's time goes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if bool(arguments.model) != bool(arguments.corpus):
        parser.error("--model and --corpus go together")
    if arguments.model:
        errors, calls = count_path_errors(arguments.model, arguments.corpus, 100)
        print(f"CTC path: {errors:.3f} errors a token; {calls:.3f} calls of the decoder a token")
        return
    reported: set[str] = set()
    for mode in MODES:
        echo = ForcedEcho(
            arguments.size,
            mode,
            arguments.subsampling,
            tracker=arguments.tracker,
            path_errors=arguments.path_errors,
        )
        name, parameters = f"echo {mode}", echo.model.parameter_count
        if arguments.profile:
            print(f"{name}, {arguments.size}, {parameters / 1e6:.2f} M parameters: one clip of {CLIP_SECONDS:g} s")
            for part, ms, calls, each in profile(echo, 20):
                print(f"  {part:40s} {ms:8.2f} ms  {calls:5.0f} x {each:9.1f} us")
            continue
        others, missing = peers(parameters, arguments.size, arguments.threads)
        for line in missing:
            if line not in reported:
                print(line, file=sys.stderr)
            reported.add(line)
        contestants = [Contestant(name, parameters, echo.transcribe), *others]
        common = {
            "size": arguments.size,
            "features": mode,
            "subsampling": arguments.subsampling,
            "threads": arguments.threads,
            "path_errors": arguments.path_errors,
        }
        tail = {"versions": versions(), "machine": platform.machine()}
        for batch in arguments.batches:
            for row in compare(contestants, batch, arguments.seconds, common):
                if arguments.json:
                    print(json.dumps({**row, **tail}), flush=True)
                else:
                    print(
                        f"batch {batch:3d}  {row['model']:28s} {row['parameters'] / 1e6:6.2f} M  "
                        f"{1e3 * row['seconds_median']:9.1f} ms  {row['times_real_time']:7.1f} x real time  "
                        f"x {row['ratio']:.2f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
