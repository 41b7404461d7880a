"""Written forms of what is spoken: numbers of free text as digits (inverse text normalisation).

`twenty three` becomes `23`, `one two three four` `1234`, `nineteen eighty four` `1984`, `three point five` `3.5`.
A word that is a number and more, such as `one`, stays where it stands alone between other words. Words whose numbers
are not sure stay, too: `one fifty` may be 150 or 1.50.
"""

from __future__ import annotations

from typing import NamedTuple

from echo_asr.text.numbers import find_language
from echo_asr.text.numbers.parts import Words
from echo_asr.text.numbers.runs import number_runs, read_run


class WrittenSpan(NamedTuple):
    """Words `first` to `end` (not included) of a spoken text, and what is written for them; nothing where empty."""

    first: int
    end: int
    text: str


def written(text: str, language: str) -> str:
    """A text with its numbers as digits.

    >>> written("they were three hundred and five of them", "en")
    'they were 305 of them'

    Args:
        text: as it is recognised, in lower case.
        language: one of `echo_asr.text.numbers.NUMBERS`.

    Raises:
        ValueError: the language is another.
    """
    return " ".join(span.text for span in written_spans(text, language))


def written_spans(text: str, language: str) -> list[WrittenSpan]:
    """What is written for each word of a text, or for several: all its words, in order.

    Args and Raises: as of `written`. Words are what stands between white space.
    """
    own = find_language(language)
    words = text.split()
    alone = len(words) == 1
    if not own.joined:
        return _spans(words, language, alone)
    characters = [_spans(list(word), language, alone) for word in words]
    return [WrittenSpan(n, n + 1, "".join(span.text for span in spans)) for n, spans in enumerate(characters)]


def _spans(words: list[str], language: str, alone: bool) -> list[WrittenSpan]:
    """What is written for words, or for characters where there are no spaces; `alone`: the text has no others."""
    looked_up, spans, at = Words.of(words, language), list[WrittenSpan](), 0
    for first, end in number_runs(looked_up):
        for part in read_run(looked_up, first, end):
            lone = part.end == first + 1 and looked_up.words[first] in looked_up.own.lone
            if part.text and not (lone and not (alone and len(words) == 1)):
                spans += [WrittenSpan(n, n + 1, words[n]) for n in range(at, first)]
                spans.append(WrittenSpan(first, part.end, part.text))
                at = part.end
            first = part.end
    return spans + [WrittenSpan(n, n + 1, words[n]) for n in range(at, len(words))]
