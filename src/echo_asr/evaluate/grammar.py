"""How well a grammar does: sentences that are wrong or refused, and what is taken for a sentence and is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from echo_asr.audio.load import Audio
from echo_asr.console import counted
from echo_asr.data.corpus import Utterance
from echo_asr.data.noise import noise_clips
from echo_asr.data.speakers import speaker_voices
from echo_asr.decode.results import Sentence, Transcription
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.evaluate.calibration import expected_calibration_error
from echo_asr.evaluate.evaluate import Evaluation, evaluate, nearest_sentences
from echo_asr.evaluate.intervals import rate_interval
from echo_asr.features.voice import Voice
from echo_asr.text.grammar.interpretation import Interpretation

NOISE_SECONDS, NOISE_CLIPS = 3.0, 220  # 11 minutes of sounds without speech, of seeds that no training draws
NOISE_SEED = 1 << 40
LEVELS = (-20.0, -35.0, -50.0)  # dBFS


@dataclass(frozen=True)
class Share:
    """A share in percent, with its 95 % interval."""

    count: int
    of: int
    percent: float
    ci95: tuple[float, float]

    @staticmethod
    def over(wrong: Sequence[bool]) -> Share:
        """The share of what is wrong."""
        errors = np.array(wrong, dtype=np.float64)
        low, high = rate_interval(errors, np.zeros(len(errors)), np.ones(len(errors)))
        percent = 100 * float(errors.mean()) if wrong else 0.0
        return Share(int(errors.sum()), len(errors), percent, (100 * low, 100 * high))

    def __str__(self) -> str:
        return f"{self.percent:.2f} % ({self.ci95[0]:.2f} to {self.ci95[1]:.2f}; {self.count} of {self.of})"

    def to_dict(self) -> dict[str, Any]:
        """The fields for JSON."""
        return {"count": self.count, "of": self.of, "percent": self.percent, "ci95": list(self.ci95)}


@dataclass(frozen=True)
class Accepted:
    """What is taken for sentences in recordings without any.

    Attributes:
        probabilities: of the most probable sentence in each recording; 0 where none is heard.
        hours: of recordings.
    """

    probabilities: np.ndarray
    hours: float

    def at(self, least: float) -> Share:
        """The share of recordings in which a sentence is accepted that has at least this probability."""
        return Share.over((self.probabilities >= max(least, 1e-300)).tolist())

    def an_hour(self, least: float) -> tuple[float, float, float]:
        """Recordings of an hour in which a sentence is accepted, with the 95 % interval."""
        found, each = self.at(least), len(self.probabilities) / self.hours / 100
        return found.percent * each, found.ci95[0] * each, found.ci95[1] * each


@dataclass(frozen=True)
class GrammarEvaluation:
    """What a grammar does on a split of a corpus.

    Attributes:
        name, sentences: of the grammar, and how many it gives.
        least: probability from which on a sentence is accepted.
        inside: the usual evaluation of utterances that are sentences of it; None without any.
        within: these.
        right: of each of these, whether the most probable sentence is the one that was said; probabilities: of that.
        meant: of each, whether it is also written as the one that was said, with the same slots.
        outside: utterances that are none of them; None without any.
        noise: sounds without speech.
    """

    name: str
    sentences: int
    least: float
    inside: Evaluation | None
    within: Sequence[Utterance]
    right: np.ndarray
    meant: np.ndarray
    probabilities: np.ndarray
    outside: Accepted | None
    noise: Accepted

    def sentence_error(self, least: float | None = None) -> Share:
        """Sentences that are rejected, or taken for another."""
        return Share.over((~(self.right & self._accepted(least))).tolist())

    def meaning_error(self) -> Share:
        """The same, where a sentence is right that means what was said: it is written alike, and has the same slots."""
        return Share.over((~(self.meant & self._accepted(None))).tolist())

    def rejected(self, least: float | None = None) -> Share:
        """Sentences that are rejected."""
        return Share.over((~self._accepted(least)).tolist())

    def confused(self, least: float | None = None) -> Share:
        """Sentences that are taken for another."""
        return Share.over((~self.right & self._accepted(least)).tolist())

    def _accepted(self, least: float | None) -> np.ndarray:
        accepted: np.ndarray = self.probabilities >= max(self.least if least is None else least, 1e-300)
        return accepted

    def false_accepts(self, least: float) -> float:
        """An hour of speech outside the grammar, or of noise, whichever has more."""
        return max(part.an_hour(least)[0] for part in (self.outside, self.noise) if part)

    def threshold(self, most: float) -> float:
        """The lowest probability with at most so many false accepts an hour; 1 where none is high enough."""
        parts = [part.probabilities for part in (self.outside, self.noise) if part]
        steps = np.nextafter(np.concatenate((*parts, [0.0])), 2.0)
        return min(1.0, *(float(step) for step in np.unique(steps) if self.false_accepts(step) <= most), 1.0)

    def curve(self) -> list[tuple[float, float, float]]:
        """Probability, false accepts an hour, and false rejects in percent, from the lowest probability on."""
        parts = [part.probabilities for part in (self.outside, self.noise) if part]
        steps = np.unique(np.concatenate((*parts, self.probabilities, [0.0])))
        return [(float(p), self.false_accepts(p), self.rejected(p).percent) for p in np.nextafter(steps, 2.0)]

    def lines(self, most: float) -> Iterator[str]:
        """The report, with the threshold for at most so many false accepts an hour. Without an utterance that is a
        sentence none is given, since what it would cost is not known."""
        number = counted(self.sentences, "sentence")
        yield f"{self.name}: {number}, accepted from probability {self.least:g} on (decode.reject)"
        if self.inside:
            yield f"sentence error   {self.sentence_error()}"
            yield f"  rejected       {self.rejected()}"
            yield f"  another one    {self.confused()}"
            yield f"meaning error    {self.meaning_error()}"
        else:
            texts = len(self.outside.probabilities) if self.outside else 0
            yield f"sentence error   not known: none of the {counted(texts, 'text')} is a sentence of the grammar"
        for what, part in (("other speech", self.outside), ("noise", self.noise)):
            if part:
                rate, low, high = part.an_hour(self.least)
                share = f"{part.at(self.least)} accepted, {rate:.1f} an hour ({low:.1f} to {high:.1f})"
                yield f"{what:<16} {share}, {60 * part.hours:.1f} min"
            else:
                yield f"{what:<16} none in the corpus, so that nothing is known of it"
        if self.inside:
            least = self.threshold(most)
            accepts = f"at most {most:g} false accept{'' if most == 1 else 's'} an hour"
            lost = f"which rejects {self.rejected(least)} of the sentences"
            yield f"{accepts}: --decode.reject {least:.4g}, {lost}"

    def to_dict(self, most: float) -> dict[str, Any]:
        """The same for JSON."""
        parts = {
            name: {**part.at(self.least).to_dict(), "an_hour": part.an_hour(self.least)[0], "hours": part.hours}
            for name, part in (("outside", self.outside), ("noise", self.noise))
            if part
        }
        return {
            "grammar": self.name,
            "sentences": self.sentences,
            "reject": self.least,
            "within": len(self.within),
            **(self._errors() if self.inside else {}),
            **parts,
            **({"threshold": self._threshold_fields(most)} if self.inside else {}),
        }

    def _errors(self) -> dict[str, Any]:
        """What is known where there are sentences, for JSON."""
        return {
            "sentence_error": self.sentence_error().to_dict(),
            "rejected": self.rejected().to_dict(),
            "another": self.confused().to_dict(),
            "meaning_error": self.meaning_error().to_dict(),
            "calibration_error": expected_calibration_error(self.probabilities, self.right),
        }

    def _threshold_fields(self, most: float) -> dict[str, Any]:
        least = self.threshold(most)
        return {"false_accepts": most, "reject": least, "rejected": self.rejected(least).to_dict()}


def evaluate_grammar(
    recognizer: Recognizer,
    corpus: str,
    split: str,
    utterances: Sequence[Utterance],
    progress: Callable[[int], None] | None = None,
) -> GrammarEvaluation:
    """Evaluate a recogniser that listens for the sentences of a grammar.

    Args:
        utterances: those whose text is a sentence of it, and others, which should be rejected.
        progress: called with the number of utterances and clips of noise done.
    """
    sentences = recognizer.sentences
    assert sentences is not None
    inner, others = split_by_grammar(recognizer, utterances)
    within = [u for u, _ in inner]
    inside = evaluate(recognizer, corpus, split, within, progress) if within else None
    best = [max(heard, key=lambda one: one.probability, default=None) for heard in (inside.sentences if inside else ())]
    said = [meaning for _, meaning in inner]
    pairs = list(zip(best, said, strict=True))
    done = len(within)

    def step(count: int) -> None:
        if progress:
            progress(done + count)

    outside = None
    if others:
        voices = speaker_voices(others, recognizer.extractor, recognizer.pitch_by_speaker)
        seconds = sum(u.duration for u in others)
        outside = _accepted(recognizer, [u.audio for u in others], seconds, step, voices)
        done += len(others)
    return GrammarEvaluation(
        name=sentences.grammar.report.name,
        sentences=sentences.grammar.report.sentences,
        least=sentences.least,
        inside=inside,
        within=within,
        right=np.array([found is not None and found.spoken == meaning.spoken for found, meaning in pairs], dtype=bool),
        meant=np.array([_same(found, meaning.written, meaning.slots) for found, meaning in pairs], dtype=bool),
        probabilities=np.array([found.probability if found else 0.0 for found in best]),
        outside=outside,
        noise=_accepted(recognizer, noises(), NOISE_CLIPS * NOISE_SECONDS, step),
    )


def split_by_grammar(
    recognizer: Recognizer, utterances: Sequence[Utterance]
) -> tuple[list[tuple[Utterance, Interpretation]], list[Utterance]]:
    """The utterances whose text is a sentence of the recogniser's grammar, each with what it means, and the others."""
    assert recognizer.sentences is not None
    grammar, normal = recognizer.sentences.grammar, recognizer.normalize
    meanings = [(u, grammar.interpret(normal(u.text))) for u in utterances]
    return [(u, meaning) for u, meaning in meanings if meaning], [u for u, meaning in meanings if not meaning]


def noises() -> list[np.ndarray]:
    """Sounds without speech of every kind that training draws from, of other seeds."""
    return noise_clips(NOISE_CLIPS, NOISE_SECONDS, NOISE_SEED, LEVELS)


def _same(found: Sentence | None, written: str, slots: dict[str, str]) -> bool:
    return found is not None and (found.text, dict(found.slots)) == (written, slots)


def _accepted(
    recognizer: Recognizer,
    sources: Sequence[Audio],
    seconds: float,
    progress: Callable[[int], None],
    voices: Sequence[Voice] = (),
) -> Accepted:
    probabilities = []
    for _, found in recognizer.transcribe_each(sources, words=False, voices=voices):
        if isinstance(found, EchoError):
            raise found
        if isinstance(found, Transcription):
            probabilities.append(max((one.probability for one in nearest_sentences(found)), default=0.0))
            progress(len(probabilities))
    return Accepted(np.array(probabilities), seconds / 3600)
