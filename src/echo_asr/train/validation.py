"""What a model is worth while it is trained, and how sure of its words it may be in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import torch

from echo_asr.data.batch import Example, collate
from echo_asr.data.partition import stratified_sample
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.distributed.processes import Processes
from echo_asr.evaluate.calibration import fit_calibration, measure_confidence, score_words
from echo_asr.evaluate.collapse import find_collapse
from echo_asr.evaluate.finding import fit_alike, fit_found, known_batches
from echo_asr.evaluate.metrics import error_rate
from echo_asr.evaluate.sentences import few_noises, fit_sentences
from echo_asr.evaluate.speech import MOST_CLIPS, fit_speech, sounds_without_speech
from echo_asr.features import Features
from echo_asr.model.calibration import Noted
from echo_asr.model.checkpoint import (
    ALIKE,
    CALIBRATION,
    FOUND,
    SENTENCES,
    SPEECH,
    TONES,
    load_bundle,
    save_calibrations,
)
from echo_asr.model.tone_model import ToneModel
from echo_asr.train.state import Progress

PLATEAU_BLANK = 0.995  # blank ratio at which CTC writes nothing
PLATEAU_VALIDATIONS = 4  # validations without a better error, or with nothing but blanks, that make a plateau
CHUNK = 64  # utterances whose teacher-forced loss is computed at once
SAMPLES = 3  # hypotheses shown at each validation
COLLAPSED = (
    "it has not learnt to use the audio: see that recordings and texts belong together (echo-asr corpus check), train "
    "longer or on more speech, or lower train.learning_rate"
)


@dataclass(frozen=True)
class Validation:
    """What a free-running validation found; error rates in percent. `hypotheses` maps an utterance's id to its text.

    Attributes:
        collapse: what is wrong where the model writes one text for everything; None where it does not.
    """

    wer: float
    cer: float
    loss: float
    blank_ratio: float
    samples: list[tuple[str, str]]
    hypotheses: dict[str, str] = field(default_factory=dict)
    collapse: str | None = None


@torch.inference_mode()
def validate(
    recognizer: Recognizer, validation: Sequence[Example], features: Sequence[Features], processes: Processes
) -> Validation:
    """Free-running error of a model, and its teacher-forced loss, on examples whose features are there; each process
    does its share."""
    recognised = _recognize(recognizer, features, processes)
    measured = _measure(recognizer, validation, features, processes)
    texts = {index: text for part in processes.gather(recognised) for index, text in part.items()}
    hypotheses = [texts.get(index, "") for index in range(len(validation))]
    references = [e.text for e in validation]
    # Added up in the order of the utterances, whoever measured them.
    parts = sorted(one for part in processes.gather(measured) for one in part)
    loss, blank, count = (sum(values) for values in list(zip(*parts, strict=True))[1:])
    shown = range(0, len(references), max(1, len(references) // SAMPLES))
    return Validation(
        wer=error_rate(references, hypotheses, unit="word").percent,
        cer=error_rate(references, hypotheses, unit="character").percent,
        loss=loss / count,
        blank_ratio=blank / count,
        samples=[(references[i], hypotheses[i]) for i in shown][:SAMPLES],
        hypotheses={e.utterance.id: text for e, text in zip(validation, hypotheses, strict=True)},
        collapse=find_collapse(references, hypotheses),
    )


def _recognize(recognizer: Recognizer, features: Sequence[Features], processes: Processes) -> dict[int, str]:
    """What the model writes by itself for this process's share of the batches; the text of silence is empty, and in no
    share."""
    groups = list(batches_to_search(features))
    # A batch is full whatever comes after it: searched by themselves, these make the same batches as all together.
    mine = sorted(index for group in processes.rank.share(groups) for index in group)
    found = recognizer.recognize([features[i] for i in mine])
    return {index: segment.said for index, segment in zip(mine, found, strict=True)}


def _measure(
    recognizer: Recognizer, validation: Sequence[Example], features: Sequence[Features], processes: Processes
) -> list[tuple[int, float, float, int]]:
    """For this process's share: the first utterance of each part, its loss and blank ratio, each times its utterances,
    and their number."""
    model, parts = recognizer.bundle.model, []
    for first in processes.rank.share(range(0, len(validation), CHUNK)):
        examples = validation[first : first + CHUNK]
        part = collate(features[first : first + CHUNK], [e.tokens for e in examples]).to(model.device)
        found = model.loss(part.features, part.tokens, part.lengths, features=recognizer.features)
        rows = len(examples)
        parts.append((first, float(found.total) * rows, float(found.blank_ratio) * rows, rows))
    return parts


def is_best(progress: Progress, found: Validation) -> bool:
    """Whether a validation is the best so far, which the progress then notes."""
    error = found.wer + found.cer / 1000  # characters decide between equal word errors
    better = error <= progress.best
    progress.stale = 0 if error < progress.best else progress.stale + 1
    if better:
        progress.best, progress.best_step, progress.best_epoch = error, progress.step, progress.epoch
    return better


def plateau(progress: Progress, found: Validation, validate_every: int) -> str:
    """A warning where training has come to a plateau; empty where it has not."""
    if found.blank_ratio > PLATEAU_BLANK and progress.step >= PLATEAU_VALIDATIONS * validate_every:
        return (
            f"plateau: CTC writes nothing but blanks ({100 * found.blank_ratio:.1f} % of frames); check that texts "
            "and recordings belong together, or try a longer warm-up or a lower train.learning_rate"
        )
    if progress.stale >= PLATEAU_VALIDATIONS and found.wer > 5.0:
        return (
            f"plateau: no better error in the last {progress.stale} validations; more training may not help "
            "(try more data, augmentation or dropout, or a lower train.learning_rate)"
        )
    return ""


def calibrate(
    run: Path,
    decode: DecodeConfig,
    device: torch.device,
    validation: Sequence[Example],
    features: Sequence[Features],
    noisy: Sequence[Features],
    crowds: Sequence[Features],
    tone_model: Callable[[Recognizer], ToneModel | None],
    warn: Callable[[str], None],
) -> str:
    """Fit to the weights that a run has kept the tone model, how the scores of words, of sentences of a grammar, and of
    places of words that are looked for become probabilities, and how probable it is that a text was spoken; note it
    beside them. Returns a line about it.

    Words are those that the model recognises by itself under `decode`. A model that writes one text for everything is
    warned about.

    Raises:
        EchoError: the folder cannot be read, or written.
    """
    recognizer = Recognizer(load_bundle(run, device), decode)
    recognizer.bundle.speech = None  # of weights that were kept before
    recognizer.bundle.tones = tone_model(recognizer)
    recognised = [[segment] for segment in recognizer.recognize(features, words=True)]
    references = [e.text for e in validation]
    if collapse := find_collapse(references, [segment.said for (segment,) in recognised]):
        warn(f"of the model that is kept: {collapse}; {COLLAPSED}")
    scores, right = score_words(references, recognised, lambda text: text)  # both are normalised
    calibration = fit_calibration(scores, right)
    found = measure_confidence(scores, right, calibration)
    spoken = [index for index, text in enumerate(references) if text]
    noises = [recognizer.extractor(clip) for clip in few_noises()]
    fitted: dict[str, Noted | None] = {
        TONES: recognizer.bundle.tones,
        SENTENCES: fit_sentences(recognizer, references, features, noises),
        SPEECH: fit_speech(
            recognizer,
            [recognised[index][0] for index in spoken],
            [*(features[index] for index in stratified_sample(spoken, MOST_CLIPS)), *noisy],
            chain(map(recognizer.extractor, sounds_without_speech()), crowds),
        ),
    }
    if found is not None:
        recognizer.bundle.calibration = calibration
        batches = known_batches(recognizer, references, features, [segment for (segment,) in recognised])
        of_words, of_examples = fit_found(recognizer, batches), fit_alike(recognizer, batches)
        fitted |= {CALIBRATION: calibration, FOUND: of_words, ALIKE: of_examples}
    save_calibrations(run, {name: one for name, one in fitted.items() if one is not None})
    if found is None:
        return "probabilities of words are not calibrated: none was recognised in validation"
    return f"probabilities of words are calibrated on validation, where their error is now {found}"
