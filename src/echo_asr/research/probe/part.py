"""A part of a corpus, and the states of all layers of a pretrained encoder in it, which are kept in memory.

Shapes: `N` frames of 20 ms, `C` values in a state of one layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from echo_asr.audio import load_audio
from echo_asr.audio.convert import FRAMES_PER_SECOND, samples_to_frames
from echo_asr.data.batch import Example, check_lengths, make_examples
from echo_asr.data.corpus import Corpus, Utterance
from echo_asr.data.selections import draw_in_turn
from echo_asr.errors import EchoError
from echo_asr.features import FeatureConfig, FeatureExtractor
from echo_asr.features.states import StatesExtractor, all_layers, on_clock
from echo_asr.pretrained.source import Source
from echo_asr.text.config import TextConfig
from echo_asr.train.prepare import hold_out, new_tokenizer

EVERY = 2  # frames of 10 ms in one of the states' here
VALIDATION_SHARE = 0.3  # of the minutes trained on, that are validated on
HALF = 2  # bytes of a value


@dataclass(frozen=True)
class Part:
    """Texts of a part of a split, and the states of all layers: for each `(layers + 1, C, N)` in half precision.

    Each state has mean 0 and variance 1: between the layers of many encoders a few states are ten times as large as all
    others, and would be most of what a dimension is standardised by.
    """

    examples: list[Example]
    states: list[Tensor]

    def read(self, layers: Sequence[int]) -> list[Tensor]:
        """The states of some layers one above the other, `(len(layers) C, N)` for each text."""
        return [states[list(layers)].flatten(0, 1) for states in self.states]


class ProbedPart:
    """What probes are trained and validated on: utterances with a text, drawn from all speakers alike.

    Args:
        corpus: with a training split.
        source: of the pretrained encoder.
        text: settings of texts.
        minutes: of speech to train on, about; three tenths as much to validate on.
        seed: of the draw.

    Attributes:
        training, validation: the examples; texts that are too long for frames of 20 ms are left out.
        tokenizer: of the texts trained on.
        notation: where tone is written; None where it is not.

    Raises:
        EchoError: a split has no text, or the encoder cannot be built.
    """

    def __init__(self, corpus: Corpus, source: Source, text: TextConfig, minutes: float, seed: int) -> None:
        corpus = hold_out(corpus)
        text, _ = text.find_tones([u.text for u in corpus.split("train")])
        training = _draw(corpus, "train", 60.0 * minutes, seed)
        validation = _draw(corpus, "validation", 60.0 * minutes * VALIDATION_SHARE, seed)
        self.tokenizer = new_tokenizer([text.normalize(u.text) for u in training], text)

        def examples(utterances: Sequence[Utterance], unknown: Literal["error", "skip"]) -> list[Example]:
            made = make_examples(utterances, self.tokenizer, text.normalize, unknown)
            return check_lengths(made, EVERY, broken="skip")

        self.training, self.validation = examples(training, "error"), examples(validation, "skip")
        self.notation = text.measured_notation([e.text for e in self.training])
        self._encoder = StatesExtractor(source, choose=all_layers)
        self._extractor = FeatureExtractor(FeatureConfig(states=source.name), states=self._encoder)

    @property
    def layers(self) -> tuple[int, ...]:
        """All layers of the encoder; 0 is what goes into the first."""
        return self._encoder.layers

    @property
    def seconds(self) -> tuple[float, float]:
        """Of speech, trained and validated on."""
        training, validation = (sum(e.utterance.duration for e in part) for part in (self.training, self.validation))
        return training, validation

    @property
    def bytes_needed(self) -> int:
        """Memory for the states."""
        return round(sum(self.seconds) * FRAMES_PER_SECOND / EVERY) * self._encoder.channels * HALF

    def extract(self, progress: Callable[[int], None]) -> tuple[Part, Part]:
        """The states of the training and of the validation examples.

        Args:
            progress: called with the number of recordings done.

        Raises:
            EchoError: a recording cannot be read.
        """
        states: list[Tensor] = []
        for example in (*self.training, *self.validation):
            states.append(self._states(example.utterance))
            progress(len(states))
        count = len(self.training)
        return Part(self.training, states[:count]), Part(self.validation, states[count:])

    def _states(self, utterance: Utterance) -> Tensor:
        """The states of all layers, `(layers + 1, C, N)`, each with mean 0 and variance 1."""
        encoder = self._encoder.encoder
        audio = load_audio(utterance.audio)
        found, frames = self._extractor.measure_states(audio).float(), samples_to_frames(len(audio))
        placed = on_clock(found, frames, encoder.first, encoder.hop)[:, ::EVERY]
        return placed.unflatten(0, (len(self.layers), encoder.width)).half().contiguous()


def _draw(corpus: Corpus, split: str, seconds: float, seed: int) -> list[Utterance]:
    """Utterances of a split that have a text, about so many seconds of them."""
    spoken = {u.id: u for u in corpus.split(split) if u.text.strip()}
    if not spoken:
        raise EchoError(f"{corpus.name}: no text in its split {split}; layers are compared by what is recognised")
    drawn: list[Utterance] = []
    for name in draw_in_turn(list(spoken.values()), seed):
        if drawn and sum(u.duration for u in drawn) >= seconds:
            break
        drawn.append(spoken[name])
    return drawn
