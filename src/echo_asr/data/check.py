"""Checks a corpus for problems that would break or harm training (`echo-asr corpus check`)."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from echo_asr.audio import load_audio
from echo_asr.audio.convert import samples_to_seconds
from echo_asr.audio.level import SILENCE_PEAK, peak_level, without_offset
from echo_asr.data.corpus import Corpus, Utterance
from echo_asr.data.excluded import Transcribed, apply_conventions
from echo_asr.data.mark_checks import Writing, check_writing, examine_writing
from echo_asr.data.readers.records import Recording
from echo_asr.data.text_checks import Finding, check_rates, check_splits, check_texts
from echo_asr.errors import EchoError
from echo_asr.text.config import TextConfig

LONG = 30.0  # seconds, of a clip
FULL = 0.99  # amplitude from which a sample counts as clipped
CLIPPED = 0.001  # share of clipped samples from which a recording is reported


@dataclass(frozen=True)
class ClipMeasurement:
    """Measurements of a recording."""

    content: bytes = b""  # a digest of its samples, whatever the file format
    clipped: float = 0.0  # share of samples at full scale
    peak: float = 1.0  # amplitude, the constant offset taken out
    seconds: float = 0.0
    error: str = ""  # why it cannot be read; empty if it can


@dataclass(frozen=True)
class Report:
    """The findings of a check.

    Attributes:
        utterances, seconds: of what conventions do not exclude.
        findings: errors first, else in the order of the corpus.
        writing: where tone is written, and marks of the transcriber.
        transcribed: what conventions did.
    """

    corpus: str
    utterances: int
    seconds: float
    findings: tuple[Finding, ...]
    writing: Writing
    transcribed: Transcribed

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
            "excluded": self.transcribed.excluded,
            "seconds": round(self.seconds, 3),
            "errors": self.errors,
            "warnings": len(self.findings) - self.errors,
            "counts": self.counts,
            **self.writing.to_dict(),
            "findings": [asdict(finding) for finding in self.findings],
        }


def check_corpus(
    corpus: Corpus,
    decode: bool = True,
    progress: Callable[[int], None] | None = None,
    text: TextConfig | None = None,
) -> Report:
    """Check a corpus that was read without its broken records.

    Args:
        decode: decode and measure every recording, too, and not only texts, times and splits.
        progress: called with the number of recordings that were decoded.
        text: the settings of the texts in training; the defaults where none are given. What its conventions exclude is
            counted and not looked at.

    Raises:
        EchoError: the conventions exclude all.
    """
    text, tones = (text or TextConfig()).find_tones([u.text for u in corpus.utterances])
    transcribed = apply_conventions(corpus.name, corpus.utterances, text.transcription)
    utterances, normalize = transcribed.utterances, text.normalize
    writing = examine_writing([u.text for u in utterances], text, tones)
    reasons = [(broken.where, broken.message.removeprefix(broken.where).strip(" :")) for broken in corpus.broken]
    findings = [Finding("broken record", "error", *reason) for reason in reasons]
    findings += [Finding(notice.kind, "warning", notice.where, notice.message) for notice in corpus.notices]
    findings += check_splits(corpus.name, utterances, normalize)
    findings += check_writing(corpus.name, writing)
    findings += check_texts(*_used(utterances, writing), normalize)
    findings += check_rates(utterances, normalize)
    for u in utterances:
        if u.duration > LONG:
            what = f"lasts {u.duration:.0f} s; cut it at pauses: up to {LONG:.0f} s needs little memory"
            findings.append(Finding("long clip", "warning", str(u.audio), what))
    if decode:
        findings += check_audio(utterances, _measure_all(utterances, progress))
    findings.sort(key=lambda finding: finding.level != "error")
    seconds = sum(u.duration for u in utterances)
    return Report(corpus.name, len(utterances), seconds, tuple(findings), writing, transcribed)


def _used(utterances: Sequence[Utterance], writing: Writing) -> tuple[list[Utterance], list[str]]:
    """Utterances that proposed conventions do not exclude, and what is left of their texts."""
    pairs = [(u, text) for u, text in zip(utterances, writing.texts, strict=True) if text is not None]
    return [u for u, _ in pairs], [text for _, text in pairs]


def measure_audio(audio: Recording) -> ClipMeasurement:
    """Decode a recording and measure it."""
    try:
        samples = load_audio(audio)
    except EchoError as error:
        return ClipMeasurement(error=str(error))
    return ClipMeasurement(
        hashlib.blake2b(samples.tobytes(), digest_size=16).digest(),
        float((np.abs(samples) >= FULL).mean()),
        peak_level(without_offset(samples)),
        samples_to_seconds(len(samples)),
    )


def _measure_all(utterances: Sequence[Utterance], progress: Callable[[int], None] | None) -> Iterator[ClipMeasurement]:
    """Measure all, in as many threads as there are processors: decoding releases Python's lock."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(utterances), 1000):
            part = utterances[start : start + 1000]
            for done, measured in enumerate(pool.map(measure_audio, (u.audio for u in part)), start=start + 1):
                yield measured
                if progress:
                    progress(done)


def check_audio(utterances: Sequence[Utterance], measurements: Iterator[ClipMeasurement]) -> Iterator[Finding]:
    """Problems of single recordings, and recordings that are equal."""
    same: dict[bytes, list[Utterance]] = defaultdict(list)
    for utterance, found in zip(utterances, measurements, strict=True):
        where = str(utterance.audio)
        if found.error:
            what = f"cannot be read: {found.error.removeprefix(f'{where}: ')}"
            yield Finding("unreadable audio", "error", where, what)
            continue
        same[found.content].append(utterance)
        if found.peak < SILENCE_PEAK:
            if utterance.text.strip():
                level = 20 * np.log10(max(found.peak, 1e-10))
                what = f"is silent ({level:.0f} dBFS at most), and has a text; record it again, or leave it out"
                yield Finding("silence", "warning", where, what)
        elif found.clipped > CLIPPED:
            what = f"is clipped ({100 * found.clipped:.1f} % of its samples); record it again at a lower level"
            yield Finding("clipping", "warning", where, what)
        if abs(found.seconds - utterance.duration) > max(0.5, 0.1 * utterance.duration):
            what = f"lasts {found.seconds:.2f} s, and the corpus states {utterance.duration:.2f} s; correct that"
            yield Finding("wrong duration", "warning", where, what)
    for group in same.values():
        yield from _same(group)


def _same(group: Sequence[Utterance]) -> Iterator[Finding]:
    """Recordings with the same samples: in two splits, or with two texts."""
    first = group[0]
    for other in group[1:]:
        if other.split != first.split:
            what = f"is the recording of {first.audio}, in {other.split} and {first.split}; keep it in one split"
            yield Finding("same audio in two splits", "warning", str(other.audio), what)
        if other.text != first.text:
            what = f"is the recording of {first.audio}, with another text; keep the right one"
            yield Finding("two texts for one recording", "warning", str(other.audio), what)
