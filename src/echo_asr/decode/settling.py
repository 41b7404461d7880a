"""Settles which words at the edges of two parts of a recording belong to which, by a forced alignment of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from echo_asr.audio import load_audio
from echo_asr.audio.segment import AudioSegment
from echo_asr.decode.placing import Piece
from echo_asr.decode.transcribe import Recognizer
from echo_asr.decode.word_homes import encode_words, word_homes
from echo_asr.errors import EchoError
from echo_asr.features import Features, collate_features
from echo_asr.features.voice import UNKNOWN, Voice
from echo_asr.text.script import Script

LONGEST = 60.0  # seconds of pieces that are aligned together, about
FURTHEST = 4  # words by which an edge is moved at most


def settle_edges(
    recognizer: Recognizer, recording: AudioSegment, script: Script, pieces: Sequence[Piece], voice: Voice = UNKNOWN
) -> list[Piece]:
    """The pieces with words moved to the piece before or after, where an alignment of successive pieces with all their
    words finds them there. What was recognised is of no account: the words that the model confuses are those that it
    places wrongly. A piece keeps one word at least.

    Args:
        recording: of which the pieces are parts.
        voice: what is known of who speaks.
    """
    found = list(pieces)
    for first, last in _chains(pieces):
        own = found[first:last]
        words = [word for piece in own for word in piece.words]
        try:
            tokens, places = encode_words(recognizer, script, words)
            homes = word_homes(_log_probabilities(recognizer, recording, own, voice), tokens, places, len(words))
        except (EchoError, ValueError):  # of which a check of each piece reports
            continue
        edges = np.cumsum([len(piece.words) for piece in own])[:-1].tolist()
        for number, edge in enumerate(settled(edges, homes)):
            before = edges[number - 1] if number else 0
            edges[number] = edge
            found[first + number] = replace(own[number], words=tuple(words[before:edge]))
        found[last - 1] = replace(own[-1], words=tuple(words[edges[-1] :]))
    return found


def _chains(pieces: Sequence[Piece]) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) of successive pieces whose words follow one another, each of up to a minute; the last
    piece of one may be the first of the next."""
    first = 0
    for number in range(1, len(pieces) + 1):
        follows = number < len(pieces) and _follows(pieces[number - 1], pieces[number])
        full = follows and pieces[number].end - pieces[first].start > LONGEST
        if not follows or full:
            if number - first > 1:
                yield first, number
            first = number - 1 if full and number - 1 > first else number


def _follows(before: Piece, after: Piece) -> bool:
    return bool(before.words and after.words) and after.words[0] == before.words[-1] + 1


def _log_probabilities(
    recognizer: Recognizer, recording: AudioSegment, pieces: Sequence[Piece], voice: Voice
) -> list[np.ndarray]:
    parts = [replace(recording, start=recording.start + p.start, duration=p.end - p.start) for p in pieces]
    return ctc_log_probabilities(recognizer, [recognizer.extractor(load_audio(part), voice=voice) for part in parts])


@torch.inference_mode()
def ctc_log_probabilities(recognizer: Recognizer, clips: Sequence[Features]) -> list[np.ndarray]:
    """Those of CTC for each clip of a batch, `(F, V)` float32."""
    model = recognizer.bundle.model
    encoded = model.encode(collate_features(list(clips)).to(model.device), recognizer.features)
    found = model.ctc_log_probabilities(encoded).float().cpu().numpy()
    return [found[row, :frames] for row, frames in enumerate(encoded.lengths.tolist())]


def settled(edges: Sequence[int], homes: Sequence[int]) -> list[int]:
    """The edges of pieces, numbers of the first word of each but the first, moved to where the homes of the words
    change, by a few words at most, so that each piece has a word."""
    found: list[int] = []
    for number, edge in enumerate(edges):
        wanted = sum(home <= number for home in homes)
        low = max(edge - FURTHEST, (found[-1] if found else 0) + 1)
        high = min(edge + FURTHEST, len(homes) - (len(edges) - number))
        found.append(min(max(wanted, low), high))
    return found
