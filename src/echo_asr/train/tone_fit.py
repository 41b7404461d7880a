"""The tone model of a recogniser, fitted to the syllables of its training texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from echo_asr.audio import load_audio
from echo_asr.audio.load import Audio
from echo_asr.data.batch import Example
from echo_asr.data.noise import AUDIBLE
from echo_asr.data.perturbation import drawn_by, in_noise
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.tones import measure_syllable, timed_syllables
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import FeatureExtractor, Features
from echo_asr.model.config import ModelConfig
from echo_asr.model.tone_model import MEASUREMENTS, ToneModel
from echo_asr.text.config import TextConfig
from echo_asr.text.tones import Syllable, ToneNotation

MOST = 40_000  # contours
IN_NOISE = 2  # every second recording is measured in a noise, too
SNR = (-5.0, 25.0)  # dB
TOGETHER = 128  # recordings that are held in memory
FEWEST, FEWEST_OF_TONE = 300, 20  # syllables; with fewer there is no tone model, or not that tone in it
HIDDEN, DROPOUT, SMOOTHING = 96, 0.3, 0.05
EPOCHS, BATCH, RATE, DECAY = 40, 256, 2e-3, 0.02
SEED = 5 << 38
MOST_ERRORS = 0.7  # of those that the commonest tone would have
HELD_OUT = 10  # every tenth syllable


def in_any_noise(audio: np.ndarray) -> np.ndarray:
    """Samples `(S,)` in a noise of any kind that has a sound, which they determine: tones and glides among them, whose
    F0 a tone model has to distrust."""
    return in_noise(audio, drawn_by(SEED, audio), SNR, kinds=AUDIBLE)


def pitch_in_noise(extractor: FeatureExtractor, audio: Audio, speaker_f0: float) -> Features:
    """Pitch of a recording in the noise that it determines, relative to the same F0 as without it."""
    return replace(extractor.acoustic(in_any_noise(load_audio(audio))), speaker_f0=speaker_f0)


class Contours(NamedTuple):
    """Measurements of syllables `(N, W)` float32, their tones, the number of each syllable `(N,)`, and whether it was
    measured in noise, `(N,)`."""

    measured: np.ndarray
    tones: list[str]
    syllables: np.ndarray
    noisy: np.ndarray


def measured_syllables(
    recognizer: Recognizer,
    examples: Sequence[Example],
    features: Callable[[Example], Features],
    noisy: Callable[[Example], Features] | None = None,
) -> Contours:
    """The measurements of syllables and their tones, each syllable relative to its speaker, where that is known, and
    once more as if it were not; about `MOST` of them, of the first recordings.

    Args:
        noisy: pitch of a recording in noise, where its syllables, which are timed in the recording as it is, are
            measured as well; of every second one.
    """
    bundle, notation = recognizer.bundle, recognizer.bundle.text.notation
    assert notation is not None
    rows, tones, numbers, flags, count = list[np.ndarray](), list[str](), list[int](), list[bool](), 0
    for start in range(0, len(examples), TOGETHER):
        if len(rows) >= MOST:
            break
        part = examples[start : start + TOGETHER]
        clips = [features(example) for example in part]
        for group in batches_to_search(clips):
            own = [clips[i] for i in group]
            texts = [part[i].tokens for i in group]
            found = timed_syllables(bundle, own, recognizer.encode(own), texts, notation)
            for number, clip, syllables in zip(group, own, found, strict=True):
                heard = [(clip, False)]
                if noisy is not None and (start + number) % IN_NOISE == 0:
                    heard.append((noisy(part[number]), True))
                for timed in (one for one in syllables if _has_tone(one.syllable, notation)):
                    count += 1
                    for (one, disturbed), reference in product(heard, dict.fromkeys((clip.speaker_f0, 0.0))):
                        measured = measure_syllable(one, timed.start, timed.end, reference)
                        if measured is not None:
                            rows.append(measured.astype(np.float32))
                            tones.append(timed.syllable.tone)
                            numbers.append(count)
                            flags.append(disturbed)
    measured_all = np.array(rows).reshape(-1, MEASUREMENTS)
    return Contours(measured_all, tones, np.array(numbers, dtype=np.int64), np.array(flags, dtype=bool))


def _has_tone(syllable: Syllable, notation: ToneNotation) -> bool:
    """Whether a syllable has a tone, written or not; numbers and the symbols of events have none."""
    return bool(syllable.tone) or (notation.unmarked and any(map(str.isalpha, syllable.base)))


def has_tone_model(model: ModelConfig, text: TextConfig) -> bool:
    """Whether a model gets a tone model at the end of training: beside the states of a pretrained encoder, for texts
    with tones."""
    return "states" in model.features and text.notation is not None


@torch.inference_mode()
def fit_tones(
    recognizer: Recognizer,
    examples: Sequence[Example],
    features: Callable[[Example], Features],
    noisy: Callable[[Example], Features] | None = None,
) -> ToneModel | None:
    """Fit a tone model to some of the training recordings, whose texts are aligned by the recogniser; None for a model
    that gets none, where fewer than `FEWEST` syllables have a tone, or where contours do not tell them.

    Args:
        noisy: as of `measured_syllables`.
    """
    if not has_tone_model(recognizer.bundle.model.config, recognizer.bundle.text):
        return None
    spoken = [example for example in examples if example.tokens]
    # Drawn at random, since speakers may take turns in a corpus.
    drawn = np.random.default_rng(SEED).permutation(len(spoken)).tolist()
    found = measured_syllables(recognizer, [spoken[i] for i in drawn], features, noisy)
    numbers, first = np.unique(found.syllables, return_index=True)
    counts = Counter(found.tones[row] for row in first.tolist())
    names = sorted(tone for tone, count in counts.items() if count >= FEWEST_OF_TONE)
    spoken_syllables = sum(counts[tone] for tone in names)
    if len(names) < 2 or spoken_syllables < FEWEST:
        return None
    kept = np.array([tone in names for tone in found.tones], dtype=bool)
    measured, targets = found.measured[kept], np.array([names.index(tone) for tone in found.tones if tone in names])
    held = np.isin(found.syllables[kept], np.random.default_rng(SEED).permutation(numbers)[::HELD_OUT])
    if not tells_tones(measured, targets, names, ~held, held & ~found.noisy[kept]):
        return None
    return replace(train_tones(measured, targets, names), syllables=spoken_syllables)


def tells_tones(
    measured: np.ndarray, targets: np.ndarray, names: Sequence[str], fitted: np.ndarray, tested: np.ndarray
) -> bool:
    """Whether contours tell the tones: a model that is fitted to some of them has at most `MOST_ERRORS` of the errors,
    in others, that the commonest tone for all would have. So accents that are no tones get no tone model.

    Args:
        fitted, tested: which, `(N,)` bool.
    """
    found = train_tones(measured[fitted], targets[fitted], names).log_probabilities(measured[tested]).argmax(1)
    commonest = int(np.bincount(targets[fitted]).argmax())
    return float(np.mean(found != targets[tested])) <= MOST_ERRORS * float(np.mean(targets[tested] != commonest))


def train_tones(measured: np.ndarray, targets: np.ndarray, names: Sequence[str]) -> ToneModel:
    """A tone model from measurements `(N, W)` and the numbers of their tones `(N,)`."""
    middle, deviation = measured.mean(0, dtype=np.float64), measured.std(0, dtype=np.float64)
    deviation[deviation < 1e-3] = np.inf  # what never varied says nothing
    inputs = torch.from_numpy(((measured - middle) / deviation).astype(np.float32))
    wanted, order = torch.from_numpy(targets), np.random.default_rng(SEED)
    with (
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        torch.manual_seed(SEED)
        inputs, wanted = inputs.clone(), wanted.clone()
        first, second = nn.Linear(measured.shape[1], HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        last = nn.Linear(HIDDEN, len(names))
        network = nn.Sequential(first, nn.GELU(), nn.Dropout(DROPOUT), second, nn.GELU(), nn.Dropout(DROPOUT), last)
        optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
        for _ in range(EPOCHS):
            for rows in np.array_split(order.permutation(len(inputs)), max(1, len(inputs) // BATCH)):
                loss = cross_entropy(network(inputs[rows]), wanted[rows], label_smoothing=SMOOTHING)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    scale = torch.from_numpy(1.0 / deviation).float()
    weight = first.weight.detach() * scale
    bias = first.bias.detach() - weight @ torch.from_numpy(middle).float()
    values = [weight, bias, second.weight, second.bias, last.weight, last.bias]
    flat = torch.cat([value.detach().flatten() for value in values])
    weights = tuple(float(f"{w:.6g}") for w in flat.tolist())
    return ToneModel("\n".join(names), HIDDEN, weights, len(targets))
