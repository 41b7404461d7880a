"""A transcription as phrases for files of annotations: in whole milliseconds, in order, without overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence

from echo_asr.annotations.phrases import Phrase, TimedWord
from echo_asr.decode.results import Found, Transcription, Word
from echo_asr.decode.subtitles import duration_ms, ordered_spans, segment_spans
from echo_asr.text.linebreak import clean_text


def make_phrases(found: Transcription, symbols: bool = False) -> list[Phrase]:
    """A phrase for each segment with a text; none of them, and no word, is shorter than a millisecond.

    A phrase with more words than milliseconds has none of them.

    Args:
        symbols: also those of each segment that are no spaces.
    """
    tokens = [segment.tokens for segment in found.segments if clean_text(segment.text)] if symbols else []
    spans = segment_spans(found)
    times = _lasting([span[:2] for span in spans], 0, max(duration_ms(found), len(spans)))
    phrases = []
    for number, ((start, end), (_, _, text, words)) in enumerate(zip(times, spans, strict=True)):
        own = [Word(t.text, t.start, t.end, t.probability) for t in tokens[number]] if tokens else []
        phrases.append(Phrase(start, end, text, _timed(words, start, end), _timed(own, start, end)))
    return phrases


def place_tiers(found: Found, words: Sequence[str]) -> dict[str, tuple[TimedWord, ...]]:
    """The places of each word, also of one that was not found, under a name for its tier."""
    tiers: dict[str, tuple[TimedWord, ...]] = {}
    for word in words:
        own = [Word(p.word, p.start, p.end, p.probability) for p in found.places if p.word == word]
        name = clean_text(word) or "found"
        while name in tiers:
            name += "'"
        tiers[name] = _timed(own, 0, max(1, round(found.duration * 1000)))
    return tiers


def _timed(words: Sequence[Word], start: int, end: int) -> tuple[TimedWord, ...]:
    texts = [(clean_text(word.word), word) for word in words]
    kept = [(text, word) for text, word in texts if text]
    if len(kept) > end - start:
        return ()
    spans = _lasting(ordered_spans([(word.start, word.end) for _, word in kept], start, end), start, end)
    return tuple(TimedWord(*span, text, _confidence(word)) for span, (text, word) in zip(spans, kept, strict=True))


def _confidence(word: Word) -> str:
    return f"{word.probability:.2f}" if math.isfinite(word.probability) else ""


def _lasting(spans: Sequence[tuple[int, int]], low: int, high: int) -> list[tuple[int, int]]:
    """Spans in ms, in order, moved as little as makes each last a millisecond or more, within `low` to `high`, which
    has room for that."""
    lasting: list[tuple[int, int]] = []
    earliest = low
    for left, (start, end) in zip(range(len(spans) - 1, -1, -1), spans, strict=True):
        latest = high - left  # those to come need a millisecond each
        start = min(max(start, earliest), latest - 1)
        earliest = min(max(end, start + 1), latest)
        lasting.append((start, earliest))
    return lasting
