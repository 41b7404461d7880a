"""Detects a collapsed model, which gives the same text for any recording, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

NEARLY = 0.9  # share of the recordings with the same text, above which a model counts as collapsed
MANY = 20  # different references, at least, for that share to count
FEW = 3  # different references, at least, for the same text of all to count


def find_collapse(references: Sequence[str], hypotheses: Sequence[str]) -> str | None:
    """Describe the collapse of a model, as a sentence about it; None where its texts differ.

    Recordings without speech are left out, since their texts may be equal.
    """
    pairs = [(r, h) for r, h in zip(references, hypotheses, strict=True) if r.strip()]
    if not pairs:
        return None
    spoken = len({reference for reference, _ in pairs})
    text, count = Counter(hypothesis.strip() for _, hypothesis in pairs).most_common(1)[0]
    everything = count == len(pairs)
    if not (everything and (spoken >= FEW or not text) or (spoken >= MANY and count > NEARLY * len(pairs))):
        return None
    what = f"the same text, {_short(text)!r}," if text else "nothing"
    return f"it writes {what} for {'all' if everything else f'{count} of'} {len(pairs)} recordings with speech"


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 1] + "\u2026"
