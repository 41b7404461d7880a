"""Looks for what sounds like examples of a word, which needs no spelling.

Evidence are the states of the encoder, matched by dynamic time warping, and what the model recognises in an example,
looked for as a keyword. The latter finds a word in another voice, the former one that the model spells now so, now so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from echo_asr.audio import load_audio
from echo_asr.audio.convert import frames_to_seconds, samples_to_seconds, seconds_to_frames
from echo_asr.audio.load import Audio
from echo_asr.decode.alignment import ctc_align, span_times
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.ctc import best_paths
from echo_asr.decode.keyword_paths import keyword_paths, without_overlaps
from echo_asr.decode.keywords import Keyword, Spelling
from echo_asr.decode.results import Place
from echo_asr.decode.subsequence import cosine_costs, warp
from echo_asr.decode.times import token_texts
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features import Features
from echo_asr.model.calibration import LogisticCalibration
from echo_asr.model.encoder import Encoded

LONGEST = 10.0  # seconds of an example
SHORTEST = 3  # encoder frames of an example
MARGIN = 0.06  # seconds of an example before the first symbol that CTC finds, and after the last
LEAST, LEAST_EACH = -40.0, -8.0  # nats: the smallest ratio of a CTC path, and that for each token
TIE = 1e-6  # of a probability: what decides between places of equal ones
DEFAULT = LogisticCalibration((6.0, 1.2), -3.5)  # for models without a calibration of their own


@dataclass(frozen=True)
class Example:
    """A spoken word to look for.

    Attributes:
        states: of the encoder that CTC reads, `(N, D)`, from the first symbol that CTC finds to the last.
        keyword: what the model recognises, and what CTC alone does, as two spellings of a keyword; None where it is
            nothing.
    """

    states: Tensor
    keyword: Keyword | None


@dataclass(frozen=True)
class Likeness:
    """A place in a clip that may be like the examples.

    Attributes:
        first, last: encoder frames.
        measured: the cosine of the states along the best path, a mean over the frames of an example; and nats for each
            token of the ratio of the CTC path of what the model recognises in the example (`keyword_paths`). Of several
            examples the means.
    """

    first: int
    last: int
    measured: tuple[float, float]


class ExampleSearch:
    """Looks for what sounds like examples of one word.

    Args:
        examples: recordings of the word alone.
        word: what places are called.
        least: probability of a place that is returned.
        sampling_rate: Hz, of examples that are samples.

    Raises:
        EchoError: there is no example; or one cannot be read, is silent, too short, or longer than `LONGEST`.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        examples: Sequence[Audio],
        word: str = "",
        least: float = 0.5,
        sampling_rate: int | None = None,
    ) -> None:
        if not examples:
            raise EchoError("no example to look for; give a recording of the word at least")
        self.recognizer, self.word, self.least = recognizer, word, least
        clips = [(_load(recognizer, audio, sampling_rate), _named(audio)) for audio in examples]
        self.examples = [make_example(recognizer, clip, name) for clip, name in clips]
        self.calibration = recognizer.bundle.alike or DEFAULT

    def find(self, features: Sequence[Features]) -> list[list[Place]]:
        """The places in clips, in their order, each in the order of time, in seconds from the clip's beginning."""
        found: list[list[Place]] = [[] for _ in features]
        for group in batches_to_search(features):
            clips = [features[i] for i in group]
            with torch.inference_mode():
                encoded = self.recognizer.encode(clips)
                alike = likenesses(self.recognizer, self.examples, encoded, self.calibration)
                sure = [[one for one in own if self.calibration(one.measured) >= self.least] for own in alike]
                times = self._times(clips, encoded, sure)
            for index, own, timed in zip(group, sure, times, strict=True):
                found[index] = [
                    Place(self.word, *time, self.calibration(one.measured))
                    for one, time in zip(own, timed, strict=True)
                ]
        return found

    def _times(
        self, clips: Sequence[Features], encoded: Encoded, found: Sequence[Sequence[Likeness]]
    ) -> list[list[tuple[float, float]]]:
        """Start and end of each place of a batch of clips, in seconds.

        CTC may find a symbol a little before it is said, or after, and the states are as far off. So a place lasts from
        the first to the last of the symbols that CTC finds in it, as these are timed in a text; one without any lasts
        as long as its frames.
        """
        if not any(found):
            return [[] for _ in found]
        model, tokenizer = self.recognizer.bundle.model, self.recognizer.bundle.tokenizer
        step = model.config.subsampling
        logs = model.ctc_log_probabilities(encoded)
        texts = [text if own else [] for text, own in zip(best_paths(logs, encoded.lengths), found, strict=True)]
        spans = ctc_align(logs, encoded.lengths, texts)
        times = list[list[tuple[float, float]]]()
        for clip, text, symbols, own in zip(clips, texts, spans, found, strict=True):
            timed = span_times(token_texts(tokenizer, text), symbols, clip, step) if text else []
            times.append([])
            for one in own:
                inside = [
                    time
                    for symbol, time in zip(symbols, timed, strict=True)
                    if one.first <= (symbol.first + symbol.last) / 2 <= one.last
                ]
                frames = frames_to_seconds(one.first * step), frames_to_seconds((one.last + 1) * step)
                times[-1].append((inside[0][0], inside[-1][1]) if inside else frames)
        return times


