"""How sure a model is of the sentences of a grammar: what its probabilities are fitted to, and what they are worth."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch

from echo_asr.data.noise import KINDS, noise_clips
from echo_asr.data.partition import stratified_sample
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.constraint import TokenGraph
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
NEAR_SEED = 7
NEAR_EACH = 3  # of so many clips one is heard by what differs from its text in one symbol (LOG, 2026-11-30)
NOISE_SEED = 1 << 39  # from which no training draws


def fit_sentences(
    recognizer: Recognizer, texts: Sequence[str], features: Sequence[Features], noises: Sequence[Features]
) -> LogisticCalibration | None:
    """Fit how probable it is that a sentence of a grammar was said.

    The texts are divided in two halves, and each is taken for a grammar: of the clips, half have their sentence in it,
    and half were better refused, as were the noises. Refused is best, too, what differs from the text of a clip in one
    symbol, a tone, say, which a long sentence hides. A text that the model cannot write is in neither grammar. None
    where there are fewer than two different texts, or where none, or all, of what is found is right.

    Args:
        texts: of the clips, normalised; clips with an empty one are left out.
        features: of clips that were not trained on.
        noises: features of clips without speech.
    """
    said = stratified_sample([number for number, text in enumerate(texts) if text], MOST_CLIPS)
    clips = [*(features[number] for number in said), *noises]
    tokenizer, model = recognizer.bundle.tokenizer, recognizer.bundle.model
    spelled = _spelled(tokenizer, {texts[number] for number in said})
    if len(spelled) < 2:
        return None
    halves = [graph_of_sentences(half) for half in (spelled[::2], spelled[1::2])]
    nearly = _nearly(tokenizer, [texts[n] for n in said], set(texts))
    nearly = [own if number % NEAR_EACH == 0 else None for number, own in enumerate(nearly)]
    of_clips = list[list[TokenGraph | None]]([half] * len(clips) for half in halves)
    of_clips.append([*(graph_of_sentences([own]) if own else None for own in nearly), *[None] * len(noises)])
    config = replace(recognizer.decode, lm="", hotwords=())
    measured, right = list[tuple[float, ...]](), list[bool]()
    for group in batches_to_search(clips):
        with torch.inference_mode():
            encoded = recognizer.encode([clips[number] for number in group])
            for graphs in ([own[number] for number in group] for own in of_clips):
                found = hear(model, encoded, config, [graph or halves[0] for graph in graphs], recognizer.spell)
                for number, graph, one in zip(group, graphs, found, strict=True):
                    if graph and -np.inf not in one.measured:
                        measured.append(one.measured)
                        own = texts[said[number]] if number < len(said) else None
                        right.append(tokenizer.decode(one.best[0].tokens) == own)
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


def _nearly(tokenizer: Tokenizer, texts: Sequence[str], known: Collection[str]) -> list[list[int] | None]:
    """The tokens of each text with one symbol in the place of another of its Unicode category in these texts: a letter
    of a letter, a digit of a digit; None where that is a text of another clip, there is no other, or the model cannot
    write it."""
    random = np.random.default_rng(NEAR_SEED)
    kinds = defaultdict[str, list[str]](list)
    for symbol in sorted(set().union(*texts)):
        kinds[unicodedata.category(symbol)].append(symbol)
    found = list[list[int] | None]()
    for text in texts:
        places = [n for n, symbol in enumerate(text) if symbol != " " and len(kinds[unicodedata.category(symbol)]) > 1]
        found.append(None)
        if places:
            place = places[int(random.integers(len(places)))]
            others = [symbol for symbol in kinds[unicodedata.category(text[place])] if symbol != text[place]]
            other = text[:place] + others[int(random.integers(len(others)))] + text[place + 1 :]
            if other not in known:
                with suppress(EchoError):
                    found[-1] = tokenizer.encode(other)
    return found


def few_noises() -> list[np.ndarray]:
    """A sound without speech of each kind that training draws from, of another seed."""
    return noise_clips(len(KINDS) - 1, NOISE_SECONDS, NOISE_SEED, (NOISE_LEVEL,))
