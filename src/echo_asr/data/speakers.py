"""The voice of each speaker of a corpus, to which pitch and the states of a pretrained encoder may be relative."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch

from echo_asr.audio import load_audio
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import Utterance
from echo_asr.features import FeatureExtractor, Features
from echo_asr.features.states import StatesExtractor
from echo_asr.features.voice import UNKNOWN, Moments, Standard, Voice, median_f0, spread


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
    medians = {name: median_f0(torch.cat(parts)) for name, parts in voiced.items()}
    return {name: f0 for name, f0 in medians.items() if f0}


def known_by(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    """The utterances from which the voice of each speaker who is named is known."""
    own: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        if utterance.speaker:
            own.setdefault(utterance.speaker, []).append(utterance)
    return {name: spread(spoken) for name, spoken in own.items()}


def states_of_voice(
    states: StatesExtractor, utterances: Iterable[Utterance], measured: Callable[[Utterance], Features]
) -> Standard | None:
    """By what the states of one voice are standardised, from some of its recordings.

    Args:
        measured: features of an utterance before the extractor's transform.
    """
    moments = Moments()
    for utterance in utterances:
        found = measured(utterance)
        if found.states is not None:
            states.add_speech(moments, found.states, found.null)
    return states.of_voice(moments)


def speaker_voices(
    utterances: Sequence[Utterance],
    extractor: FeatureExtractor,
    pitch_by_speaker: bool,
    cache: FeatureCache | None = None,
) -> list[Voice]:
    """What a model has to know of who speaks in each utterance, measured in all utterances of the same speaker; nothing
    where it makes no difference to the model, or a speaker is not named.

    Args:
        extractor: of the model.
        pitch_by_speaker: whether its pitch is relative to the speaker's.
        cache: of features; None to measure them anew.
    """
    states, acoustic = extractor.speaker_states, None if cache is None else cache.without_states()
    if not pitch_by_speaker and states is None:
        return [UNKNOWN] * len(utterances)

    def measured(utterance: Utterance) -> Features:
        return cache.measured(utterance.audio) if cache else extractor.measure(load_audio(utterance.audio))

    def pitch(utterance: Utterance) -> Features:
        return acoustic.features(utterance.audio) if acoustic else extractor.acoustic(load_audio(utterance.audio))

    medians = speaker_medians(utterances, pitch) if pitch_by_speaker else {}
    standards: dict[str, Standard | None] = {}
    if states is not None:
        standards = {name: states_of_voice(states, own, measured) for name, own in known_by(utterances).items()}
    return [Voice(medians.get(u.speaker, 0.0), standards.get(u.speaker)) for u in utterances]
