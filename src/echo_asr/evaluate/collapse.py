"""A model that does not listen: it writes one text whatever it is given, or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

NEARLY = 0.9  # share of the recordings above which the same text for them is as good as one for all
MANY = 20  # differing references from which that share says something
FEW = 3  # differing references from which the same text for all says something


def find_collapse(references: Sequence[str], hypotheses: Sequence[str]) -> str | None:
    """What is wrong, said of a model; None where its texts differ as they should.

    Recordings in which nothing is said are left out; they may all be recognised alike.
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
