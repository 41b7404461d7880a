"""Error measures: words, characters, tones and base syllables of tonal text, and runaways.

In tonal text a syllable is letters and a digit for its tone, `ni3 hao3` or `ni3hao3`. It is split into syllables:
runs of letters (and apostrophes), each with the digit that follows it, if any.

- The **tone error** rate is that of the sequence of tones without the bases: `3 3`. A syllable without a digit has the
  tone 0. Only the order of the tones counts, not the syllables they stand on.
- The **base-syllable error** rate is that of the sequence of bases without the tones: `ni hao`.

Both are word error rates of those sequences: insertions, deletions and substitutions over the reference's syllables.

A **runaway** is an utterance with more than twice the words of the reference plus two: the search found no end. Its
rate is the share of utterances.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from echo_asr.evaluate.metrics import count_errors

Measure = Literal["word", "character", "tone", "base", "runaway"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
_SYLLABLE = re.compile(r"([^\W\d_]+(?:['’][^\W\d_]+)*)(\d?)")


def tones(text: str) -> str:
    """The tones of a text, with spaces between; 0 for a syllable without one."""
    return " ".join(tone or "0" for _, tone in _SYLLABLE.findall(text))


def bases(text: str) -> str:
    """The base syllables of a text, with spaces between."""
    return " ".join(base for base, _ in _SYLLABLE.findall(text))


def tonal_share(texts: Sequence[str]) -> float:
    """The share of the syllables of the texts that carry a tone, between 0 and 1; 0 where there are no syllables. In
    tonal text some may not, and in other text a few may seem to, as in `mp3`."""
    carried = [bool(tone) for text in texts for _, tone in _SYLLABLE.findall(text)]
    return sum(carried) / max(len(carried), 1)


def is_tonal(texts: Sequence[str]) -> bool:
    """Whether any syllable of the texts carries a tone."""
    return tonal_share(texts) > 0


def measure_errors(
    references: Sequence[str], hypotheses: Sequence[str], measure: Measure
) -> tuple[np.ndarray, np.ndarray]:
    """Errors and reference units of each utterance: `(U,)` int64 each."""
    if measure == "runaway":
        spoken, recognised = (np.array([len(text.split()) for text in texts]) for texts in (references, hypotheses))
        return (recognised > 2 * spoken + 2).astype(np.int64), np.ones(len(spoken), dtype=np.int64)
    if measure in ("tone", "base"):
        part = tones if measure == "tone" else bases
        references, hypotheses = [part(text) for text in references], [part(text) for text in hypotheses]
    counts = count_errors(references, hypotheses, "character" if measure == "character" else "word")
    return counts[:, :3].sum(axis=1), counts[:, 3]
