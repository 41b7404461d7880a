"""How probable it is that a text was spoken: what that is fitted to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from echo_asr.audio.convert import seconds_to_samples
from echo_asr.data.noise import AUDIBLE, OTHER_KINDS, noise_clip
from echo_asr.data.perturbation import in_noise
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.results import Segment
from echo_asr.decode.spoken import pooled_states
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.calibration import fit_weights
from echo_asr.features import Features
from echo_asr.model.calibration import LEAST, SpeechProbability

FEWEST = 30  # texts that are recognised; of fewer it is not known what is usual
MOST_CLIPS = 150  # with speech, as they are and in noise
SNR = (5.0, 20.0)  # dB, of clips in noise
SOUNDS = 480  # without speech
CROWDS = 240  # of several people who speak at once
CROWD = (3, 16)  # of them in each
SECONDS = (0.3, 3.0)  # of a sound; short crowds are the likest to a word
LEVELS = (-60.0, -10.0)  # dBFS, RMS
QUIET = (0.0, 1.0)  # seconds before and after half of the sounds
QUIET_LEVEL = -90.0  # dBFS
SEED = 3 << 38  # from which no training draws
PRIOR = 0.2  # standard deviation of a weight, of a value that was divided by its own
SPREAD = 0.25  # least deviation of the logarithm of the evidence
# Logits that are added: of texts with the usual evidence those below -2.2 are left out. Chosen, with the numbers above,
# between sounds that get a text and clips of a new speaker, and in noise, that lose theirs (LOG, 2026-11-30).
BONUS = 2.2


def noisy(audio: np.ndarray, number: int) -> np.ndarray:
    """Samples `(S,)` in a noise of a number, which determines its kind and level."""
    return in_noise(audio, np.random.default_rng([SEED, number]), SNR)


def sounds_without_speech() -> list[np.ndarray]:
    """Sounds of all kinds, those that no training draws among them, at many levels, half of them within quiet."""
    random = np.random.default_rng(SEED)
    kinds = [*AUDIBLE, *OTHER_KINDS * 4]
    return [
        placed(noise_clip(kinds[number % len(kinds)], _seconds(random), int(random.integers(2**31))), random)
        for number in range(SOUNDS)
    ]


def crowds(speech: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Sounds of several people who speak at once, made of recordings `(S,)`, as those of `sounds_without_speech`:
    nobody's text, and as like a voice as a sound can be; without them crowds and engines get texts."""
    random = np.random.default_rng(SEED + 1)
    made = []
    for _ in range(CROWDS):
        total = np.zeros(seconds_to_samples(_seconds(random)))
        for _ in range(int(random.integers(CROWD[0], CROWD[1] + 1))):
            row = np.concatenate([speech[int(i)] for i in random.integers(len(speech), size=2)])
            row = np.resize(row, row.size + total.size)
            start = int(random.integers(row.size - total.size + 1))
            part = row[start : start + total.size]
            total += random.uniform(0.5, 1.0) * part / max(float(part.std()), LEAST)
        made.append(placed(total, random))
    return made


def _seconds(random: np.random.Generator) -> float:
    return math.exp(random.uniform(*np.log(SECONDS)))


def placed(sound: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A sound `(S,)` at some level, softer where its peaks would exceed full scale, and perhaps within quiet."""
    wanted = 10 ** (random.uniform(*LEVELS) / 20) / max(float(np.sqrt(np.mean(sound**2))), LEAST)
    made = sound * min(wanted, 1 / max(float(np.abs(sound).max()), LEAST))
    if random.random() < 0.5:
        before, after = (seconds_to_samples(seconds) for seconds in random.uniform(*QUIET, size=2))
        made = np.pad(made, (before, after))
        made = made + 10 ** (QUIET_LEVEL / 20) * random.standard_normal(made.size)
    return made.astype(np.float32)


def fit_speech(
    recognizer: Recognizer,
    recognised: Sequence[Segment],
    speech: Iterable[Features],
    sounds: Iterable[Features],
) -> SpeechProbability | None:
    """Fit the probability that a text was spoken, by logistic regression of the encoder's pooled states; None where
    fewer than `FEWEST` texts were recognised.

    Args:
        recognised: in clips that were not trained on.
        speech: features of such clips, as they are and in noise.
        sounds: features of sounds without speech, and of crowds.
    """
    evidence = np.array([segment.evidence for segment in recognised if segment.text and segment.evidence > 0.0])
    if len(evidence) < FEWEST:
        return None
    spoken, silent = _pooled(recognizer, list(speech)), _pooled(recognizer, list(sounds))
    inputs = np.concatenate([spoken, silent])
    middle, deviation = inputs.mean(0), np.maximum(inputs.std(0), LEAST)
    size = inputs.shape[1]
    scaled = np.concatenate([(inputs - middle) / deviation, np.ones((len(inputs), 1))], axis=1)
    targets = np.repeat([1.0, 0.0], [len(spoken), len(silent)])
    free, zero = np.ones(size + 1, dtype=bool), np.zeros(size + 1)
    fitted = fit_weights(scaled, targets, free, zero, np.append(np.full(size, PRIOR), 10.0))
    weights = fitted[:-1] / deviation
    bias = float(fitted[-1] - weights @ middle) + BONUS
    logs = np.log(evidence)
    usual = float(np.median(logs)), max(SPREAD, float(logs.std()))
    return SpeechProbability(tuple(float(f"{w:.6g}") for w in weights), bias, *usual, len(inputs))


def _pooled(recognizer: Recognizer, clips: Sequence[Features]) -> np.ndarray:
    """The pooled states of clips that are not silent, `(clips, 3 D)` float64."""
    groups = batches_to_search(clips)
    model = recognizer.bundle.model
    found = [pooled_states(model, recognizer.encode([clips[i] for i in group])).double().numpy() for group in groups]
    return np.concatenate(found) if found else np.zeros((0, 0))
