"""Which of the sentences that may be said is spoken in a clip, and how probable it is that it is one of them at all.

The search is the joint one, kept on the paths of the grammar. What it finds is measured against everything else that
the recording may be (Rose and Paul 1990, "A hidden Markov model based keyword recognition system", call it a filler):
the text that CTC itself reads, which in noise is empty. The measurements of a sentence of `n` tokens are

1. the log likelihood ratio of CTC for the sentence against that text, in nats for each token;
2. the same in nats, not divided by `n`;
3. the score of the search, in nats for each token and the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from echo_asr.decode.constraint import GraphConstraint, TokenGraph
from echo_asr.decode.ctc import best_paths
from echo_asr.decode.grammar import CompiledGrammar, compile_grammar
from echo_asr.decode.results import Segment, Sentence
from echo_asr.decode.search import DecodeConfig, Hypothesis, Spell, search_nbest
from echo_asr.decode.spoken import ctc_text, evidence
from echo_asr.decode.written import with_written
from echo_asr.model.calibration import LogisticCalibration
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.echo import Echo
from echo_asr.model.encoder import Encoded
from echo_asr.text.grammar import Grammar

LEAST_BEAM = 4  # hypotheses; sentences that begin alike are decided by what follows
ANY_TOKENS = 1 << 30  # the sentences are given, and so is how long they are
MEASUREMENTS = 3
UNFITTED = LogisticCalibration((0.3, 0.04, 2.5), 3.7)  # for models that were trained before it was fitted


@dataclass(frozen=True)
class Heard:
    """What is heard in a clip.

    Attributes:
        best: sentences, the best first.
        measured: of the best; minus infinity throughout where the clip is too short for any.
        silent: whether CTC by itself reads nothing, so that what is no sentence was no speech either.
        evidence: for the best, that it was spoken at all (`echo_asr.decode.spoken`), in nats.
    """

    best: list[Hypothesis]
    measured: tuple[float, ...]
    silent: bool
    evidence: float


class Sentences:
    """The sentences that a recogniser listens for, and from when on it believes that it has heard one.

    Args:
        grammar: compiled for the model.
        calibration: from measurements to probabilities; None for `UNFITTED`.
        least: the probability below which a clip is none of the sentences.
    """

    def __init__(self, grammar: CompiledGrammar, calibration: LogisticCalibration | None, least: float) -> None:
        if calibration is None or len(calibration.weights) != MEASUREMENTS:  # none, or of another version
            calibration = UNFITTED
        self.grammar, self.calibration, self.least = grammar, calibration, least

    @staticmethod
    def of(grammar: Grammar, bundle: Bundle, least: float) -> Sentences:
        """Those of a grammar, for a model.

        Raises:
            EchoError: the model can write none of them.
        """
        compiled = compile_grammar(grammar, bundle.tokenizer, bundle.text.normalize)
        return Sentences(compiled, bundle.sentences, least)

    def judge(self, segment: Segment, heard: Heard) -> Segment:
        """What was found in a clip, with its sentence; without a text where it is none, or nothing was said."""
        nothing = Segment(segment.start, segment.end, "")
        meaning = self.grammar.interpret(segment.text)
        if meaning is None:
            return nothing
        probability = self.calibration(heard.measured)
        about = (meaning.slots, meaning.line, meaning.intent)
        sentence = Sentence(meaning.written, meaning.spoken, probability, *about)
        if probability < self.least:
            return nothing if heard.silent else replace(nothing, sentence=sentence)
        return replace(with_written(segment, meaning.written, meaning.spans), sentence=sentence)


@torch.inference_mode()
def hear(
    model: Echo, encoded: Encoded, config: DecodeConfig, graphs: Sequence[TokenGraph], spell: Spell = tuple
) -> list[Heard]:
    """Search each clip of a batch for the sentences of its graph.

    Args:
        config: of the search; at least `LEAST_BEAM` hypotheses are kept.
        graphs: of each clip; one graph may stand for all of them.
        spell: as in `search_nbest`.
    """
    width = max(config.beam, LEAST_BEAM)
    settings = replace(config, beam=width, repetition=0, max_tokens=ANY_TOKENS)
    constraint = GraphConstraint(graphs, encoded.lengths.tolist(), width, encoded.lengths.device)
    found = search_nbest(model, encoded, settings, None, spell, constraint)
    log_probabilities = model.ctc_log_probabilities(encoded)
    free = best_paths(log_probabilities, encoded.lengths)
    firsts = [best[0] for best in found]
    texts = ctc_text(log_probabilities, encoded.lengths, [one.tokens for one in firsts])
    ratios = texts - ctc_text(log_probabilities, encoded.lengths, free)
    spoken = evidence(log_probabilities, encoded.lengths, firsts)
    return [
        Heard(best, _measured(best[0], ratio), not text, own)
        for best, ratio, text, own in zip(found, ratios.tolist(), free, spoken, strict=True)
    ]


def _measured(best: Hypothesis, ratio: float) -> tuple[float, ...]:
    size = len(best.tokens)
    if best.score == -math.inf:
        return (-math.inf,) * MEASUREMENTS
    return ratio / max(1, size), ratio, best.score / (size + 1)
