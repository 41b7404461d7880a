"""Looks for what sounds like examples of a word, which needs no spelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from echo_asr.audio import load_audio
from echo_asr.audio.convert import frames_to_seconds, samples_to_seconds
from echo_asr.audio.load import Audio
from echo_asr.decode.batches import batches_to_search
from echo_asr.decode.keyword_paths import KeywordPath, keyword_paths, without_overlaps
from echo_asr.decode.keywords import Keyword, Spelling
from echo_asr.decode.results import Place
from echo_asr.decode.subsequence import cosine_costs, warp
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features import Features
from echo_asr.model.calibration import LogisticCalibration
from echo_asr.model.encoder import Encoded

LONGEST = 10.0  # seconds of an example
SHORTEST = 3  # encoder frames of an example
LEAST, LEAST_EACH = -40.0, -8.0  # nats: ratios of CTC paths that count
NEAR = 0.2  # seconds, at most, between the ends of the paths of two examples that are one place
TIE = 1e-3  # share of the distance of one example by which the nearest decides about the times of a place
MEASUREMENTS = ("states", "ratio", "ratio_each", "length")  # of `Likeness.measured`
DEFAULT = LogisticCalibration((12.0, 0.1, 0.8, 1.0), 2.0)  # for models without a calibration of their own


@dataclass(frozen=True)
class Example:
    """A spoken word to look for.

    Attributes:
        states: of the encoder that CTC reads, without silence at either end, `(N, D)`.
        keyword: what CTC spells there, as a keyword; None where it spells nothing.
    """

    states: Tensor
    keyword: Keyword | None


@dataclass(frozen=True)
class Likeness:
    """A place in a clip that may be like the examples; frames are those of the encoder.

    Attributes:
        measured: `MEASUREMENTS`: 1 minus the distance of the states, nats of the CTC path of what CTC spells in the
            examples, and for each token; the logarithm of the examples' frames. Of several examples the means.
    """

    first: int
    last: int
    measured: tuple[float, ...]


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
        clips = [_load(recognizer, audio, sampling_rate) for audio in examples]
        self.examples = [
            make_example(recognizer, clip, _named(audio)) for clip, audio in zip(clips, examples, strict=True)
        ]
        self.calibration = recognizer.bundle.alike or DEFAULT

    def find(self, features: Sequence[Features]) -> list[list[Place]]:
        """The places in clips, in their order, each in the order of time, in seconds from the clip's beginning."""
        step = self.recognizer.bundle.model.config.subsampling
        found: list[list[Place]] = [[] for _ in features]
        for group in batches_to_search(features):
            with torch.inference_mode():
                alike = likenesses(self.recognizer, self.examples, self.recognizer.encode([features[i] for i in group]))
            for index, own in zip(group, alike, strict=True):
                for one in own:
                    probability = self.calibration(one.measured)
                    if probability >= self.least:
                        times = (frames_to_seconds(one.first * step), frames_to_seconds((one.last + 1) * step))
                        found[index].append(Place(self.word, *times, probability))
        return found


def make_example(recognizer: Recognizer, clip: Features, name: str) -> Example:
    """An example from the features of its recording.

    Raises:
        EchoError: it is silent, or too short.
    """
    if clip.null.all():
        raise EchoError(f"{name}: is silent; give a recording in which the word is spoken")
    with torch.inference_mode():
        encoded = recognizer.encode([clip])
    loud = (~encoded.track.null[0]).nonzero()[:, 0].tolist()
    example = cut_example(recognizer, encoded, 0, loud[0], loud[-1] + 1) if loud else None
    if example is None:
        raise EchoError(f"{name}: is too short for a word; give a longer recording")
    return example


