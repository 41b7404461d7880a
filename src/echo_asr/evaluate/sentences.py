"""How sure a model is of the sentences of a grammar: what its probabilities are fitted to, and what they are worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch

from echo_asr.data.noise import KINDS, noise_clips
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.grammar import graph_of_sentences
from echo_asr.decode.sentences import hear
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.evaluate.calibration import fit_logistic
from echo_asr.features import Features
from echo_asr.model.calibration import LogisticCalibration
from echo_asr.text.tokenizer import Tokenizer

MOST_CLIPS = 150  # with speech, that a calibration is fitted to
NOISE_SECONDS, NOISE_LEVEL = 2.0, -30.0  # of a sound without speech; dBFS
NOISE_SEED = 1 << 39  # from which no training draws


def fit_sentences(
    recognizer: Recognizer, texts: Sequence[str], features: Sequence[Features], noises: Sequence[Features]
) -> LogisticCalibration | None:
    """Fit how probable it is that a sentence of a grammar was said.

    The texts are divided in two halves, and each is taken for a grammar: of the clips, half have their sentence in it,
    and half were better refused, as were the noises. A text that the model cannot write is in neither grammar. None
    where there are fewer than two different texts, or where none, or all, of what is found is right.

    Args:
        texts: of the clips, normalised; clips with an empty one are left out.
        features: of clips that were not trained on.
        noises: features of clips without speech.
    """
    said = [number for number, text in enumerate(texts) if text][:MOST_CLIPS]
    clips = [*(features[number] for number in said), *noises]
    spelled = _spelled(recognizer.bundle.tokenizer, {texts[number] for number in said})
    if len(spelled) < 2:
        return None
    graphs = [graph_of_sentences(half) for half in (spelled[::2], spelled[1::2])]
    model, decode = recognizer.bundle.model, recognizer.bundle.tokenizer.decode
    config = replace(recognizer.decode, lm="", hotwords=())
    measured, right = list[tuple[float, ...]](), list[bool]()
    for group in batches_to_search(clips):
        with torch.inference_mode():
            encoded = recognizer.encode([clips[number] for number in group])
            found = [hear(model, encoded, config, [graph] * len(group), recognizer.spell) for graph in graphs]
        for number, *heard in zip(group, *found, strict=True):
            own = texts[said[number]] if number < len(said) else None
            for one in heard:
                if -np.inf not in one.measured:
                    measured.append(one.measured)
                    right.append(decode(one.best[0].tokens) == own)
    if len(set(right)) < 2:
        return None
    return fit_logistic(np.array(measured), np.array(right))


def _spelled(tokenizer: Tokenizer, texts: Iterable[str]) -> list[list[int]]:
    """The tokens of the texts that the model can write, in the order of these texts."""
    found = []
    for text in sorted(texts):
        with suppress(EchoError):
            found.append(tokenizer.encode(text))
    return found


def few_noises() -> list[np.ndarray]:
    """A sound without speech of each kind that training draws from, of another seed."""
    return noise_clips(len(KINDS) - 1, NOISE_SECONDS, NOISE_SEED, (NOISE_LEVEL,))
