"""Cuts a long recording with its text into clips at its pauses, each with its part of the text."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from echo_asr.audio.segment import AudioSegment
from echo_asr.decode.given_texts import align_each
from echo_asr.decode.placing import Piece, place_script
from echo_asr.decode.results import Segment, Transcription
from echo_asr.decode.segments import SegmentConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.text.script import Script

PAUSE, MARGIN = 0.3, 0.1  # seconds, at which a recording is cut before its parts are joined to clips
LEAST_COVERED = 0.6  # of the recognised characters of a clip, that must belong to its text; else it is doubtful
LEAST_PROBABLE = 0.4  # of the usual probability of the symbols of a clip, below which it is doubtful


@dataclass(frozen=True)
class Clip:
    """A clip of a recording, from `start` to `end` in seconds.

    Attributes:
        words: numbers of the words of the script in it.
        text: these, as they are written.
        recognized: its text as recognised.
        covered: the share of the recognised characters that belong to the text.
        probability: of the symbols of its text in a forced alignment, their mean, 0 to 1; None where there is none.
        doubt: why the text may not be what is spoken; empty if nothing speaks against it.
    """

    start: float
    end: float
    words: tuple[int, ...]
    text: str
    recognized: str
    covered: float
    probability: float | None = None
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
    for _, found in finer.transcribe_each([recording]):
        if isinstance(found, EchoError):
            raise found
        if isinstance(found, Transcription):
            duration = found.duration
        else:
            segments.append(found)
            progress(found.end)
    cut = join_pieces(script, place_script(script, segments), config, duration)
    return replace(cut, clips=tuple(_verified(recognizer, recording, cut.clips)))


def join_pieces(script: Script, pieces: Sequence[Piece], config: SegmentConfig, duration: float) -> CutRecording:
    """Clips of pieces of a recording, which are not verified yet."""
    groups: list[list[Piece]] = []
    for piece in pieces:
        if piece.words and groups and groups[-1] and _continues(script, groups[-1], piece, config):
            groups[-1].append(piece)
        else:
            groups.append([piece] if piece.words else [])
    clips = [_clip(script, group, config, duration) for group in groups if group]
    spoken = {word for clip in clips for word in clip.words}
    unspoken: list[tuple[int, int]] = []
    for word in range(len(script.words)):
        if word not in spoken:
            follows = unspoken and unspoken[-1][1] == word - 1
            unspoken[-1 if follows else len(unspoken) :] = [(unspoken[-1][0] if follows else word, word)]
    unwritten = [(piece.start, piece.end, piece.recognized) for piece in pieces if not piece.words]
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


def _clip(script: Script, group: Sequence[Piece], config: SegmentConfig, duration: float) -> Clip:
    words = tuple(word for piece in group for word in piece.words)
    sizes = [max(1, len(piece.recognized)) for piece in group]
    covered = float(np.average([piece.covered for piece in group], weights=sizes))
    recognized = " ".join(piece.recognized for piece in group)
    return Clip(group[0].start, min(group[-1].end, duration), words, script.text(words), recognized, covered)


def _verified(recognizer: Recognizer, recording: Path | AudioSegment, clips: Sequence[Clip]) -> list[Clip]:
    """The clips with the probabilities of their texts, and what speaks against them."""
    whole = recording if isinstance(recording, AudioSegment) else AudioSegment(recording)
    sources = [replace(whole, start=whole.start + clip.start, duration=clip.end - clip.start) for clip in clips]
    results = list(align_each(recognizer, sources, [clip.text for clip in clips]))
    means = [
        float(np.mean([token.probability for token in found.tokens or ()] or [0.0]))
        if isinstance(found, Segment)
        else None
        for found in results
    ]
    usual = float(np.median([mean for mean in means if mean is not None] or [0.0]))
    verified = []
    for clip, found, mean in zip(clips, results, means, strict=True):
        doubt = ""
        if mean is None:
            doubt = str(found).removeprefix(f"{whole}").rpartition(": ")[2] if found else ""
        elif mean < LEAST_PROBABLE * usual:
            doubt = "the text is improbable"
        elif clip.covered < LEAST_COVERED:
            doubt = "much of what was recognised is not in the text"
        verified.append(replace(clip, probability=mean, doubt=doubt))
    return verified
