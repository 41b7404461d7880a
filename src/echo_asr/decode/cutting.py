"""Cuts a long recording with its text into clips at its pauses, each with its part of the text."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from echo_asr.audio.segment import AudioSegment
from echo_asr.decode.given_texts import align_each
from echo_asr.decode.placing import FEW, Piece, place_script
from echo_asr.decode.results import Segment, Transcription
from echo_asr.decode.segments import SegmentConfig
from echo_asr.decode.settling import settle_edges
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features.voice import Voice
from echo_asr.text.script import Script

PAUSE, MARGIN = 0.3, 0.1  # seconds, at which a recording is cut before its parts are joined to clips
LEAST_ALIKE = 0.5  # of the usual share of characters that were recognised as the text has them
LEAST_PROBABLE = 0.12  # of the usual probability of the symbols of a text, below which it is doubtful
LEAST_RECOGNISED = 0.05  # of the usual probability of recognised symbols, below which a text is doubtful, too
FLOOR = 1e-4  # the lowest probability of a symbol that counts


@dataclass(frozen=True)
class Clip:
    """A clip of a recording, from `start` to `end` in seconds.

    Attributes:
        words: numbers of the words of the script in it.
        text: these, as they are written.
        recognized: its text as recognised.
        alike: the share of characters that are equal in the text and in what was recognised.
        probability: of the symbols of its text in a forced alignment, their geometric mean, 0 to 1; 0 where the text
            cannot be aligned.
        doubt: why the text may not be what is spoken; empty if nothing speaks against it.
    """

    start: float
    end: float
    words: tuple[int, ...]
    text: str
    recognized: str
    alike: float
    probability: float
    doubt: str = ""


@dataclass(frozen=True)
class CutRecording:
    """The clips of a recording, and what is in it or in the script alone.

    Attributes:
        unspoken: the first and the last word of each passage of the script that is in no clip.
        unwritten: parts of the recording with speech that is not in the script: start and end in seconds, and the
            recognised text.
        duration: of the recording, in seconds.
    """

    clips: tuple[Clip, ...]
    unspoken: tuple[tuple[int, int], ...]
    unwritten: tuple[tuple[float, float, str], ...]
    duration: float


def cut_recording(
    recognizer: Recognizer,
    recording: Path | AudioSegment,
    script: Script,
    progress: Callable[[float], None] = lambda seconds: None,
) -> CutRecording:
    """Recognise a recording of any length in parts, find the words of the script in each, join parts with short pauses
    to clips, and align each clip with its text to see whether it is that.

    Parts are cut at pauses of 0.3 s. A clip ends at a pause of `decode.segments.pause`, before it is longer than
    `decode.segments.longest`, where a paragraph ends, and where the script or the recording has what the other has not.

    Args:
        progress: called with the seconds that are recognised.

    Raises:
        EchoError: the recording cannot be read.
    """
    config = recognizer.decode.segments
    finer = copy.copy(recognizer)
    parts = replace(config, pause=min(PAUSE, config.pause), margin=min(MARGIN, config.margin))
    finer.decode = replace(recognizer.decode, segments=parts)
    segments: list[Segment] = []
    duration = 0.0
    voice = recognizer.voice([recording])
    for _, found in finer.transcribe_each([recording], voices=[voice]):
        if isinstance(found, EchoError):
            raise found
        if isinstance(found, Transcription):
            duration = found.duration
        else:
            segments.append(found)
            progress(found.end)
    whole = recording if isinstance(recording, AudioSegment) else AudioSegment(recording)
    placed = settle_edges(recognizer, whole, script, place_script(script, segments), voice)
    pieces = _check_pieces(recognizer, whole, script, placed, voice)
    least = least_values(pieces, segments)
    return join_pieces(script, without_other_texts(script, pieces, least), least, config, duration)


@dataclass(frozen=True)
class CheckedPiece:
    """A piece with the mean logarithm of the probabilities of its symbols, and why it cannot be aligned."""

    piece: Piece
    score: float = 0.0
    error: str = ""


def _check_pieces(
    recognizer: Recognizer, whole: AudioSegment, script: Script, pieces: Sequence[Piece], voice: Voice
) -> list[CheckedPiece]:
    """Align each piece with its words."""
    own = [piece for piece in pieces if piece.words]
    sources = [replace(whole, start=whole.start + piece.start, duration=piece.end - piece.start) for piece in own]
    texts = [script.text(piece.words) for piece in own]
    results = align_each(recognizer, sources, texts, voices=[voice] * len(own))
    found: list[CheckedPiece] = []
    for piece in pieces:
        result = next(results) if piece.words else None
        if isinstance(result, Segment) and result.tokens:
            found.append(CheckedPiece(piece, _score(result)))
        elif isinstance(result, EchoError):
            found.append(CheckedPiece(piece, math.log(FLOOR), str(result).rpartition(" s): ")[2]))
        else:
            found.append(CheckedPiece(piece))
    return found


def _score(segment: Segment) -> float:
    """The mean logarithm of the probabilities of a segment's symbols."""
    return float(np.mean(np.log([max(token.probability, FLOOR) for token in segment.tokens])))


