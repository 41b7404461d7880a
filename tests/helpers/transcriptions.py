"""Transcriptions at random, with texts and times as recordings have them, and some as none should."""

from __future__ import annotations

import random

from echo_asr.decode.results import Segment, Transcription, Word

WORDS = (
    "a", "một", "mā", "ñandú", "l'eau", '"zitiert"', "<mi˥>", "R&D", "]]>", "她", "ʔáⁿ", "שלום", "e\u0301", "🎙",
    "--", "0", "!ama", "tx:", "x=1", "'", "&lt;", "100%",
)  # fmt: skip


def random_transcription(seed: int, duration: float = 60.0) -> Transcription:
    """Segments in order, some of which touch, some closer than a millisecond, each of a few words with times."""
    draw = random.Random(seed)
    segments = []
    at = draw.choice((0.0, draw.uniform(0, 2)))
    while at < duration and len(segments) < 12:
        end = min(at + draw.choice((0.0004, 0.011, draw.uniform(0.2, 6))), duration)
        texts = [draw.choice(WORDS) for _ in range(draw.randint(1, 6))]
        marks = sorted(draw.uniform(at, end) for _ in range(2 * len(texts)))
        times = zip(texts, marks[::2], marks[1::2], strict=True)
        words = tuple(Word(text, start, stop, draw.random()) for text, start, stop in times)
        segments.append(Segment(at, end, " ".join(texts), words if draw.random() < 0.9 else ()))
        at = end + draw.choice((0.0, 0.0003, draw.uniform(0.001, 4)))
    return Transcription(" ".join(segment.text for segment in segments), duration, tuple(segments))
