"""Statistics of a corpus (`echo-asr corpus stats`): amounts, characters, and the F0 of its speakers."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from echo_asr.audio import load_audio
from echo_asr.audio.convert import samples_to_frames
from echo_asr.audio.level import to_one_level
from echo_asr.audio.mains_hum import remove_hum
from echo_asr.data.corpus import Corpus, Utterance
from echo_asr.data.unreadable import leave_out_unreadable
from echo_asr.features import FeatureConfig
from echo_asr.features.pitch import TrackerName, make_tracker
from echo_asr.text.normalize import normalize_basic

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
F0_EDGES = tuple(round(50 * 2 ** (step / 4), 1) for step in range(15))  # Hz, a quarter of an octave each, 50 to 566
BAR = 40  # characters, of the longest bar


@dataclass(frozen=True)
class SplitStats:
    """Statistics of one split, or of all."""

    utterances: int
    hours: float
    speakers: int
    characters: int  # of the normalised texts
    seconds: tuple[float, ...]  # quantiles of the durations, at QUANTILES

    def to_dict(self) -> dict[str, Any]:
        """The fields, rounded."""
        seconds = {str(share): round(value, 3) for share, value in zip(QUANTILES, self.seconds, strict=True)}
        return {**asdict(self), "hours": round(self.hours, 4), "seconds": seconds}


@dataclass(frozen=True)
class Stats:
    """Statistics of a corpus.

    Attributes:
        symbols: counts of the characters of the normalised texts, by character and split.
        f0: histogram over a sample: the share of voiced frames below F0_EDGES[0], between the edges, and above the
            last.
        speaker_f0: median F0 in Hz of each speaker of the sample, and the number of clips.
    """

    corpus: str
    splits: dict[str, SplitStats]
    symbols: dict[str, dict[str, int]]
    f0: tuple[float, ...] = ()
    speaker_f0: dict[str, tuple[float, int]] = field(default_factory=dict)
    clips: int = 0  # that F0 was measured on

    def to_dict(self) -> dict[str, Any]:
        """The object that `corpus stats --json` prints."""
        return {
            "corpus": self.corpus,
            "splits": {name: split.to_dict() for name, split in self.splits.items()},
            "symbols": self.symbols,
            "f0": {
                "clips": self.clips,
                "edges_hz": list(F0_EDGES),
                "share": [round(share, 5) for share in self.f0],
                "speakers": {n: {"median_hz": round(hz, 1), "clips": c} for n, (hz, c) in self.speaker_f0.items()},
            },
        }


def measure(
    corpus: Corpus,
    clips: int = 200,
    seed: int = 0,
    tracker: TrackerName = FeatureConfig.tracker,
    progress: Callable[[int], None] | None = None,
    broken: Literal["refuse", "skip"] = "refuse",
) -> Stats:
    """Compute the statistics of a corpus, with F0 measured in a sample of its clips.

    The sample takes clips of all speakers in turn, so that it has each if it is large enough.

    Args:
        clips: to measure F0 in; 0 for none.
        progress: called with the number of clips measured.
        broken: how to treat recordings of the sample that cannot be read: an error, or they are left out.

    Raises:
        EchoError: a recording of the sample cannot be read.
    """
    splits = {name: _count(corpus.split(name)) for name in corpus.splits}
    if len(splits) > 1:
        splits["all"] = _count(corpus.utterances)
    symbols: dict[str, Counter[str]] = defaultdict(Counter)
    for utterance in corpus.utterances:
        for character, count in Counter(normalize_basic(utterance.text)).items():
            symbols[character][utterance.split] += count
    ordered = sorted(symbols, key=lambda character: -symbols[character].total())
    table = {c: {split: symbols[c][split] for split in corpus.splits} for c in ordered}
    sample: Sequence[Utterance] = draw(corpus.utterances, clips, seed)
    if broken == "skip" and sample:
        sample = leave_out_unreadable(corpus.name, sample)
    voiced: dict[str, list[np.ndarray]] = defaultdict(list)
    track = make_tracker(tracker)
    for done, utterance in enumerate(sample, start=1):
        audio = load_audio(utterance.audio)
        f0, _ = track(remove_hum(to_one_level(audio)), max(1, samples_to_frames(len(audio))))
        voiced[utterance.speaker].append(f0[f0 > 0])
        if progress:
            progress(done)
    pooled = np.concatenate([f0 for parts in voiced.values() for f0 in parts]) if sample else np.zeros(0)
    counts = np.bincount(np.searchsorted(F0_EDGES, pooled, side="right"), minlength=len(F0_EDGES) + 1)
    named = {name: np.concatenate(voiced[name]) for name in sorted(filter(None, voiced))}
    speakers = {name: (float(np.median(f0)), len(voiced[name])) for name, f0 in named.items() if len(f0)}
    shares = tuple((counts / len(pooled)).tolist()) if len(pooled) else ()
    return Stats(corpus.name, splits, table, shares, speakers, len(sample))


def _count(utterances: Sequence[Utterance]) -> SplitStats:
    seconds = np.array([u.duration for u in utterances])
    return SplitStats(
        utterances=len(utterances),
        hours=float(seconds.sum()) / 3600,
        speakers=len({u.speaker for u in utterances if u.speaker}),
        characters=sum(len(normalize_basic(u.text)) for u in utterances),
        seconds=tuple(np.quantile(seconds, QUANTILES).tolist()),
    )


def draw(utterances: Sequence[Utterance], clips: int, seed: int) -> list[Utterance]:
    """Up to `clips` utterances, of all speakers in turn, each speaker's in random order."""
    rng = random.Random(seed)
    queues: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        queues[utterance.speaker].append(utterance)
    waiting = [rng.sample(queue, len(queue)) for queue in queues.values()]
    rng.shuffle(waiting)
    chosen: list[Utterance] = []
    while waiting and len(chosen) < clips:
        chosen += [queue.pop() for queue in waiting[: clips - len(chosen)]]
        waiting = [queue for queue in waiting if queue]
    return chosen


def histogram(shares: Sequence[float]) -> list[tuple[str, str, str]]:
    """Rows of a histogram of F0: the class in Hz, its share, and a bar."""
    edges = ["", *(f"{edge:.0f}" for edge in F0_EDGES), ""]
    most = max(shares, default=0.0)
    rows = []
    for low, high, share in zip(edges, edges[1:], shares, strict=False):
        name = f"{low}-{high}" if low and high else f"under {high}" if high else f"over {low}"
        rows.append((name, f"{100 * share:.1f} %", "█" * round(BAR * share / most) if most else ""))
    return rows
