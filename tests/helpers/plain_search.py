"""Plain versions of what the decoder is made of, for the tests to compare with."""

import itertools
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import ctc_loss

from echo_asr.decode.search import DecodeConfig
from echo_asr.model.echo import Echo
from echo_asr.text.tokenizer import Tokenizer

needs_kenlm = pytest.mark.skipif(find_spec("flashlight") is None, reason="the extra echo-asr[lm] is not installed")

TOKENIZER = Tokenizer.train(["ab cde"])  # a space and five letters: the seven tokens of the tests' models
LETTERS = Tokenizer.train(["abcdefghijklmnopqrstuvwxyz '"])
TEXTS = ["bad cab", "add a bed", "cab", "dad bed cab", "a bee", "bad dad", "bee bee"]  # for a language model
Words = tuple[str, ...]


class Arpa:
    """An ARPA file, read and asked as its definition has it."""

    def __init__(self, text: str) -> None:
        self.probability: dict[Words, float] = {}
        self.backoff: dict[Words, float] = defaultdict(float)
        head, *sections = re.split(r"\\\d+-grams:\n", text)
        self.counts = [int(n) for n in re.findall(r"^ngram \d+=(\d+)$", head, re.MULTILINE)]
        self.sections = [[line.split("\t") for line in part.splitlines() if "\t" in line] for part in sections]
        for fields in (fields for section in self.sections for fields in section):
            words = tuple(fields[1].split(" "))
            self.probability[words] = float(fields[0])
            self.backoff[words] = float(fields[2]) if len(fields) > 2 else 0.0

    @property
    def words(self) -> list[str]:
        return [fields[1] for fields in self.sections[0]]

    def score(self, context: Words, word: str) -> float:
        """Log10 of a word after a context."""
        context = context[-(len(self.counts) - 1) :] if len(self.counts) > 1 else ()
        if (*context, word) in self.probability:
            return self.probability[*context, word]
        if not context:
            return self.probability[("<unk>",)]
        return self.backoff[context] + self.score(context[1:], word)

    def perplexity(self, sentences: Sequence[Sequence[str]]) -> float:
        """A word, the ends of the sentences among them."""
        total, count = 0.0, 0
        for sentence in sentences:
            said = ("<s>", *sentence, "</s>")
            total += sum(self.score(said[:place], said[place]) for place in range(1, len(said)))
            count += len(said) - 1
        return 10.0 ** (-total / count)


class Table:
    """A model whose scores are random tables: of recording and prefix, and of recording and frame. It stands in for
    `Echo` where thousands of texts are to be compared, and takes every surprising turn."""

    vocabulary_size, device = 3, torch.device("cpu")

    def __init__(self, seed: int, frames: tuple[int, ...]) -> None:
        self.seed, self.frames, self.decoder = seed, frames, self
        self.symbols = torch.stack([self.draw((n, "ctc"), 4, 3).log_softmax(-1) for n in range(len(frames))])

    def draw(self, what: Any, *shape: int) -> torch.Tensor:
        text = f"{self.seed} {what}"
        return 2.0 * torch.randn(*shape, generator=torch.Generator().manual_seed(zlib.crc32(text.encode())))

    def encoded(self) -> Any:
        return SimpleNamespace(lengths=torch.tensor(self.frames))

    def ctc_log_probabilities(self, encoded: Any) -> torch.Tensor:
        return self.symbols

    def state(self, encoded: Any) -> Any:
        rows = list(range(len(self.frames)))
        state = SimpleNamespace(recordings=rows, prefixes=[() for _ in rows])

        def select(keep: torch.Tensor, memory: bool = True) -> None:
            state.prefixes = [state.prefixes[i] for i in keep]
            if memory:
                state.recordings = [state.recordings[i] for i in keep]

        def forget(count: int) -> None:
            state.prefixes = [prefix[: len(prefix) - count] for prefix in state.prefixes]

        state.select, state.forget = select, forget
        return state

    def predict(self, tokens: torch.Tensor, state: Any) -> torch.Tensor:
        steps = []
        for column in tokens.T.tolist():
            state.prefixes = [(*prefix, new) for prefix, new in zip(state.prefixes, column, strict=True)]
            both = zip(state.recordings, state.prefixes, strict=True)
            steps.append(torch.stack([self.draw((row, prefix), 1, 3).double().log_softmax(-1) for row, prefix in both]))
        return torch.cat(steps, dim=1)

    def scores(
        self, row: int, config: DecodeConfig, more: Callable[[tuple[int, ...]], float] = lambda _: 0.0
    ) -> dict[tuple[int, ...], float]:
        """Of every text of a recording, by definition, and with `more` of the text added."""
        texts = [text for n in range(self.frames[row] + 1) for text in itertools.product((1, 2), repeat=n)]
        padded = torch.tensor([[*text, *[0] * (4 - len(text))] for text in texts])
        logp = self.symbols[row].double()[:, None].expand(-1, len(texts), -1)
        lengths = torch.tensor([len(text) for text in texts])
        ctc = -ctc_loss(logp, padded, torch.full_like(lengths, self.frames[row]), lengths, reduction="none")
        found = {}
        for text, written in zip(texts, ctc.tolist(), strict=True):
            said = 0.0
            for place, token in enumerate([*text, 0]):
                said += float(self.draw((row, (0, *text[:place])), 1, 3).double().log_softmax(-1)[0, token])
            score = (1 - config.ctc_weight) * said + config.length_bonus * len(text) + more(text)
            found[text] = score + (config.ctc_weight * written if config.ctc_weight else 0.0)
        return found


def along(scorer: Any, tokens: Sequence[int]) -> list[float]:
    """What a language model scores a text's tokens and its end, in nats."""
    state, found = scorer.start(), []
    for token in [*tokens, 0]:
        found += scorer.score(state, [token])
        state = scorer.advance(state, token) if token else state
    return found


CONFIGS = {
    "greedy": DecodeConfig(),
    "beam": DecodeConfig(beam=4),
    "attention alone": DecodeConfig(beam=3, ctc_weight=0.0),
    "ctc alone": DecodeConfig(beam=3, ctc_weight=1.0),
    "bonus": DecodeConfig(beam=3, length_bonus=0.8),
    "malus": DecodeConfig(beam=3, length_bonus=-0.8),
}
RECORDINGS = (50, 9, 61, 22, 1, 37)  # frames
SAID = [[1, 2, 3, 2, 2], [4], [5, 6, 1, 1, 3, 4], [2, 6], [], [3, 3, 1]]


def talkative(model: Echo, end: float = -1.0) -> Echo:
    """The model with another bias towards the end token; at 0, random models say all or nothing."""
    with torch.no_grad():
        if model.config.end_in_loss:
            model.decoder.end_bias.fill_(end)
    return model
