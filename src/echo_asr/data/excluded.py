"""Utterances that the conventions of a transcription leave out, and how often each mark was met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from echo_asr.data.corpus import Utterance
from echo_asr.errors import EchoError
from echo_asr.text.conventions import Conventions

_EFFECTS = {"keep": "kept", "drop": "dropped", "event": "an event", "break": "a break", "exclude": "left out"}


@dataclass(frozen=True)
class Transcribed:
    """What conventions leave of some utterances.

    Attributes:
        utterances: those that are used; their texts are as they were.
        excluded: how many are not.
        counts: occurrences of each mark in all of them.
        conventions: by which.
    """

    utterances: tuple[Utterance, ...]
    excluded: int
    counts: Counter[str]
    conventions: Conventions

    def __str__(self) -> str:
        met = (f"{mark} {self.counts[mark]} ({_EFFECTS[action]})" for mark, action in self.conventions.actions.items())
        total = len(self.utterances) + self.excluded
        return f"conventions: {', '.join(met)}; {self.excluded} of {total} utterances are left out"


def apply_conventions(name: str, utterances: Sequence[Utterance], conventions: Conventions) -> Transcribed:
    """The utterances without those that conventions exclude.

    Args:
        name: of the corpus, for the message.

    Raises:
        EchoError: all are excluded.
    """
    counts: Counter[str] = Counter()
    if not conventions:
        return Transcribed(tuple(utterances), 0, counts, conventions)
    kept = []
    for utterance in utterances:
        found = conventions.apply(utterance.text)
        counts += found.counts
        if not found.excluded:
            kept.append(utterance)
    if utterances and not kept:
        marks = ", ".join(mark for mark, action in conventions.actions.items() if action == "exclude")
        raise EchoError(f"{name}: text.conventions leave out all {len(utterances)} utterances ({marks}); change them")
    return Transcribed(tuple(kept), len(utterances) - len(kept), counts, conventions)
