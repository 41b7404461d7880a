"""What is known of a speaker from all of their recordings: the pitch that theirs is relative to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from echo_asr.data.corpus import Utterance
from echo_asr.features import Features


def speaker_medians(utterances: Sequence[Utterance], features: Callable[[Utterance], Features]) -> dict[str, float]:
    """The median F0 in Hz of each speaker's voiced frames, over their utterances; no text is looked at.

    An utterance without a speaker's name counts for nobody, and a speaker without a voiced frame is left out.

    Args:
        features: gives those of an utterance, one at a time, so that only F0 is held.
    """
    voiced: dict[str, list[torch.Tensor]] = {}
    for utterance in utterances:
        if utterance.speaker:
            f0 = features(utterance).pitch[0]
            voiced.setdefault(utterance.speaker, []).append(f0[f0 > 0])
    pooled = {name: torch.cat(parts) for name, parts in voiced.items()}
    return {name: float(f0.median()) for name, f0 in pooled.items() if len(f0)}
