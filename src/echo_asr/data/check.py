"""What `echo-asr corpus check` does: find in a corpus what will hurt, before a night of training does."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from echo_asr.audio import load_audio
from echo_asr.audio.convert import samples_to_seconds
from echo_asr.audio.level import SILENCE_PEAK, peak_level, without_offset
from echo_asr.data.corpus import Corpus, Utterance
from echo_asr.data.readers.records import Recording
from echo_asr.data.text_checks import Finding, check_rates, check_splits, check_texts, check_words
from echo_asr.errors import EchoError
from echo_asr.text.normalize import Normalizer, normalize_basic

LONG = 30.0  # seconds, of a clip
FULL = 0.99  # amplitude from which a sample counts as clipped
CLIPPED = 0.001  # share of samples that are


@dataclass(frozen=True)
class CrossAttentionOutput:
    """What is measured in a recording."""

    content: bytes = b""  # a digest of its samples, whatever the file format
    clipped: float = 0.0  # share of samples at full scale
    peak: float = 1.0  # amplitude, the constant offset taken out
    seconds: float = 0.0
    error: str = ""  # why it cannot be read


@dataclass(frozen=True)
class Report:
    """All that was found.

    Attributes:
        findings: the errors first, then in the order of the corpus.
    """

    corpus: str
    utterances: int
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """Findings that break training."""
        return sum(finding.level == "error" for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """Findings of each kind."""
        return dict(Counter(finding.kind for finding in self.findings))

    def to_dict(self) -> dict[str, Any]:
        """The object that `corpus check --json` prints."""
        return {
            "corpus": self.corpus,
            "utterances": self.utterances,
            "seconds": round(self.seconds, 3),
            "errors": self.errors,
            "warnings": len(self.findings) - self.errors,
            "counts": self.counts,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def check_corpus(
    corpus: Corpus,
    listen: bool = True,
    progress: Callable[[int], None] | None = None,
    normalize: Normalizer = normalize_basic,
) -> Report:
    """Look for what will hurt in a corpus that was read with its broken records left out.

    Args:
        listen: decode every recording; without, texts, times and splits alone are checked.
        progress: called with how many recordings were listened to.
        normalize: what the texts will pass through in training.
    """
    findings = [
        Finding("broken record", "error", b.where, b.message.removeprefix(b.where).strip(" :")) for b in corpus.broken
    ]
    findings += [Finding(doubt.kind, "warning", doubt.where, doubt.message) for doubt in corpus.doubts]
    findings += check_splits(corpus.name, corpus.utterances, normalize)
    findings += check_texts(corpus.utterances, normalize)
    findings += check_words(corpus.name, corpus.utterances, normalize)
    findings += check_rates(corpus.utterances, normalize)
    findings += _long(corpus.utterances)
    if listen:
        findings += check_audio(corpus.utterances, _listen_all(corpus.utterances, progress))
    findings.sort(key=lambda finding: finding.level != "error")
    return Report(corpus.name, len(corpus.utterances), sum(u.duration for u in corpus.utterances), tuple(findings))


def _long(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    for utterance in utterances:
        if utterance.duration > LONG:
            told = f"lasts {utterance.duration:.0f} s; cut it at pauses: up to {LONG:.0f} s needs little memory"
            yield Finding("long clip", "warning", str(utterance.audio), told)


def listen(audio: Recording) -> CrossAttentionOutput:
    """Measure a recording."""
    try:
        samples = load_audio(audio)
    except EchoError as error:
        return CrossAttentionOutput(error=str(error))
    return CrossAttentionOutput(
        hashlib.blake2b(samples.tobytes(), digest_size=16).digest(),
        float((np.abs(samples) >= FULL).mean()),
        peak_level(without_offset(samples)),
        samples_to_seconds(len(samples)),
    )


def _listen_all(
    utterances: Sequence[Utterance], progress: Callable[[int], None] | None
) -> Iterator[CrossAttentionOutput]:
    """Measure all, in as many threads as there are processors: decoding leaves Python's lock alone."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(utterances), 1000):
            part = utterances[start : start + 1000]
            for done, heard in enumerate(pool.map(listen, (u.audio for u in part)), start=start + 1):
                yield heard
                if progress:
                    progress(done)


def check_audio(utterances: Sequence[Utterance], heard: Iterator[CrossAttentionOutput]) -> Iterator[Finding]:
    """What is wrong with recordings, each by itself, and which are the same."""
    same: dict[bytes, list[Utterance]] = defaultdict(list)
    for utterance, found in zip(utterances, heard, strict=True):
        where = str(utterance.audio)
        if found.error:
            told = f"cannot be read: {found.error.removeprefix(f'{where}: ')}"
            yield Finding("unreadable audio", "error", where, told)
            continue
        same[found.content].append(utterance)
        if found.peak < SILENCE_PEAK:
            if utterance.text.strip():
                level = 20 * np.log10(max(found.peak, 1e-10))
                told = f"is silent ({level:.0f} dBFS at most), and has a text; record it again, or leave it out"
                yield Finding("silence", "warning", where, told)
        elif found.clipped > CLIPPED:
            told = f"is clipped ({100 * found.clipped:.1f} % of its samples); record it again at a lower level"
            yield Finding("clipping", "warning", where, told)
        if abs(found.seconds - utterance.duration) > max(0.5, 0.1 * utterance.duration):
            told = f"lasts {found.seconds:.2f} s, and the corpus says {utterance.duration:.2f} s; correct the duration"
            yield Finding("wrong duration", "warning", where, told)
    for group in same.values():
        yield from _same(group)


def _same(group: Sequence[Utterance]) -> Iterator[Finding]:
    """Recordings with the same samples: in two splits, or with two texts."""
    first = group[0]
    for other in group[1:]:
        if other.split != first.split:
            told = f"is the recording of {first.audio}, in {other.split} and {first.split}; keep it in one split"
            yield Finding("same audio in two splits", "warning", str(other.audio), told)
        if other.text != first.text:
            told = f"is the recording of {first.audio}, with another text; keep the right one"
            yield Finding("two texts for one recording", "warning", str(other.audio), told)
