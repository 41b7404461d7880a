"""A corpus that a narrow model learns in seconds: tones whose pitch and formant say the text."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml

from echo_asr.audio.convert import SAMPLE_RATE
from echo_asr.train.state import CHECKPOINT

WORDS = {"a": (130.0, 500.0), "b": (200.0, 1100.0), "c": (310.0, 2300.0)}  # F0 and formant, both in Hz
TEXTS = {
    "train": ("a", "b", "c", "a b", "b a", "b c", "c a", "a a", "c b", "a c", "b b", "c c"),
    "validation": ("a", "c", "b a", "c b"),
    "test": ("b", "a c", "c", "b c", "a b", "c a"),
}
MODEL_FILES = ("config.yaml", "model.safetensors", "tokenizer.json")
SHIFTS = {"train": 1.0, "validation": 1.03, "test": 0.97}  # factors on F0
CONFIG: dict[str, dict[str, Any]] = {
    "features": {"mels": 24, "tracker": "autocorrelation"},
    "model": {
        "features": ["spectrogram", "pitch"],
        "width": 32,
        "heads": 2,
        "feedforward": 48,
        "spectrogram_layers": 1,
        "pitch_layers": 1,
        "decoder_layers": 0,
        "cross_layers": 1,
        "subsampling": 4,
        "dropout": 0.1,
        "vrope": {
            "theta": "axis",
            "rotate_values": False,
            "radius": "acoustic",
            "bias": "quadratic",
            "nulls": "weight",
        },
        "text_nulls": "weight",
        "cross_nulls": "weight",
    },
    "train": {
        "max_steps": 6,
        "batch_seconds": 3.0,
        "learning_rate": 0.01,
        "warmup_steps": 2,
        "noisy_copies": 0,
        "concatenated_share": 0.0,
        "noise_share": 0.1,
        "validate_every": 3,
        "validation_utterances": 4,
        "checkpoint_every": 2,
        "log_every": 1,
    },
}


def tone(text: str, shift: float = 1.0, seconds: float = 0.16) -> np.ndarray:
    """`(S,)`: a harmonic tone for every word, silence before, between and after; `shift` is a factor on F0."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    gap = np.zeros(int(0.04 * SAMPLE_RATE))
    parts = [gap]
    for word in text.split():
        f0, formant = WORDS[word]
        harmonics = f0 * shift * np.arange(1, int(7000 / (f0 * shift)) + 1)
        strength = 1.0 / (1.0 + ((harmonics - formant) / 200.0) ** 2) + 0.02
        voice = (strength[:, None] * np.sin(2 * np.pi * harmonics[:, None] * time)).sum(0)
        parts += [0.3 * np.hanning(time.size) ** 0.5 * voice / np.abs(voice).max(), gap]
    return np.concatenate(parts).astype(np.float32)


def write_corpus(folder: Path, rows: Sequence[tuple[str, str, float]]) -> Path:
    """A folder corpus of `(split, text, shift)`; a text of words that no tone is known for is spoken as `a`."""
    folder.mkdir(parents=True)
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file_name", "transcription", "speaker", "split"))
        for number, (split, text, shift) in enumerate(rows):
            name = f"{number:02d}.wav"
            spoken = " ".join(word if word in WORDS else "a" for word in text.split())
            soundfile.write(folder / name, tone(spoken, shift), SAMPLE_RATE)
            writer.writerow((name, text, f"voice {shift:g}", split))
    return folder


def write_config(path: Path, **sections: dict[str, Any]) -> Path:
    """CONFIG as YAML, with some keys of some sections changed."""
    path.write_text(
        yaml.safe_dump({name: {**CONFIG[name], **sections.get(name, {})} for name in CONFIG}), encoding="utf-8"
    )
    return path


def checkpoint(run: Path) -> dict[str, Any]:
    """What a run's checkpoint holds, but for the seconds that it took."""
    state: dict[str, Any] = torch.load(run / CHECKPOINT, weights_only=True)
    for name in ("seconds", "cpu_seconds"):
        del state["progress"][name]
    return state


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics, but for what tells of the time that they took."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    timed = ("seconds", "cpu_seconds", "audio_per_second", "data_wait")
    return [{key: value for key, value in line.items() if key not in timed} for line in lines]


def same(left: Any, right: Any) -> bool:
    """Whether two trees of containers, tensors and values are equal to the bit."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    return bool(left == right)


def assert_same_run(run: Path, expected: Path) -> None:
    """Weights, averages, optimizer, random numbers, place, metrics and the best model, all equal to the bit."""
    assert same(checkpoint(run), checkpoint(expected))
    assert metrics(run) == metrics(expected)
    for name in MODEL_FILES:
        assert (run / name).read_bytes() == (expected / name).read_bytes(), name


def snapshot(folder: Path) -> dict[Path, bytes]:
    """What every file under a folder holds."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
