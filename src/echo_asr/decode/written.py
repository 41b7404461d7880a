"""What is recognised, as it is written: `23` for `twenty three`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from echo_asr.decode.results import Segment, Word
from echo_asr.text.written import WrittenSpan


def with_written(segment: Segment, written: str, spans: Sequence[WrittenSpan]) -> Segment:
    """A segment whose text is written otherwise than it is spoken.

    Args:
        segment: as it was recognised.
        written: its text, as it is written.
        spans: its words from the first to the last, each with what is written for it or for several.
    """
    if written == segment.text:
        return segment
    words = tuple(_written_words(segment.words, spans)) if segment.words else ()
    return replace(segment, text=written, words=words, spoken=segment.said)


def _written_words(words: Sequence[Word], spans: Sequence[WrittenSpan]) -> Iterator[Word]:
    """What is written for words takes their time, and is as probable as the least probable of them."""
    for first, end, text in spans:
        said, parts = words[first:end], text.split()
        if not said:
            continue
        start, length = said[0].start, said[-1].end - said[0].start
        probability = min(word.probability for word in said)
        for number, part in enumerate(parts):
            begins, ends = (start + length * place / len(parts) for place in (number, number + 1))
            yield Word(part, begins, ends, probability)
