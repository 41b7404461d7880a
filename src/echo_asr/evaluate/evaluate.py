"""Evaluates a model on a corpus by its free-running transcriptions, without teacher forcing."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from echo_asr.audio import load_audio
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import Utterance
from echo_asr.data.silent import describe_silent
from echo_asr.data.speakers import speaker_voices
from echo_asr.decode.results import Sentence, Transcription
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.evaluate.by_speaker import SpeakerErrors, errors_by_speaker, speaker_lines
from echo_asr.evaluate.calibration import Confidence, measure_confidence, score_words
from echo_asr.evaluate.collapse import find_collapse
from echo_asr.evaluate.metrics import ErrorRate, error_rate
from echo_asr.evaluate.tone_errors import ToneErrors, tone_errors
from echo_asr.storage import replace_text
from echo_asr.text.written import written

COLLAPSED = (
    "it ignores the audio, or the audio is unlike that of its training: check that its training converged, and that "
    "these recordings have speech of that language"
)


@dataclass(frozen=True)
class Evaluation:
    """Error rates of a corpus split.

    Attributes:
        wer, cer: of what was spoken, on texts normalised as those of the model, with 95 % intervals.
        raw_wer, raw_cer: on texts that are not normalised, as they are written.
        tones: errors of tones, of base syllables and of words without tones (see `tone_errors`); None where the model's
            texts have no tone.
        audio_seconds: of speech; wall_seconds: of reading, feature extraction and decoding.
        references, hypotheses: not normalised, in corpus order.
        confidence: calibration of the word probabilities; None where no word was recognised.
        speakers: the errors of each speaker; empty where there are not two.
        written: of words, where the model writes otherwise than is spoken (`text.written`), on normalised texts that
            are written in the same way; else None.
        sentences: of a grammar, those that each utterance is nearest to, accepted or not; empty without one.
    """

    corpus: str
    split: str
    utterances: int
    wer: ErrorRate
    cer: ErrorRate
    raw_wer: ErrorRate
    raw_cer: ErrorRate
    audio_seconds: float
    wall_seconds: float
    references: list[str]
    hypotheses: list[str]
    tones: ToneErrors | None = None
    confidence: Confidence | None = None
    speakers: Sequence[SpeakerErrors] = ()
    sentences: Sequence[Sequence[Sentence]] = ()
    written: ErrorRate | None = None

    def to_dict(self) -> dict[str, Any]:
        """The object that `evaluate --json` prints."""
        return {
            "corpus": self.corpus,
            "split": self.split,
            "utterances": self.utterances,
            "wer": self.wer.to_dict(),
            "cer": self.cer.to_dict(),
            **(self.tones.to_dict() if self.tones else {}),
            **({"written": self.written.to_dict()} if self.written else {}),
            **({"calibration": self.confidence.to_dict()} if self.confidence else {}),
            **({"speakers": [one.to_dict() for one in self.speakers]} if self.speakers else {}),
            "raw": {"wer": self.raw_wer.to_dict(), "cer": self.raw_cer.to_dict()},
            "audio_seconds": round(self.audio_seconds, 3),
            "wall_seconds": round(self.wall_seconds, 3),
            "real_time_factor": round(self.wall_seconds / self.audio_seconds, 5) if self.audio_seconds else 0.0,
        }


def evaluate(
    recognizer: Recognizer,
    corpus: str,
    split: str,
    utterances: Sequence[Utterance],
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Transcribe utterances and count the errors.

    For a model to which it makes a difference who speaks, the voice of each speaker is measured first, without the
    texts.

    Args:
        corpus, split: names for the report.
        progress: called with the number of utterances done.
    """
    start = time.perf_counter()
    voices = speaker_voices(utterances, recognizer.extractor, recognizer.pitch_by_speaker)
    normal = recognizer.bundle.text.normalize
    hypotheses: list[str] = []
    spoken: list[str] = []
    sentences: list[list[Sentence]] = []
    scored: list[tuple[np.ndarray, np.ndarray]] = []
    for index, found in recognizer.transcribe_each([u.audio for u in utterances], voices=voices):
        if isinstance(found, EchoError):
            raise found
        if isinstance(found, Transcription):
            hypotheses.append(found.text)
            spoken.append(found.said)
            sentences.append(nearest_sentences(found))
            scored.append(score_words([utterances[index].text], [found.segments], normal))
            if progress:
                progress(len(hypotheses))
    wall = time.perf_counter() - start
    references = [u.text for u in utterances]
    _warn_of_silence(recognizer, f"{corpus}, {split}", utterances, hypotheses)
    scores, right = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    if collapse := find_collapse(references, spoken):
        warnings.warn(f"{corpus}, {split}: of this model: {collapse}; {COLLAPSED}", stacklevel=2)
    pairs = [normal(r) for r in references], [normal(h) for h in spoken]
    # A model of before its notation was part of it, has that of the texts.
    settled, _ = recognizer.bundle.text.find_tones(references)
    notation = settled.measured_notation(references)
    if settled.notation and not notation:
        what = settled.lost_signs(references)
        warnings.warn(f"{corpus}, {split}: no tone error, as {what}, and train again", stacklevel=2)
    return Evaluation(
        corpus=corpus,
        split=split,
        utterances=len(utterances),
        wer=error_rate(*pairs, unit="word"),
        cer=error_rate(*pairs, unit="character"),
        raw_wer=error_rate(references, hypotheses, unit="word"),
        raw_cer=error_rate(references, hypotheses, unit="character"),
        audio_seconds=sum(u.duration for u in utterances),
        wall_seconds=wall,
        references=references,
        hypotheses=hypotheses,
        tones=tone_errors(*pairs, notation) if notation else None,
        confidence=measure_confidence(scores, right, recognizer.bundle.calibration),
        speakers=errors_by_speaker([u.speaker for u in utterances], *pairs, notation),
        sentences=sentences,
        written=_written_error(recognizer.bundle.text.written, *pairs),
    )


