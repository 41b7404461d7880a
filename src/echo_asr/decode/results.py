"""The result of recognising a recording. Times are in seconds from its beginning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from echo_asr.text.normalize import join_texts


@dataclass(frozen=True)
class Token:
    """One symbol of the tokenizer, with its times and its probability, not calibrated."""

    text: str
    start: float
    end: float
    probability: float  # 0 to 1


@dataclass(frozen=True)
class Word:
    """A word between spaces, with its times and the probability that it is correct: the lowest of its tokens,
    calibrated if the model is (`echo_asr.model.calibration`)."""

    word: str
    start: float
    end: float
    probability: float  # 0 to 1


@dataclass(frozen=True)
class Sentence:
    """The sentence of a grammar that a segment is nearest to.

    Attributes:
        text: as it is written.
        spoken: as it is spoken, normalised.
        probability: that this sentence was said, calibrated (`echo_asr.decode.sentences`).
        slots: what fills the slots of its template, as `{"room": "kitchen"}`.
        line: of its template in the grammar, from 1.
        intent: of hassil's files; empty elsewhere.
    """

    text: str
    spoken: str
    probability: float
    slots: Mapping[str, str] = field(default_factory=dict)
    line: int = 0
    intent: str = ""


@dataclass(frozen=True)
class Segment:
    """A segment of speech between two pauses.

    Attributes:
        words: of `text`, in order; empty where no times were requested. Tokens: of what was spoken.
        alternatives: the best texts, what was spoken the first, with their scores in nats; empty unless several were
            requested.
        spoken: what was recognised, where `text` writes it otherwise, as `23` for `twenty three`; empty elsewhere.
        sentence: that of the grammar that was searched. The text is empty where it is none of them.
        evidence: that the text was spoken at all (`echo_asr.decode.spoken`), in nats; 0 where it is empty.
    """

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    tokens: tuple[Token, ...] = ()
    alternatives: tuple[tuple[str, float], ...] = ()
    spoken: str = ""
    sentence: Sentence | None = None
    evidence: float = field(default=0.0, compare=False)

    @property
    def said(self) -> str:
        """What was recognised, as it is spoken."""
        return self.spoken or self.text


@dataclass(frozen=True)
class Transcription:
    """The transcription of a recording: its text, its duration in seconds, and its segments in order.

    Attributes:
        rejected: segments of speech that were none of the sentences of a grammar; each has the nearest.
    """

    text: str
    duration: float
    segments: tuple[Segment, ...] = ()
    rejected: tuple[Segment, ...] = ()

    @property
    def said(self) -> str:
        """What was recognised, as it is spoken."""
        return join_texts(segment.said for segment in self.segments) if self.segments else self.text


def placed(segment: Segment, start: float, duration: float) -> Segment:
    """A segment of a piece that begins at `start` and lasts `duration`, its last frame perhaps a little longer."""

    def at(time: float) -> float:
        return start + min(time, duration)

    tokens = tuple(replace(t, start=at(t.start), end=at(t.end)) for t in segment.tokens)
    words = tuple(replace(w, start=at(w.start), end=at(w.end)) for w in segment.words)
    return replace(segment, start=at(segment.start), end=at(segment.end), tokens=tokens, words=words)


def made_of(segments: Sequence[Segment], duration: float) -> Transcription:
    """The transcription of a recording, from its segments in order; those without a text were rejected."""
    said, rejected = (tuple(one for one in segments if bool(one.text) == text) for text in (True, False))
    return Transcription(join_texts(one.text for one in said), duration, said, rejected)


@dataclass(frozen=True)
class Place:
    """A place at which a word that was looked for may be spoken."""

    word: str  # as it was given
    start: float
    end: float
    probability: float  # 0 to 1, that it is spoken there


@dataclass(frozen=True)
class Found:
    """Where words are in a recording: its duration in seconds, and the places in the order of time."""

    duration: float
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Retoned:
    """The tones of a text that was given with its recording.

    Attributes:
        text: with the tones that were found, normalised as the model's texts are. Where none could be found it is the
            given text, normalised.
        written: with the tones that were found, otherwise as it was given, with its punctuation and capitals; the given
            text where no tones were found.
        probabilities: of the tones of each word of `text`, 0 to 1: the share of those texts that have the same tones
            there, among the best that the search found. Empty where no tones were found.
        found: whether tones were found.
        matched: whether the words of the given text could be matched with those of the normalised one; else `written`
            is `text`.
    """

    text: str
    written: str
    probabilities: tuple[float, ...] = ()
    found: bool = True
    matched: bool = True
