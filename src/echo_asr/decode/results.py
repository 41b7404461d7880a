"""The result of recognising a recording. Times are in seconds from its beginning."""

from __future__ import annotations

from dataclasses import dataclass


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
class Segment:
    """A segment of speech between two pauses.

    Attributes:
        words, tokens: of `text`, in order; empty where no times were requested.
        alternatives: the best texts, `text` the first, with their scores in nats; empty unless several were requested.
    """

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    tokens: tuple[Token, ...] = ()
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Transcription:
    """The transcription of a recording: its text, its duration in seconds, and its segments in order."""

    text: str
    duration: float
    segments: tuple[Segment, ...] = ()


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