def _written_error(language: str, references: Sequence[str], spoken: Sequence[str]) -> ErrorRate | None:
    if language == "none":
        return None
    wanted, found = ([written(text, language) for text in texts] for texts in (references, spoken))
    return error_rate(wanted, found, unit="word")


def nearest_sentences(found: Transcription) -> list[Sentence]:
    """The sentences of a grammar that the segments of a recording are nearest to, accepted or not."""
    return [segment.sentence for segment in (*found.segments, *found.rejected) if segment.sentence]


def _warn_of_silence(recognizer: Recognizer, where: str, utterances: Sequence[Utterance], texts: Sequence[str]) -> None:
    """Warn of silent recordings that have a text nevertheless."""
    normal, measure = recognizer.bundle.text.normalize, recognizer.extractor.measure_acoustic
    empty = [u for u, text in zip(utterances, texts, strict=True) if not text and normal(u.text)]
    silent = [str(u.audio) for u in empty if measure(load_audio(u.audio)).null.all()]
    if silent:
        message = describe_silent(silent, len(utterances), "all of which count as errors")
        warnings.warn(f"{where}: {message}", stacklevel=3)


def summary(found: Evaluation) -> str:
    """The report that `evaluate` prints."""
    speed = found.audio_seconds / found.wall_seconds if found.wall_seconds else float("inf")
    return "\n".join(
        (
            f"{found.corpus}, {found.split}: {found.utterances} utterances, {found.audio_seconds / 60:.1f} min",
            f"word error       {found.wer}",
            f"character error  {found.cer}",
            *((f"written words    {found.written}",) if found.written else ()),
            *(found.tones.lines() if found.tones else ()),
            *speaker_lines(found.speakers),
            *((f"calibration error {found.confidence}",) if found.confidence else ()),
            f"as they stand    {found.raw_wer.percent:.2f} % of words, {found.raw_cer.percent:.2f} % of characters",
            f"speed            {speed:.0f} times real time",
        )
    )


def write_texts(path: Path, utterances: Sequence[Utterance], found: Evaluation) -> None:
    """Write `file, reference, hypothesis` of each utterance as JSON lines; of a segment of a file also its `start` and
    `duration` in seconds.

    Raises:
        EchoError: the file cannot be written.
    """
    rows = zip(utterances, found.references, found.hypotheses, strict=True)
    lines = (json.dumps({**_source(u), "reference": r, "hypothesis": h}, ensure_ascii=False) + "\n" for u, r, h in rows)
    replace_text(path, "".join(lines))


def _source(utterance: Utterance) -> dict[str, str | float]:
    """The file of an utterance, and its times in it."""
    audio = utterance.audio
    if isinstance(audio, AudioSegment):
        return {"file": str(audio.path), "start": audio.start, "duration": utterance.duration}
    return {"file": str(audio)}