def cut_example(recognizer: Recognizer, encoded: Encoded, row: int, first: int, after: int) -> Example | None:
    """An example from the encoder frames `first` to `after` of a recording; None where they are too few."""
    if after - first < SHORTEST:
        return None
    model = recognizer.bundle.model
    with torch.inference_mode():
        best = model.ctc_log_probabilities(encoded)[row, first:after].argmax(-1).unique_consecutive().tolist()
    tokens = tuple(token for token in best if token)
    keyword = Keyword("", "", (Spelling(tokens, False),), False) if tokens else None
    return Example(encoded.states[model.config.ctc_feature][row, first:after].float(), keyword)


def likenesses(recognizer: Recognizer, examples: Sequence[Example], encoded: Encoded) -> list[list[Likeness]]:
    """The places in each recording of a batch that are most like the examples; none overlap."""
    model = recognizer.bundle.model
    states = encoded.states[model.config.ctc_feature].float()
    count, frames, _ = states.shape
    beyond = torch.arange(frames, device=states.device)[None] >= encoded.lengths.to(states.device)[:, None]
    logs = model.ctc_log_probabilities(encoded).cpu().numpy()
    near = max(1, round(NEAR * 100 / model.config.subsampling))
    distances, starts, spelled = [], [], []
    for example in examples:
        costs = cosine_costs(example.states, states).masked_fill(beyond[:, None], torch.inf)
        distance, start = warp(costs)
        distances.append(distance.cpu().numpy())
        starts.append(start.cpu().numpy())
        spelled.append(_ratios(logs, encoded.lengths.tolist(), example, near))
    joined = np.mean([_around(one, near if len(examples) > 1 else 0) for one in distances], axis=0)
    length = float(np.mean([np.log(len(one.states)) for one in examples]))
    ratios = np.mean(spelled, axis=0)  # (2, B, F)
    found: list[list[Likeness]] = []
    for row, size in enumerate(encoded.lengths.tolist()):
        paths = []
        for distance, start in zip(distances, starts, strict=True):
            sides = np.pad(distance[row, :size], 1, constant_values=np.inf)
            lower = (sides[1:-1] <= sides[:-2]) & (sides[1:-1] < sides[2:])
            for last in np.flatnonzero(lower).tolist():
                score = float(joined[row, last] + TIE * distance[row, last])
                paths.append(KeywordPath(row, 0, int(start[row, last]), last, -score, 1))
        found.append([
            Likeness(p.first, p.last, (1.0 - float(joined[row, p.last]), *ratios[:, row, p.last].tolist(), length))
            for p in without_overlaps(paths)
        ])  # fmt: skip
    return found


def _ratios(logs: np.ndarray, lengths: Sequence[int], example: Example, near: int) -> np.ndarray:
    """The ratio of the best CTC path of an example's spelling that ends near each frame, and that for each token,
    `(2, B, F)`."""
    found = np.empty((2, *logs.shape[:2]), np.float64)
    found[0], found[1] = LEAST, LEAST_EACH
    if example.keyword is not None:
        for path in keyword_paths(logs, lengths, [example.keyword], (), LEAST, LEAST_EACH):
            own = slice(max(0, path.last - near), path.last + near + 1)
            found[0, path.row, own] = np.maximum(found[0, path.row, own], path.ratio)
            each = path.ratio / path.tokens
            found[1, path.row, own] = np.maximum(found[1, path.row, own], each)
    return found


def _around(values: np.ndarray, near: int) -> np.ndarray:
    """The least of the values `(B, F)` within so many frames of each."""
    padded = np.pad(values, ((0, 0), (near, near)), constant_values=np.inf)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * near + 1, axis=1).min(-1)


def _named(audio: Audio) -> str:
    return "example" if isinstance(audio, np.ndarray | torch.Tensor) else str(audio)


def _load(recognizer: Recognizer, audio: Audio, sampling_rate: int | None) -> Features:
    samples = load_audio(audio, sampling_rate)
    seconds = samples_to_seconds(len(samples))
    if seconds > LONGEST:
        what = f"an example of a word lasts {LONGEST:g} s at most, this one {seconds:.1f} s"
        raise EchoError(f"{_named(audio)}: {what}; cut the word out")
    return recognizer.extractor(samples)
