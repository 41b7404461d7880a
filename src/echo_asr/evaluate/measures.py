"""Error measures of studies: words, characters, tones and base syllables (see `tone_errors`), and runaways.

A **runaway** is an utterance with more than twice the words of the reference plus two: the search found no end. Its
rate is the share of utterances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from echo_asr.evaluate.metrics import count_errors
from echo_asr.evaluate.tone_errors import count_tone_errors
from echo_asr.text.tones import ToneNotation

Measure = Literal["word", "character", "tone", "base", "runaway"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


def measure_errors(
    references: Sequence[str], hypotheses: Sequence[str], measure: Measure, notation: ToneNotation | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Errors and reference units of each utterance: `(U,)` int64 each.

    Args:
        notation: where the texts have tones; needed by `tone` and `base`.

    Raises:
        ValueError: it is needed and missing.
    """
    if measure == "runaway":
        spoken, recognised = (np.array([len(text.split()) for text in texts]) for texts in (references, hypotheses))
        return (recognised > 2 * spoken + 2).astype(np.int64), np.ones(len(spoken), dtype=np.int64)
    if measure in ("tone", "base"):
        if notation is None:
            raise ValueError(f"measure {measure}: expected the notation of the texts' tones, got None")
        tones, bases, _ = count_tone_errors(references, hypotheses, notation)
        counts = tones if measure == "tone" else bases
    else:
        counts = count_errors(references, hypotheses, "character" if measure == "character" else "word")
    return counts[:, :3].sum(axis=1), counts[:, 3]
