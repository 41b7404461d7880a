"""The median F0 of each speaker, to which pitch may be relative."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from echo_asr.data.corpus import Utterance
from echo_asr.features import Features


def speaker_medians(utterances: Sequence[Utterance], features: Callable[[Utterance], Features]) -> dict[str, float]:
    """The median F0 in Hz of each speaker's voiced frames, over their utterances.

    Utterances without a speaker and speakers without a voiced frame are left out.

    Args:
        features: computes those of an utterance, one at a time, so that only F0 is kept in memory.
    """
    voiced: dict[str, list[torch.Tensor]] = {}
    for utterance in utterances:
        if utterance.speaker:
            f0 = features(utterance).pitch[0]
            voiced.setdefault(utterance.speaker, []).append(f0[f0 > 0])
    pooled = {name: torch.cat(parts) for name, parts in voiced.items()}
    return {name: float(f0.median()) for name, f0 in pooled.items() if len(f0)}