@torch.inference_mode()
def make_example(recognizer: Recognizer, clip: Features, name: str = "example") -> Example:
    """An example from the features of its recording, which is called `name` in errors.

    Raises:
        EchoError: it is silent, or too short.
    """
    if clip.null.all():
        raise EchoError(f"{name}: is silent; give a recording in which the word is spoken")
    model, tokenizer = recognizer.bundle.model, recognizer.bundle.tokenizer
    encoded = recognizer.encode([clip])
    (segment,) = recognizer.recognize_encoded([clip], encoded, words=False)
    log_probabilities = model.ctc_log_probabilities(encoded)
    best = log_probabilities[0].argmax(-1)
    loud = ~encoded.track.null[0]
    written = ((best > 0) & loud).nonzero()[:, 0].tolist() or loud.nonzero()[:, 0].tolist()
    margin = round(seconds_to_frames(MARGIN) / model.config.subsampling)
    part = slice(max(0, written[0] - margin), written[-1] + 1 + margin)
    states = encoded.states[model.config.ctc_feature][0, part].float()
    if len(states) < SHORTEST:
        raise EchoError(f"{name}: is too short for a word; give a longer recording")
    found = tokenizer.encode(segment.text, "skip"), *best_paths(log_probabilities, encoded.lengths)
    spellings = tuple(Spelling(tokens, False) for tokens in dict.fromkeys(map(tuple, found)) if tokens)
    return Example(states, Keyword(segment.text, segment.text, spellings, False) if spellings else None)


