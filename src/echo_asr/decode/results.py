"""What a recogniser says of a recording. Times are in seconds from its beginning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """One symbol of the tokenizer: when it is heard, and how probable the model finds it there, uncalibrated."""

    text: str
    start: float
    end: float
    probability: float  # 0 to 1


@dataclass(frozen=True)
class Word:
    """A word between spaces: when it is heard, and how probable it is that it is right: the least probability of its
    tokens, calibrated where the model was (`echo_asr.model.calibration`)."""

    word: str
    start: float
    end: float
    probability: float  # 0 to 1


@dataclass(frozen=True)
class Segment:
    """A stretch of speech between two pauses.

    Attributes:
        words, tokens: of `text`, in order; empty where no times were asked for.
        alternatives: the best texts, `text` the first, with their scores in nats; empty unless several were asked for.
    """

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    tokens: tuple[Token, ...] = ()
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Transcription:
    """What was heard in a recording: its text, its length in seconds, and its segments in order."""

    text: str
    duration: float
    segments: tuple[Segment, ...] = ()
