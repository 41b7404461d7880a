"""Writes Praat's TextGrid files, in the long text form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from echo_asr.annotations.phrases import CONFIDENCES, PHRASES, SYMBOLS, WORDS, Phrase
from echo_asr.annotations.textgrid import INTERVALS


def render_textgrid(phrases: Sequence[Phrase], duration: int) -> str:
    """A TextGrid, in the long form, with the tiers `phrases`, `words` and `confidences`, and `symbols` where there are
    some, of a recording of `duration` ms; intervals without a text fill what is between."""
    words = [word for phrase in phrases for word in phrase.words]
    symbols = [(one.start, one.end, one.text) for phrase in phrases for one in phrase.symbols]
    tiers = {
        PHRASES: [(phrase.start, phrase.end, phrase.text) for phrase in phrases],
        WORDS: [(word.start, word.end, word.text) for word in words],
        CONFIDENCES: [(word.start, word.end, word.confidence) for word in words],
        **({SYMBOLS: symbols} if symbols else {}),
    }
    return render_interval_tiers(tiers, max([duration, 1, *(phrase.end for phrase in phrases)]))


def render_interval_tiers(tiers: Mapping[str, Sequence[tuple[int, int, str]]], duration: int) -> str:
    """A TextGrid, in the long form, with tiers of intervals, of a recording of `duration` ms.

    Args:
        tiers: start and end in ms and text of the intervals of each by its name, in order, without overlap; intervals
            without a text fill what is between.
    """
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0 ",
        f"xmax = {_seconds(duration)} ",
        "tiers? <exists> ",
        f"size = {len(tiers)} ",
        "item []: ",
    ]
    for number, (name, spans) in enumerate(tiers.items(), 1):
        intervals = list(_without_gaps(spans, duration))
        lines += [
            f"    item [{number}]:",
            f'        class = "{INTERVALS}" ',
            f"        name = {quoted(name)} ",
            "        xmin = 0 ",
            f"        xmax = {_seconds(duration)} ",
            f"        intervals: size = {len(intervals)} ",
        ]
        for place, (start, end, text) in enumerate(intervals, 1):
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {_seconds(start)} ",
                f"            xmax = {_seconds(end)} ",
                f"            text = {quoted(text)} ",
            ]
    return "".join(f"{line}\n" for line in lines)


def quoted(text: str) -> str:
    """A text in quotation marks, those in it doubled."""
    return '"' + text.replace('"', '""') + '"'


def _without_gaps(spans: Sequence[tuple[int, int, str]], duration: int) -> Iterator[tuple[int, int, str]]:
    done = 0
    for start, end, text in spans:
        if start > done:
            yield done, start, ""
        yield start, end, text
        done = end
    if done < duration:
        yield done, duration, ""


def _seconds(milliseconds: int) -> str:
    whole = f"{milliseconds // 1000}.{milliseconds % 1000:03d}"
    return whole.rstrip("0").rstrip(".")
