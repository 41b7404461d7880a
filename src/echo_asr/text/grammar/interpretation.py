"""What a sentence of a grammar means: its template, written form and slots."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

from echo_asr.text.grammar.grammar import Template
from echo_asr.text.grammar.interpret import Piece, Reading, written_form
from echo_asr.text.written import WrittenSpan


@dataclass(frozen=True)
class Interpretation:
    """What a sentence means.

    Attributes:
        line: of its template in the file, from 1.
        template: the template.
        spoken: the sentence, normalised.
        written: its written form: as the template is written, with its capitals and signs, and what it says is written
            otherwise.
        slots: the values that fill them, as they are written; of a slot that is filled twice the last.
        spans: the words of `spoken` from the first to the last, each with what is written for it or for several.
        intent: of hassil's files; empty elsewhere.
    """

    line: int
    template: str
    spoken: str
    written: str
    slots: dict[str, str] = field(default_factory=dict)
    spans: tuple[WrittenSpan, ...] = ()
    intent: str = ""


def make_interpretation(template: Template, text: str, reading: Reading) -> Interpretation:
    """The interpretation of a sentence that a template gives; where nothing is written for it, it is written as it is
    spoken."""
    written, pieces = written_form(reading.pieces), reading.pieces
    if not written:
        written, pieces = text, (Piece(0, len(text), text),)
    return Interpretation(
        template.line,
        template.text,
        text,
        written,
        {**template.slots, **dict(reading.slots)},
        tuple(_spans(text, pieces)),
        template.intent,
    )


def _spans(text: str, pieces: tuple[Piece, ...]) -> list[WrittenSpan]:
    """The words of a sentence, each with what is written for it; those that one piece is written for are together."""
    words = text.split(" ")
    ends = list(accumulate(len(word) + 1 for word in words))  # the character after the space behind each word

    def word_of(place: int) -> int:
        return next(n for n, end in enumerate(ends) if place < end)

    spans: list[WrittenSpan] = []
    for start, end, written in _by_word(text, pieces):
        first, last = (word_of(start), word_of(end - 1) + 1) if end > start else (0, 0)
        if not last:  # nothing is spoken
            if spans:
                spans[-1] = spans[-1]._replace(text=spans[-1].text + written)
        elif spans and first < spans[-1].end:  # in one word
            spans[-1] = spans[-1]._replace(end=max(last, spans[-1].end), text=spans[-1].text + written)
        else:
            spans.append(WrittenSpan(first, last, written))
    return [span._replace(text=" ".join(span.text.split())) for span in spans]


def _by_word(text: str, pieces: tuple[Piece, ...]) -> list[Piece]:
    """Pieces without the spaces at their edges, those of several words divided where as many are written."""
    found = []
    for start, end, written in pieces:
        start += len(text[start:end]) - len(text[start:end].lstrip())
        words, forms = text[start:end].split(), written.split()
        if len(words) == len(forms) and words:
            for number, (word, form) in enumerate(zip(words, forms, strict=True)):
                edge = " " if number < len(words) - 1 or written[-1:].isspace() else ""
                lead = " " if number or written[:1].isspace() else ""
                found.append(Piece(start, start + len(word), f"{lead}{form}{edge}"))
                start += len(word) + 1
        else:
            found.append(Piece(start, end, written))
    return found
