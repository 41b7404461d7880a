"""Cutting a long recording by its text: `python -m benchmarks.corpus_cut MODEL CORPUS [--minutes 10] [--json]`.

Joins clips of a corpus with pauses of 0.3 to 1 s, changes 5 % of the words of their text, drops a paragraph of the text
from the recording, and adds clips that are not in the text; then cuts it as `echo-asr corpus cut` does.

An edge of a clip is right if it lies within 0.2 s of the pause between the last word before it and the first after it,
and these are the words at the edge of its text. When each word is spoken is taken from the alignment of its clip of the
corpus with its own text. Planted passages are named where 80 % of their words, or of their time, are.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from benchmarks.arguments import model_and_corpus
from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds, seconds_to_samples
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.data.script import read_script
from echo_asr.decode.cutting import CutRecording, cut_recording
from echo_asr.decode.given_texts import align_each
from echo_asr.decode.load import load
from echo_asr.decode.results import Segment
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError

PAUSES = (0.3, 1.0)  # seconds
PARAGRAPH = 30.0  # seconds of clips
CHANGED = 0.05  # of the words
UNSCRIPTED = 3  # passages
PASSAGE = 8.0  # seconds of each, about
NEAR = 0.2  # seconds
NAMED = 0.8  # of a passage


@dataclass
class Spoken:
    """A word in the recording, in seconds; `word` is its number in the text, -1 for one that is not in it."""

    start: float
    end: float
    word: int


@dataclass
class Made:
    """A recording and its text, on the disk, and what is in them."""

    words: list[Spoken]
    dropped: tuple[int, int]  # the first and last word of the text that are not spoken
    unscripted: list[tuple[float, float]]  # passages, in seconds
    total: int  # words of the text


def make(recognizer: Recognizer, corpus: str, split: str, minutes: float, folder: Path, seed: int) -> Made:
    """Write `long.wav` and `text.txt`, of clips of a split, or of several with commas between, no text twice."""
    rng = np.random.default_rng(seed)
    of_splits = [u for name in split.split(",") for u in load_corpus(corpus).split(name)]
    unique = {recognizer.normalize(u.text): u for u in of_splits}  # a sentence that comes twice may be either
    rows = [u for text, u in unique.items() if text]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    clips = iter(rows)
    seconds = min(60 * minutes, sum(u.duration for u in rows) - UNSCRIPTED * (PASSAGE + 10.0))
    paragraphs: list[tuple[str, list[Utterance]]] = []
    kinds = ["text"] * max(4, int(seconds / (PARAGRAPH + 5.0)))
    kinds[len(kinds) // 2] = "dropped"
    for place in rng.choice(np.arange(1, len(kinds)), UNSCRIPTED, replace=False):
        kinds[int(place)] += " after unscripted"
    for kind in kinds:
        if "unscripted" in kind:
            paragraphs.append(("unscripted", _some(clips, PASSAGE)))
        paragraphs.append((kind.split()[0], _some(clips, PARAGRAPH)))
    vocabulary = sorted({word for u in rows for word in u.text.split()})
    lines: list[str] = []
    spoken: list[Spoken] = []
    unscripted: list[tuple[float, float]] = []
    dropped, count, seconds = (0, 0), 0, 0.0
    with soundfile.SoundFile(folder / "long.wav", "w", SAMPLE_RATE, 1, "PCM_16") as file:
        for kind, rows in paragraphs:
            first, begun = count, len(spoken)
            aligned = list(align_each(recognizer, [u.audio for u in rows], [u.text for u in rows]))
            for utterance, found in zip(rows, aligned, strict=True):
                assert isinstance(found, Segment), found
                if kind != "dropped":
                    pause = np.zeros(seconds_to_samples(rng.uniform(*PAUSES)), np.float32)
                    clip = load_audio(utterance.audio)
                    file.write(pause)
                    seconds += samples_to_seconds(len(pause))
                    for number, word in enumerate(found.words):
                        own = count + number if kind == "text" else -1
                        spoken.append(Spoken(seconds + word.start, seconds + word.end, own))
                    file.write(clip)
                    seconds += samples_to_seconds(len(clip))
                if kind == "unscripted":
                    continue
                words = [word.word for word in found.words]
                changes = rng.random(len(words)) < CHANGED
                words = [str(rng.choice(vocabulary)) if change else w for w, change in zip(words, changes, strict=True)]
                lines.append(" ".join(words))
                count += len(words)
            if kind == "unscripted":
                unscripted.append((spoken[begun].start, spoken[-1].end))
            else:
                lines.append("")
            if kind == "dropped":
                dropped = first, count - 1
    (folder / "text.txt").write_text("\n".join(lines), encoding="utf-8", newline="\n")
    return Made(spoken, dropped, unscripted, count)


def _some(clips: Iterator[Utterance], seconds: float) -> list[Utterance]:
    found: list[Utterance] = []
    while sum(u.duration for u in found) < seconds:
        found.append(next(clips))
    return found


def compare(made: Made, cut: CutRecording) -> dict[str, Any]:
    """How many edges are right, how many words are in the clip in which they are spoken, and what is named."""
    place = {spoken.word: number for number, spoken in enumerate(made.words) if spoken.word >= 0}
    errors: list[float] = []
    for clip in cut.clips:
        for word, edge, side in ((clip.words[0], clip.start, 0), (clip.words[-1], clip.end, 1)):
            if word not in place:  # it is not spoken at all
                errors.append(np.inf)
                continue
            number = place[word] + side
            low = made.words[number - 1].end if number else 0.0
            high = made.words[number].start if number < len(made.words) else cut.duration
            errors.append(max(0.0, low - edge, edge - high))
    inside = {word for clip in cut.clips for word in clip.words
              if word in place and clip.start <= sum((made.words[place[word]].start, made.words[place[word]].end)) / 2
              <= clip.end}  # fmt: skip
    unspoken = {word for first, last in cut.unspoken for word in range(first, last + 1)}
    dropped = set(range(made.dropped[0], made.dropped[1] + 1))
    named = [
        float(np.mean([_covered(w.start, w.end, cut.unwritten) / (w.end - w.start) for w in own]))
        for own in ([w for w in made.words if start <= w.start < end] for start, end in made.unscripted)
    ]
    scripted = [(s.start, s.end) for s in made.words if s.word >= 0]
    finite = np.array(errors)
    return {
        "clips": len(cut.clips),
        "edges_right_percent": round(100 * float(np.mean(finite <= NEAR)), 2),
        "edge_error_p50_p90_ms": [round(1e3 * float(np.quantile(finite, q)), 1) for q in (0.5, 0.9)],
        "words_in_place_percent": round(100 * len(inside) / len(place), 2),
        "spoken_words_listed_as_not_percent": round(100 * len(unspoken - dropped) / len(place), 2),
        "dropped_named_percent": round(100 * len(unspoken & dropped) / len(dropped), 1),
        "unscripted_named_percent": [round(100 * share, 1) for share in named],
        "planted_named": f"{sum(share >= NAMED for share in [*named, len(unspoken & dropped) / len(dropped)])} of "
        f"{len(named) + 1}",
        "scripted_time_listed_as_not_percent": round(
            100 * sum(_covered(a, b, cut.unwritten) for a, b in scripted) / sum(b - a for a, b in scripted), 2
        ),
        "doubtful": sum(bool(clip.doubt) for clip in cut.clips),
    }


def _covered(start: float, end: float, spans: Any) -> float:
    return sum(max(0.0, min(end, b) - max(start, a)) for a, b, _ in spans)


def measure(model: str, corpus: str, split: str, minutes: float, seed: int, keep: Path | None) -> dict[str, Any]:
    torch.set_num_threads(1)
    recognizer = load(model, "cpu")
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        made = make(recognizer, corpus, split, minutes, folder, seed)
        script = read_script(folder / "text.txt", recognizer.normalize)
        assert len(script.words) == made.total, "a word of the corpus is several, or none, in a script"
        began = time.perf_counter()
        cut = cut_recording(recognizer, folder / "long.wav", script)
        taken = time.perf_counter() - began
    settings = {"corpus": corpus, "split": split, "minutes": round(cut.duration / 60, 1), "seed": seed}
    speed = {"times_real_time": round(cut.duration / taken, 1), "threads": 1}
    return {"benchmark": "corpus_cut", **settings, "words": made.total, **compare(made, cut), **speed}


def main() -> None:
    parser = model_and_corpus("corpus_cut", __doc__ or "")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the recording, about (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="another gives another recording (default 0)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the recording and its text there")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args()
    try:
        own = (arguments.minutes, arguments.seed, arguments.keep)
        row = measure(arguments.model, arguments.corpus, arguments.split, *own)
    except EchoError as error:
        parser.exit(1, f"{error}\n")
    print(json.dumps(row) if arguments.json else "\n".join(f"{name:36s} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
