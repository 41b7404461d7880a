"""How sure a model is of the sentences of a grammar: what its probabilities are fitted to, and what they are worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from echo_asr.data.noise import KINDS, noise_clip
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.constraint import TokenGraph, sentence_graph
from echo_asr.decode.sentences import Heard, hear
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.calibration import fit_logistic
from echo_asr.features import Features
from echo_asr.model.calibration import LogisticCalibration

MOST_CLIPS = 150  # with speech, that a calibration is fitted to
NOISE_SECONDS, NOISE_LEVEL = 2.0, -30.0  # of a sound without speech; dBFS
NOISE_SEED = 1 << 39  # from which no training draws


def fit_sentences(
    recognizer: Recognizer, texts: Sequence[str], features: Sequence[Features], noises: Sequence[Features]
) -> LogisticCalibration | None:
    """Fit how probable it is that a sentence of a grammar was said.

    The texts are divided in two halves, and each is taken for a grammar: of the clips, half have their sentence in it,
    and half were better refused, as were the noises. None where there are fewer than two different texts, or where
    none, or all, of what is found is right.

    Args:
        texts: of the clips, normalised; empty ones count as noise.
        features: of clips that were not trained on.
        noises: features of clips without speech.
    """
    said = [number for number, text in enumerate(texts) if text][:MOST_CLIPS]
    different = sorted({texts[number] for number in said})
    encode = recognizer.bundle.tokenizer.encode
    measured, right = list[tuple[float, ...]](), list[bool]()
    for half in (different[::2], different[1::2]) if len(different) > 1 else ():
        graph = sentence_graph(encode(text) for text in half)
        clips = [*(features[number] for number in said), *noises]
        for number, heard in hear_clips(recognizer, clips, graph):
            if -np.inf not in heard.measured:
                own = texts[said[number]] if number < len(said) else None
                measured.append(heard.measured)
                right.append(recognizer.bundle.tokenizer.decode(heard.best[0].tokens) == own)
    if len(set(right)) < 2:
        return None
    return fit_logistic(np.array(measured), np.array(right))


def few_noises() -> list[np.ndarray]:
    """A sound without speech of each kind that training draws from, of another seed."""
    kinds = [kind for kind in KINDS if kind != "silence"]
    return [noise_clip(kind, NOISE_SECONDS, NOISE_SEED, NOISE_LEVEL) for kind in kinds]


@torch.inference_mode()
def hear_clips(recognizer: Recognizer, features: Sequence[Features], graph: TokenGraph) -> Iterator[tuple[int, Heard]]:
    """The numbers of clips that are not silent, each with the sentences that are heard in it."""
    model = recognizer.bundle.model
    for group in batches_to_search(features):
        encoded = recognizer.encode([features[number] for number in group])
        config = replace(recognizer.decode, lm="", hotwords=())
        yield from zip(group, hear(model, encoded, config, [graph] * len(group), recognizer.spell), strict=True)
