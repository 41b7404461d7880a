"""Segments as a recogniser gives them, of texts that are known, with errors."""

from __future__ import annotations

import random
from collections.abc import Iterable

from echo_asr.decode.results import Segment, Token

CHARACTER, PAUSE = 0.08, 0.5  # seconds of a character, and between segments


def garble(text: str, share: float, draw: random.Random, letters: str = "abcdefghijklmnopqrstuvwxyz") -> str:
    """A text of which a share of the characters are errors: three in five others, one left out, one put in."""
    found = ""
    for character in text:
        kind = draw.random() / share if share and character != " " else 1.0
        if kind >= 0.8 or kind < 0.6:
            found += draw.choice(letters) if kind < 0.6 else character
        if share and draw.random() < share / 5:
            found += draw.choice(letters)
    return found


def segments_of(texts: Iterable[str], pause: float = PAUSE) -> list[Segment]:
    """A segment for each text, whose characters last as long as each other, with pauses between."""
    found: list[Segment] = []
    clock = pause
    for text in texts:
        times = [clock + CHARACTER * number for number in range(len(text) + 1)]
        tokens = tuple(Token(c, a, b, 0.9) for c, a, b in zip(text, times[:-1], times[1:], strict=True))
        found.append(Segment(clock, times[-1], text, (), tokens))
        clock = times[-1] + pause
    return found