class Least(NamedTuple):
    """Values below which a text is doubtful: the mean logarithm of the probabilities of its symbols, and the share of
    its characters that were recognised."""

    score: float
    alike: float


def least_values(pieces: Sequence[CheckedPiece], segments: Sequence[Segment]) -> Least:
    """By the usual values of the texts; and by the usual probability of what was recognised, for most of the texts may
    be others."""
    given = [one for one in pieces if one.piece.words and not one.error]
    usual, alike, free = (
        float(np.median(values or [0.0]))
        for values in (
            [one.score for one in given],
            [one.piece.alike for one in given],
            [_score(segment) for segment in segments if segment.tokens],
        )
    )
    return Least(max(usual + math.log(LEAST_PROBABLE), free + math.log(LEAST_RECOGNISED)), alike * LEAST_ALIKE)


def without_other_texts(script: Script, pieces: Sequence[CheckedPiece], least: Least) -> list[CheckedPiece]:
    """The pieces; some lose their words, for the script and the recording are likely to differ there.

    These are the pieces with an improbable text that was not recognised either, unless it is a word or two, which may
    have been changed; where speech is not in the script or words are not spoken, the pieces beside them with a text
    that is either; and a word or two alone between such.
    """
    found = list(pieces)

    def remove(number: int) -> None:
        found[number] = CheckedPiece(replace(found[number].piece, words=(), alike=0.0))

    def few(number: int) -> bool:
        return sum(len(script.words[word].normal) for word in found[number].piece.words) <= FEW

    for step in (1, -1):
        for number in range(len(found))[::step]:
            one = found[number]
            if not one.piece.words or one.error:
                continue
            improbable, unlike = one.score < least.score, one.piece.alike < least.alike
            differs = _differs(script, found, number, step)
            if (improbable or unlike) and differs or (improbable and unlike and not few(number)):
                remove(number)
    for number in range(len(found)):
        alone = all(_differs(script, found, number, step) for step in (1, -1))
        if found[number].piece.words and few(number) and alone and len(script.words) > len(found[number].piece.words):
            remove(number)
    return found


def _differs(script: Script, pieces: Sequence[CheckedPiece], number: int, step: int) -> bool:
    """Whether the recording before a piece (`step` 1), or after it (-1), has speech that is not in the script, or the
    script words that are not in the recording."""
    words = pieces[number].piece.words
    if not words:
        return False
    beside = number - step
    edge = words[0] if step > 0 else words[-1]
    if not 0 <= beside < len(pieces):
        return edge != (0 if step > 0 else len(script.words) - 1)
    other = pieces[beside].piece.words
    return not other or (other[-1] if step > 0 else other[0]) != edge - step


def join_pieces(
    script: Script, pieces: Sequence[CheckedPiece], least: Least, config: SegmentConfig, duration: float
) -> CutRecording:
    """Clips of the pieces of a recording of so many seconds, and what is in none. Texts with less
    than the least values are doubtful."""
    groups: list[list[CheckedPiece]] = []
    unwritten: list[tuple[float, float, str]] = []
    follows = False  # whether the piece before has no words
    for one in pieces:
        piece = one.piece
        if not piece.words:
            start, text = (unwritten.pop()[::2]) if follows else (piece.start, "")
            unwritten.append((start, piece.end, f"{text} {piece.recognized}".strip()))
        elif groups and not follows and _continues(script, [other.piece for other in groups[-1]], piece, config):
            groups[-1].append(one)
        else:
            groups.append([one])
        follows = not piece.words
    clips = [_clip(script, group, least, duration) for group in groups]
    spoken = {word for clip in clips for word in clip.words}
    unspoken: list[tuple[int, int]] = []
    for word in range(len(script.words)):
        if word in spoken:
            continue
        if unspoken and unspoken[-1][1] == word - 1:
            unspoken[-1] = (unspoken[-1][0], word)
        else:
            unspoken.append((word, word))
    return CutRecording(tuple(clips), tuple(unspoken), tuple(unwritten), duration)


def _continues(script: Script, group: Sequence[Piece], piece: Piece, config: SegmentConfig) -> bool:
    """Whether a piece is part of the same clip as those before it."""
    before, after = group[-1].words[-1], piece.words[0]
    return (
        after == before + 1
        and script.paragraphs[before] == script.paragraphs[after]
        and piece.start - group[-1].end + 2 * MARGIN <= config.pause
        and piece.end - group[0].start <= config.longest
    )


def _clip(script: Script, group: Sequence[CheckedPiece], least: Least, duration: float) -> Clip:
    pieces = [one.piece for one in group]
    words = tuple(word for piece in pieces for word in piece.words)
    sizes = [max(1, len(piece.recognized)) for piece in pieces]
    alike = float(np.average([piece.alike for piece in pieces], weights=sizes))
    score = float(np.average([one.score for one in group], weights=sizes))
    doubt = next((one.error for one in group if one.error), "")
    if not doubt and score < least.score:
        doubt = "the text is improbable"
    elif not doubt and alike < least.alike:
        doubt = "little of the text was recognised"
    recognized = " ".join(piece.recognized for piece in pieces)
    start, end = pieces[0].start, min(pieces[-1].end, duration)
    return Clip(start, end, words, script.text(words), recognized, alike, math.exp(score), doubt)
