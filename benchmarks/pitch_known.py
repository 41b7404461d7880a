"""Pitch trackers on voices of known F0: `python -m benchmarks.pitch_known [CORPUS...] [--split validation]
[--clips 40] [--json]`.

Real speech of the corpora is taken apart into F0, an envelope and noise, and made anew as a sum of sines at multiples
of another F0 and of noise where it is unvoiced; speakers and method are not those that Echo's tracker learnt from.
Beside it, voices made of formants, from another seed than those it learnt from. Each is measured as it is, in white
noise and among other voices 10 dB below it, with tones and glides 5 dB below it, and 40 dB softer in 16 bits.

Gross error: of the frames that are voiced and found voiced, those whose F0 is off by more than 20 %. Voicing error: of
all frames, those found voiced that are not, or the other way round. Frames within 20 ms of a change of voicing do not
count, nor creaky ones, of which only the share that is found is given. Without corpora, formant voices alone.

Then the operations of the trackers, and the CPU time that they take, on one thread.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.arguments import corpora_and_clips
from benchmarks.machine import matrix_products
from echo_asr.audio import load_audio
from echo_asr.audio.convert import HOP, SAMPLE_RATE, samples_to_frames
from echo_asr.audio.level import over_peak, to_one_level
from echo_asr.data.corpus import load_corpus
from echo_asr.data.noise import Kind, noise_clip
from echo_asr.errors import EchoError
from echo_asr.features.log_mel import FFT
from echo_asr.features.pitch import AutocorrelationTracker, PitchTracker, TrackerName, make_tracker
from echo_asr.features.pitch.echo import load_network
from echo_asr.features.pitch.network import FRAMES_AROUND, MARGIN, WINDOW, samples_of
from echo_asr.research.tracker.pulses import synthesise
from echo_asr.research.tracker.voices import random_voice

SEED = 77_001  # far from those of training
GROSS = 0.2  # share of F0
EDGE = 2  # frames about a change of voicing that do not count
TIMED = 4.0  # seconds of a clip of which operations and times are given
TOGETHER = 32  # clips
REPEATS = 7
CONDITIONS = ("clean", "white 10 dB", "babble 10 dB", "tones and glides 5 dB", "-40 dB")


class Clip(NamedTuple):
    """Samples `(S,)` and what is known of each frame: F0 in Hz, 0 where unvoiced; whether it counts; creak."""

    audio: np.ndarray
    f0: np.ndarray
    counts: np.ndarray
    creak: np.ndarray


def away_from_changes(voiced: np.ndarray) -> np.ndarray:
    """Frames that are not within 20 ms of a change of voicing."""
    change = np.flatnonzero(np.diff(voiced.astype(int)))
    near = np.zeros(len(voiced), bool)
    for at in change:
        near[max(0, at + 1 - EDGE) : at + 1 + EDGE] = True
    return ~near


def made_of_sines(audio: np.ndarray, rng: np.random.Generator) -> Clip:
    """Speech made anew with another F0: harmonics and noise under the smoothed spectrum of each frame."""
    audio = to_one_level(audio)
    frames = samples_to_frames(len(audio))
    found, periodicity = AutocorrelationTracker()(audio, frames)
    padded = np.pad(audio.astype(np.float64), (256, 512))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 512)[: frames * HOP : HOP][:frames]
    spectrum = np.abs(np.fft.rfft(windows * np.hanning(512))) / 128.0
    level = np.sqrt((spectrum**2).mean(axis=1))
    voiced = (found > 0) & (periodicity > 0.6) & (level > 0.01 * level.max())
    voiced = np.convolve(np.convolve(voiced, np.ones(3), "same") > 2, np.ones(3), "same") > 0  # no very short voices
    moved = found * 2 ** (rng.uniform(-7, 9) / 12) * 2 ** (0.1 * np.sin(np.arange(frames) / 100 * rng.uniform(5, 20)))
    known = np.flatnonzero(found > 0)
    if not known.size or not voiced.any():
        return Clip(audio, np.zeros(frames), np.zeros(frames, bool), np.zeros(frames, bool))
    f0 = np.clip(np.interp(np.arange(frames), known, moved[known]), 45.0, 595.0)
    # The spectrum's largest value within a period's reach, smoothed: an envelope over the harmonics.
    reach = np.clip(np.round(found / SAMPLE_RATE * 512 / 2), 1, 8).astype(int)
    envelope = np.stack([_highest(row, int(width)) for row, width in zip(spectrum, reach, strict=True)])
    place, step = np.arange(len(audio)) / HOP, np.arange(frames)
    sample_f0 = np.interp(place, step, f0)
    strength = np.interp(place, step, np.convolve(voiced, [0.25, 0.5, 0.25], "same"))
    phase = 2 * np.pi * np.cumsum(sample_f0) / SAMPLE_RATE
    total = np.zeros(len(audio))
    row = np.minimum(np.round(place).astype(int), frames - 1)
    for harmonic in range(1, int(7000 / f0.min())):
        frequency = harmonic * sample_f0
        height = envelope[row, np.minimum(np.round(frequency * 512 / SAMPLE_RATE).astype(int), 256)]
        height = np.convolve(height, np.ones(80) / 80, "same")
        roughness = np.clip(frequency / 6000, 0, 1) * np.sqrt(harmonic) * 0.05
        total += np.where(frequency < 7000, height, 0) * np.cos(harmonic * phase + roughness * rng.standard_normal())
    total *= strength
    noise = np.zeros(len(padded))
    for number in range(frames):
        white = np.fft.rfft(rng.standard_normal(512))
        share = 1.0 if not voiced[number] else np.clip(np.arange(257) * 31.25 / 8000, 0.02, 0.5)
        made = np.fft.irfft(white * spectrum[number] * share) * np.hanning(512)
        noise[number * HOP : number * HOP + 512] += made
    audio = over_peak((total + noise[256 : 256 + len(total)] * 0.8).astype(np.float32))
    return Clip(audio, np.where(voiced, f0, 0.0), away_from_changes(voiced), np.zeros(frames, bool))


def _highest(row: np.ndarray, width: int) -> np.ndarray:
    """The largest value within so many bins, smoothed over as many."""
    padded = np.pad(row, width, mode="edge")
    largest = np.lib.stride_tricks.sliding_window_view(padded, 2 * width + 1).max(axis=1)
    smoothed: np.ndarray = np.convolve(np.pad(largest, width, mode="edge"), np.hanning(2 * width + 3)[1:-1], "same")
    return smoothed[width:-width] / np.hanning(2 * width + 3).sum()


def formant_voice(rng: np.random.Generator) -> Clip:
    """A voice made of formants; only F0 from 47 Hz, which every tracker can give, and up to 600 Hz counts."""
    speech = random_voice(480, rng)
    audio = over_peak(synthesise(speech, rng))
    f0, strength, creak, sure = (v[::2] for v in (speech.f0, speech.voiced, speech.creak, speech.sure))
    voiced = strength > 0.05
    inside = (f0 > 48) & (f0 < 590)
    counts = away_from_changes(voiced) & (sure > 0.5) & (creak == 0) & (inside | ~voiced)
    return Clip(audio, np.where(voiced, f0, 0.0), counts, (creak > 0) & voiced)


def spoken(corpora: list[str], split: str, clips: int, rng: np.random.Generator) -> Iterator[Clip]:
    """Clips of real speech, made anew."""
    for corpus in corpora:
        rows = load_corpus(corpus).split(split)
        for number in rng.permutation(len(rows))[:clips].tolist():
            clip = made_of_sines(load_audio(rows[number].audio), rng)
            if clip.f0.any():
                yield clip


def worsened(clips: list[Clip], condition: str) -> list[np.ndarray]:
    """The samples of clips in a condition."""
    rng = np.random.default_rng([SEED, CONDITIONS.index(condition)])
    made = []
    for number, clip in enumerate(clips):
        audio = clip.audio
        power = np.mean(audio[np.repeat(clip.f0 > 0, HOP)[: len(audio)]] ** 2) if clip.f0.any() else 1e-3
        if condition == "clean":
            other, below = np.zeros(len(audio)), 0.0
        elif condition == "white 10 dB":
            other, below = rng.standard_normal(len(audio)), 10.0
        elif condition == "babble 10 dB":
            chosen = rng.permutation([n for n in range(len(clips)) if n != number])[:6]
            parts = [np.roll(np.resize(clips[n].audio, len(audio)), int(rng.integers(len(audio)))) for n in chosen]
            other = np.sum(parts, axis=0)
            below = 10.0
        elif condition == "tones and glides 5 dB":
            kind: Kind = "tone" if number % 2 else "glide"
            other = noise_clip(kind, len(audio) / SAMPLE_RATE, SEED + int(rng.integers(10**6)))[: len(audio)]
            below = 5.0
        else:
            made.append((np.rint(audio * 0.01 * 32767) / 32767).astype(np.float32))
            continue
        other = np.asarray(other, np.float64)
        gain = np.sqrt(power / max(float(np.mean(other**2)), 1e-12)) * 10 ** (-below / 20)
        made.append(over_peak((audio + gain * other).astype(np.float32)))
    return made


def errors(tracker: PitchTracker, clips: list[Clip], audios: list[np.ndarray]) -> dict[str, Any]:
    """Gross and voicing errors in percent, and the median error of F0 in cents."""
    gross: list[np.ndarray] = []
    voicing: list[np.ndarray] = []
    cents: list[np.ndarray] = []
    creaky: list[np.ndarray] = []
    for clip, audio in zip(clips, audios, strict=True):
        found = tracker(over_peak(audio), len(clip.f0))[0]
        voiced, counts = clip.f0 > 0, clip.counts
        both = voiced & (found > 0) & counts
        ratio = found[both] / clip.f0[both]
        gross.append(np.abs(ratio - 1) > GROSS)
        cents.append(1200 * np.abs(np.log2(ratio))[np.abs(ratio - 1) <= GROSS])
        voicing.append(((found > 0) != voiced)[counts])
        creaky.append(found[clip.creak] > 0)
    off, missed, all_creaky = np.concatenate(gross), np.concatenate(voicing), np.concatenate(creaky)
    return {
        "gross_percent": round(100 * float(off.mean()), 3) if off.size else None,
        "voicing_percent": round(100 * float(missed.mean()), 3),
        "median_cents": round(float(np.median(np.concatenate(cents))), 2),
        "voiced_frames": int(off.size), "frames": int(missed.size),
        "creaky_found_percent": round(100 * float(all_creaky.mean()), 1) if all_creaky.size else None,
    }  # fmt: skip


def echo_operations() -> float:
    """Multiply-adds a second of audio of Echo's network: those of its layers, and 2.5 log2(n) a sample of an n-point
    transform."""
    frames = round(TIMED * 100)
    with FlopCounterMode(display=False) as counter:
        load_network()(torch.zeros(1, samples_of(frames)))
    pairs, short = frames // 2 + MARGIN, frames + 2 * FRAMES_AROUND
    transforms = sum(count * size * 2.5 * np.log2(size) / 2 / 2 for count, size in ((pairs, WINDOW), (short, FFT)))
    return (counter.get_total_flops() / 2 + transforms) / TIMED


def swift_operations() -> float:
    """The same of SwiftF0, by the shapes that onnxruntime reports of its convolutions and matrix products; its
    transforms are products with matrices, and count as such. Weights without a reported shape are left out."""
    import onnxruntime
    import swift_f0

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        model = os.path.join(os.path.dirname(swift_f0.__file__), "model.onnx")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        audio = np.zeros((1, round(TIMED * SAMPLE_RATE)), np.float32)
        session.run(None, {"audio": audio, "fmin": np.array(47, np.float32), "fmax": np.array(600, np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    total = 0.0
    for event in events:
        details = event.get("args", {})
        if details.get("op_name") not in ("Conv", "FusedConv", "MatMul") or "input_type_shape" not in details:
            continue
        shapes = [next(iter(one.values())) for one in details["input_type_shape"]]
        made = np.prod(next(iter(details["output_type_shape"][0].values())))
        if details["op_name"] == "MatMul":
            total += float(made) * shapes[0][-1]
        else:
            total += float(made) * float(np.prod(shapes[1][1:]))
    return total / TIMED


def milliseconds(work: Callable[[], Any]) -> float:
    """CPU time of the fastest of some repeats, since others may share the machine."""
    work()
    taken = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return 1000 * min(taken)


def times(trackers: dict[str, PitchTracker], rng: np.random.Generator) -> dict[str, Any]:
    """Milliseconds of CPU time of one clip of 4 s, and a clip of 32 that are given at once."""
    frames = round(TIMED * 100)
    clips = [over_peak(synthesise(random_voice(2 * frames, rng), rng)) for _ in range(4)] * (TOGETHER // 4)
    counts = [frames] * len(clips)
    return {
        name: {
            "one_ms": round(milliseconds(partial(tracker, clips[0], frames)), 2),
            "of_32_ms": round(milliseconds(partial(tracker.batch, clips, counts)) / TOGETHER, 2),
        }
        for name, tracker in trackers.items()
    }


def main() -> None:
    parser = corpora_and_clips("pitch_known", __doc__, "*", 40)
    parser.add_argument("--voices", type=int, default=80, help="made of formants (default 80)")
    parser.add_argument("--trackers", nargs="+", choices=get_args(TrackerName), default=get_args(TrackerName))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    try:
        trackers = {name: make_tracker(name) for name in arguments.trackers}
        sets = {"resynthesised": list(spoken(arguments.corpora, arguments.split, arguments.clips, rng))}
    except EchoError as error:
        parser.exit(1, f"{error}\n")
    sets["formants"] = [formant_voice(rng) for _ in range(arguments.voices)]
    found: dict[str, Any] = {"benchmark": "pitch_known", "clips": {name: len(clips) for name, clips in sets.items()}}
    for name, clips in sets.items():
        for condition in CONDITIONS if clips else ():
            audios = worsened(clips, condition)
            for tracker, made in trackers.items():
                row = found.setdefault(f"{name}, {condition}", {})[tracker] = errors(made, clips, audios)
                if not arguments.json:
                    shown = f"gross {row['gross_percent']:6.2f} %  voicing {row['voicing_percent']:6.2f} %"
                    print(
                        f"{name:14s} {condition:22s} {tracker:16s} {shown}  {row['median_cents']:.1f} cents", flush=True
                    )
    found["multiply_adds_per_second"] = {"echo": round(echo_operations())}
    if "swiftf0" in trackers:
        found["multiply_adds_per_second"]["swiftf0"] = round(swift_operations())
    found["times"] = times(trackers, rng)
    found["gflops_of_matrix_products"] = round(matrix_products(), 1)
    if arguments.json:
        print(json.dumps(found))
        return
    for name in ("multiply_adds_per_second", "times", "gflops_of_matrix_products"):
        print(f"{name}: {found[name]}")


if __name__ == "__main__":
    main()
