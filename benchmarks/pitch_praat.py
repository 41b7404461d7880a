"""F0 beside that of Praat: `python -m benchmarks.pitch_praat CORPUS... [--clips 80] [--floor 60] [--json]`.

Of the frames of a corpus's validation clips that both call voiced, the share on which the two agree within half a
semitone. Praat's frames have other times; Echo's F0 there is interpolated in octaves between the two frames beside it,
both voiced. Praat measures by autocorrelation with its default settings, but for the floor and a ceiling of 600 Hz.

It needs Praat as a Python module, which is GPL and no dependency of Echo: pip install praat-parselmouth.
"""

from __future__ import annotations

import importlib
import json
from typing import Any, get_args

import numpy as np
import torch

from benchmarks.arguments import corpora_and_clips
from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE, seconds_to_frames
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.recording_pitch import measure_pitch
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.features.pitch import TrackerName

STEP = 0.01  # seconds between Praat's frames
CEILING = 600.0  # Hz
NEAR = 0.5  # semitones within which the two agree
GROSS = 6.0  # semitones from which they disagree by an octave or another harmonic
SEED = 0  # of the draw of clips


def f0_at(f0: np.ndarray, times: np.ndarray) -> np.ndarray:
    """F0 of frames `(T,)` in Hz at other times in seconds, 0 where either of the two frames beside a time is unvoiced
    or missing."""
    place = seconds_to_frames(times)
    before = np.clip(np.floor(place).astype(int), 0, len(f0) - 1)
    after = np.minimum(before + 1, len(f0) - 1)
    voiced = (f0[before] > 0) & (f0[after] > 0)
    low, high = (np.log2(np.where(voiced, f0[beside], 1.0)) for beside in (before, after))
    return np.where(voiced, np.exp2(low + (place - before) * (high - low)), 0.0)


def praat_f0(praat: Any, audio: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Praat's times in seconds, and its F0 there in Hz, 0 where unvoiced."""
    sound = praat.Sound(audio.astype(np.float64), SAMPLE_RATE)
    pitch = sound.to_pitch_ac(time_step=STEP, pitch_floor=floor, pitch_ceiling=CEILING)
    return pitch.xs(), pitch.selected_array["frequency"]


def compare(praat: Any, corpus: str, split: str, clips: int, floor: float, tracker: TrackerName) -> dict[str, Any]:
    """The figures of a corpus. Clips that are too short for Praat are drawn again."""
    utterances = load_corpus(corpus).split(split)
    extractor = FeatureExtractor(FeatureConfig(tracker=tracker))
    ours, theirs, used = [], [], 0
    for number in np.random.default_rng(SEED).permutation(len(utterances)).tolist():
        audio = load_audio(utterances[number].audio)
        if len(audio) / SAMPLE_RATE * floor < 3:  # periods in Praat's window
            continue
        times, found = praat_f0(praat, audio, floor)
        ours.append(f0_at(measure_pitch(audio, extractor).f0, times))
        theirs.append(found)
        used += 1
        if used == clips:
            break
    echo, other = np.concatenate(ours), np.concatenate(theirs)
    both = (echo > 0) & (other > 0)
    apart = 12.0 * np.abs(np.log2(echo[both] / other[both]))  # semitones
    return {
        "benchmark": "pitch_praat", "corpus": corpus, "split": split, "clips": used, "tracker": tracker,
        "floor_hz": floor, "voiced_in_both": int(both.sum()), "voiced_in_echo": int((echo > 0).sum()),
        "voiced_in_praat": int((other > 0).sum()), "within_half_a_semitone": int((apart <= NEAR).sum()),
        "percent": round(100 * float((apart <= NEAR).mean()), 2),
        "median_semitones": round(float(np.median(apart)), 4),
        "gross_percent": round(100 * float((apart > GROSS).mean()), 2),
    }  # fmt: skip


def main() -> None:
    parser = corpora_and_clips("pitch_praat", __doc__, "+", 80)
    parser.add_argument("--floor", type=float, default=60.0, help="Hz, the lowest F0 for Praat (default 60)")
    parser.add_argument("--tracker", choices=get_args(TrackerName), default="swiftf0", help="of Echo (default swiftf0)")
    arguments = parser.parse_args()
    try:
        praat = importlib.import_module("parselmouth")
    except ImportError:
        parser.exit(1, "this benchmark needs Praat as a Python module: pip install praat-parselmouth\n")
    torch.set_num_threads(1)
    near = total = 0
    for corpus in arguments.corpora:
        how = (arguments.split, arguments.clips, arguments.floor, arguments.tracker)
        try:
            row = compare(praat, corpus, *how)
        except EchoError as error:
            parser.exit(1, f"{error}\n")
        near, total = near + row["within_half_a_semitone"], total + row["voiced_in_both"]
        shown = f"within half a semitone, median {row['median_semitones']:.3f}, gross {row['gross_percent']:.2f} %"
        voiced = f"{row['voiced_in_both']} frames voiced in both, {row['voiced_in_echo']} and {row['voiced_in_praat']}"
        line = f"{corpus}: {row['clips']} clips, {voiced} in either; {row['percent']:.2f} % {shown}"
        print(json.dumps(row) if arguments.json else line, flush=True)
    if len(arguments.corpora) > 1 and not arguments.json:
        print(f"all: {total} frames voiced in both, {100 * near / max(total, 1):.2f} % within half a semitone")


if __name__ == "__main__":
    main()
