"""The tone model of a recogniser, fitted to the syllables of its training texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from echo_asr.data.batch import Example
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.tones import measure_syllable, timed_syllables
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import Features
from echo_asr.model.config import ModelConfig
from echo_asr.model.tone_model import MEASUREMENTS, ToneModel
from echo_asr.text.config import TextConfig

MOST = 40_000  # contours
TOGETHER = 128  # recordings that are held in memory
FEWEST, FEWEST_OF_TONE = 300, 20  # syllables; with fewer there is no tone model, or not that tone in it
HIDDEN, DROPOUT, SMOOTHING = 96, 0.3, 0.05
EPOCHS, BATCH, RATE, DECAY = 40, 256, 2e-3, 0.02
SEED = 5 << 38
MOST_ERRORS = 0.7  # of those that the commonest tone would have
HELD_OUT = 10  # every tenth syllable


def measured_syllables(
    recognizer: Recognizer, examples: Sequence[Example], features: Callable[[Example], Features]
) -> tuple[np.ndarray, list[str]]:
    """The measurements of syllables and their tones: `(N, W)`, each syllable relative to its speaker, where that is
    known, and once more as if it were not; about `MOST` of them, of the first recordings."""
    bundle, notation = recognizer.bundle, recognizer.bundle.text.notation
    assert notation is not None
    rows, tones = list[np.ndarray](), list[str]()
    for start in range(0, len(examples), TOGETHER):
        if len(rows) >= MOST:
            break
        part = examples[start : start + TOGETHER]
        clips = [features(example) for example in part]
        for group in batches_to_search(clips):
            own = [clips[i] for i in group]
            encoded = recognizer.encode(own)
            texts = [part[i].tokens for i in group]
            for clip, syllables in zip(own, timed_syllables(bundle, own, encoded, texts, notation), strict=True):
                for timed in syllables:
                    for reference in dict.fromkeys((clip.speaker_f0, 0.0)):
                        found = measure_syllable(clip, timed.start, timed.end, reference)
                        if found is not None and timed.syllable.tone:
                            rows.append(found.astype(np.float32))
                            tones.append(timed.syllable.tone)
    return np.array(rows).reshape(-1, MEASUREMENTS), tones


def has_tone_model(model: ModelConfig, text: TextConfig) -> bool:
    """Whether a model gets a tone model at the end of training: beside the states of a pretrained encoder, for texts
    with tones."""
    return "states" in model.features and text.notation is not None


@torch.inference_mode()
def fit_tones(
    recognizer: Recognizer, examples: Sequence[Example], features: Callable[[Example], Features]
) -> ToneModel | None:
    """Fit a tone model to some of the training recordings, whose texts are aligned by the recogniser; None for a model
    that gets none, where fewer than `FEWEST` syllables have a tone, or where contours do not tell them."""
    if not has_tone_model(recognizer.bundle.model.config, recognizer.bundle.text):
        return None
    spoken = [example for example in examples if example.tokens]
    # Drawn at random, since speakers may take turns in a corpus.
    drawn = np.random.default_rng(SEED).permutation(len(spoken)).tolist()
    measured, tones = measured_syllables(recognizer, [spoken[i] for i in drawn], features)
    counts = Counter(tones)
    names = sorted(tone for tone, count in counts.items() if count >= FEWEST_OF_TONE)
    kept = np.array([tone in names for tone in tones], dtype=bool)
    if len(names) < 2 or int(kept.sum()) < FEWEST:
        return None
    measured, targets = measured[kept], np.array([names.index(tone) for tone in tones if tone in names])
    return train_tones(measured, targets, names) if tells_tones(measured, targets, names) else None


def tells_tones(measured: np.ndarray, targets: np.ndarray, names: Sequence[str]) -> bool:
    """Whether contours tell the tones: a model that is fitted to nine tenths of them has at most `MOST_ERRORS` of the
    errors, in the rest, that the commonest tone for all would have. So accents that are no tones get no tone model."""
    held = np.arange(len(targets)) // 2 % HELD_OUT == HELD_OUT - 1  # whole syllables: each comes twice
    fitted = train_tones(measured[~held], targets[~held], names)
    found = fitted.log_probabilities(measured[held]).argmax(1)
    commonest = int(np.bincount(targets[~held]).argmax())
    return float(np.mean(found != targets[held])) <= MOST_ERRORS * float(np.mean(targets[held] != commonest))


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