def likenesses(
    recognizer: Recognizer, examples: Sequence[Example], encoded: Encoded, calibration: LogisticCalibration
) -> list[list[Likeness]]:
    """The places in each recording of a batch that are most like the examples; of those that overlap the most probable
    one, in order of time."""
    model = recognizer.bundle.model
    states = encoded.states[model.config.ctc_feature].float()
    lengths = encoded.lengths.tolist()
    beyond = torch.arange(states.shape[1], device=states.device)[None] >= encoded.lengths.to(states.device)[:, None]
    logs = model.ctc_log_probabilities(encoded).cpu().numpy()
    warped = [_minima(cosine_costs(one.states, states).masked_fill(beyond[:, None], torch.inf)) for one in examples]
    spelled = [_paths(logs, lengths, one.keyword) for one in examples]
    found: list[list[Likeness]] = []
    for row in range(len(lengths)):
        own = [(one[row], two[row]) for one, two in zip(warped, spelled, strict=True)]
        spans = np.unique(np.concatenate([paths[:, :2] for pair in own for paths in pair]), axis=0)
        cosines = np.mean([_of_overlapping(spans, paths, 0.0) for paths, _ in own], axis=0)
        ratios = np.mean([_of_overlapping(spans, paths, LEAST_EACH) for _, paths in own], axis=0)
        alike = [
            Likeness(int(first), int(last), (cosine, ratio))
            for (first, last), cosine, ratio in zip(spans, cosines.tolist(), ratios.tolist(), strict=True)
        ]
        # Paths that share a place are all as probable as the best of them, which says where it is.
        exact = [np.mean([_at(spans, paths, 0.0) for paths, _ in own], axis=0),
                 np.mean([_at(spans, paths, LEAST_EACH) for _, paths in own], axis=0)]  # fmt: skip
        nearest = [calibration(pair) for pair in zip(*(one.tolist() for one in exact), strict=True)]
        best = without_overlaps(
            [
                (one.first, one.last, calibration(one.measured) + TIE * tie)
                for one, tie in zip(alike, nearest, strict=True)
            ]
        )
        found.append([alike[number] for number in best])
    return found


def _minima(costs: Tensor) -> list[np.ndarray]:
    """Of each recording the warping paths than whose ends no neighbouring end is nearer: first and last frame and
    cosine, `(P, 3)`."""
    distance, start = (one.cpu().numpy() for one in warp(costs))
    sides = np.pad(distance, ((0, 0), (1, 1)), constant_values=np.inf)
    lower = (distance <= sides[:, :-2]) & (distance < sides[:, 2:])
    return [
        np.stack((start[row, own], own, 1.0 - distance[row, own]), axis=1) if len(own) else np.empty((0, 3))
        for row, own in enumerate(map(np.flatnonzero, lower))
    ]


def _paths(logs: np.ndarray, lengths: Sequence[int], keyword: Keyword | None) -> list[np.ndarray]:
    """Of each recording the CTC paths of a keyword: first and last frame and ratio for each token, `(P, 3)`."""
    found: list[list[tuple[float, ...]]] = [[] for _ in lengths]
    for path in keyword_paths(logs, lengths, [keyword], (), LEAST, LEAST_EACH) if keyword else ():
        found[path.row].append((path.first, path.last, path.ratio / path.tokens))
    return [np.array(own, dtype=np.float64).reshape(-1, 3) for own in found]


def _of_overlapping(spans: np.ndarray, paths: np.ndarray, least: float) -> np.ndarray:
    """For each span the highest value of the paths that it shares half of its frames, or of theirs, with, `(S,)`; the
    least where there is none."""
    first, last, value = paths.T
    shared = np.minimum(spans[:, 1:], last) - np.maximum(spans[:, :1], first) + 1
    shorter = np.minimum(spans[:, 1:] - spans[:, :1], last - first) + 1
    return np.where(2 * shared >= shorter, value, least).max(1, initial=least)


def _at(spans: np.ndarray, paths: np.ndarray, least: float) -> np.ndarray:
    """For each span the highest value of the paths of just its frames, `(S,)`; the least where there is none."""
    first, last, value = paths.T
    return np.where((spans[:, :1] == first) & (spans[:, 1:] == last), value, least).max(1, initial=least)


def _named(audio: Audio) -> str:
    return "example" if isinstance(audio, np.ndarray | torch.Tensor) else str(audio)


def _load(recognizer: Recognizer, audio: Audio, sampling_rate: int | None) -> Features:
    samples = load_audio(audio, sampling_rate)
    seconds = samples_to_seconds(len(samples))
    if seconds > LONGEST:
        what = f"an example of a word lasts {LONGEST:g} s at most, this one {seconds:.1f} s"
        raise EchoError(f"{_named(audio)}: {what}; cut the word out")
    return recognizer.extractor(samples)
