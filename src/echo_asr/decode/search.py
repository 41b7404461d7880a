"""Search for the text of encoded recordings: greedy, and the joint CTC/attention beam; batched, with key-value
caches."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from echo_asr.decode.constraint import Constraint
from echo_asr.decode.ctc import CTCBestPath, CTCPrefixScorer, best_paths
from echo_asr.decode.fusion import FusedBeam, Fusion
from echo_asr.decode.hotwords import Hotwords
from echo_asr.decode.lm import load_language_model
from echo_asr.decode.lookahead import Lookahead
from echo_asr.decode.repetition import Repetitions
from echo_asr.decode.segments import SegmentConfig
from echo_asr.model.echo import Echo
from echo_asr.model.encoder import Encoded
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.vrope import precise_device


@dataclass(frozen=True)
class DecodeConfig:
    """How text is searched for.

    Raises:
        ValueError: a value out of its range, or two that do not go together; the message names the field.
    """

    beam: int = 1  # hypotheses kept; 1 is greedy
    ctc_weight: float = 0.4  # share of CTC in a beam's score, 0 to 1; greedy search does not use it
    length_bonus: float = 0.0  # nats added for each token of a hypothesis; positive favours longer texts
    max_tokens: int = 448  # bound on the tokens of one text; the number of encoder frames bounds it too
    # Times in a row that a stretch of tokens may come where CTC does not find each copy in frames of its own; of over
    # eight tokens fewer; 0 for any number. What was spoken passes, however often, and loops end.
    repetition: int = 8
    nbest: int = 1  # texts of a recording that are returned, best first; at most `beam`
    lm: str = ""  # path of a language model, from `echo-asr lm` or any ARPA file over words; needs a beam
    lm_weight: float = 0.3  # times the language model's log probability; 0 leaves it out
    hotwords: tuple[str, ...] = ()  # words and phrases to expect; they need a beam
    hotword_bonus: float = 0.75  # nats for each token of a hotword
    grammar: str = ""  # path of a file of the sentences that may be said (docs/grammar.md)
    reject: float = 0.5  # probability below which a segment is none of them
    least_speech: float = 0.5  # probability that a text was spoken below which it is left out; 0 keeps every text
    tone_weight: float = 1.0  # of the tone model, where there is one, beside the decoder; 0 leaves it out
    times: Literal["ctc", "attention"] = "ctc"  # what the times of words are found by
    segments: SegmentConfig = field(default_factory=SegmentConfig)  # how recordings are cut at their pauses

    def __post_init__(self) -> None:
        for name in ("beam", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"decode.{name} must be at least 1, got {getattr(self, name)}")
        if not 0.0 <= self.ctc_weight <= 1.0:
            raise ValueError(f"decode.ctc_weight must lie in [0, 1], got {self.ctc_weight}")
        if not math.isfinite(self.length_bonus):
            raise ValueError(f"decode.length_bonus must be a finite number, got {self.length_bonus}")
        if self.repetition < 0 or self.repetition == 1:
            raise ValueError(f"decode.repetition must be 0 (no limit) or at least 2, got {self.repetition}")
        if not 1 <= self.nbest <= self.beam:
            raise ValueError(f"decode.nbest must lie in 1 to decode.beam ({self.beam}), got {self.nbest}")
        for name in ("lm_weight", "hotword_bonus", "tone_weight"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"decode.{name} must be at least 0 and finite, got {getattr(self, name)}")
        for name in ("reject", "least_speech"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"decode.{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("lm", "hotwords"):
            if self.grammar and getattr(self, name):
                raise ValueError(f"decode.{name} cannot go with decode.grammar, whose sentences are given")
            if getattr(self, name) and self.beam < 2:
                raise ValueError(f"decode.{name} needs decode.beam of at least 2, got {self.beam}")


Spell = Callable[[list[int]], Hashable]


def make_spell(tokenizer: Tokenizer) -> Spell:
    """The function by which a search compares texts: their words. A tokenizer may encode a text in several ways, and
    texts that differ in spaces alone count as equal."""
    return lambda tokens: tuple(tokenizer.decode(tokens).split())


@dataclass(frozen=True)
class Hypothesis:
    """One text as ids, without the end token, and its score in nats.

    Attributes:
        empty: what the decoder gives to no text at all for the recording, `log P()`.
    """

    tokens: list[int]
    score: float
    empty: float = field(default=0.0, compare=False)


def make_fusion(config: DecodeConfig, tokenizer: Tokenizer, normalize: Callable[[str], str]) -> Fusion | None:
    """The language model and hotwords of a configuration, to be added to the beam's scores; None if it has neither.

    Args:
        tokenizer, normalize: of the model.

    Raises:
        EchoError: the language model cannot be read or is not the tokenizer's, or a hotword cannot be encoded by it.
    """
    scorer = hotwords = None
    if config.lm and config.lm_weight:
        scorer = load_language_model(Path(config.lm), tokenizer, normalize)
    if config.hotwords and config.hotword_bonus:
        hotwords = Hotwords(config.hotwords, tokenizer, normalize, config.hotword_bonus)
    return Fusion(scorer, config.lm_weight, hotwords) if scorer or hotwords else None


def token_bounds(encoded: Encoded, config: DecodeConfig) -> Tensor:
    """The maximum of tokens of each recording, `(B,)`: one an encoder frame, as CTC allows, and `max_tokens`."""
    return encoded.lengths.to(precise_device(encoded.lengths.device)).clamp(max=config.max_tokens)


def search(
    model: Echo,
    encoded: Encoded,
    config: DecodeConfig,
    fusion: Fusion | None = None,
    spell: Spell = tuple,
    constraint: Constraint | None = None,
) -> list[Hypothesis]:
    """The best text of each recording of a batch; see `search_nbest`."""
    return [found[0] for found in search_nbest(model, encoded, config, fusion, spell, constraint)]


@torch.inference_mode()
def search_nbest(
    model: Echo,
    encoded: Encoded,
    config: DecodeConfig,
    fusion: Fusion | None = None,
    spell: Spell = tuple,
    constraint: Constraint | None = None,
) -> list[list[Hypothesis]]:
    """The best texts of each recording of a batch, at most `config.nbest`, all different, the best first.

    A result does not depend on the other recordings in the batch, nor the best text on how many are requested.

    Args:
        fusion: the result of `make_fusion` for the same configuration.
        spell: maps tokens to a text, or to any value that is equal where texts are; see `make_spell`. By default every
            sequence of tokens is a text of its own.
        constraint: the texts that may be found, of `config.beam` hypotheses a recording. What `config.repetition` and
            `config.max_tokens` refuse is refused, too. Where nothing is left the score is minus infinity.

    Raises:
        ValueError: the configuration has a language model or hotwords, and `fusion` is missing.
    """
    wanted = bool((config.lm and config.lm_weight) or (config.hotwords and config.hotword_bonus))
    if wanted and fusion is None:
        raise ValueError("fusion: decode.lm or decode.hotwords is set; expected the result of make_fusion, got None")
    if config.beam == 1:
        return [[found] for found in greedy(model, encoded, config, constraint)]
    return beam(model, encoded, config, fusion, spell, constraint)


@torch.inference_mode()
def greedy(
    model: Echo, encoded: Encoded, config: DecodeConfig, constraint: Constraint | None = None
) -> list[Hypothesis]:
    """Take the most likely next token until the text ends or its bound is reached. Finished rows leave the batch, and
    the last few are read ahead for (`Lookahead`)."""
    bounds = token_bounds(encoded, config)
    count, most = len(bounds), bounds.tolist()
    texts: list[list[int]] = [[] for _ in range(count)]
    scores, empty = [0.0] * count, [0.0] * count
    device = bounds.device  # of the scores; the decoder may be on another
    rows = list(range(count))
    paths = best_paths(model.ctc_log_probabilities(encoded), encoded.lengths)
    ahead = Lookahead(model, model.decoder.state(encoded), paths)
    last = torch.zeros(count, 1, dtype=torch.long, device=device)

    def best_path(so_far: Tensor) -> CTCBestPath:
        places = torch.tensor(rows, device=device)
        return CTCBestPath(model.ctc_log_probabilities(encoded), encoded.lengths, so_far, places)

    constraints = _constraints(constraint, count, config, device, best_path)
    for step in range(max(most)):
        predicted = ahead.predict(last)
        if step == 0:
            empty = predicted[:, 0].tolist()
        best = _allowed(predicted, constraints).max(-1)
        chosen = best.indices.tolist()
        ahead.advance(chosen)
        for row, token, score in zip(rows, chosen, best.values.tolist(), strict=True):
            scores[row] += score
            if token:
                texts[row].append(token)
        alive = [place for place, row in enumerate(rows) if chosen[place] and most[row] > step + 1]
        if not alive:
            break
        keep = torch.tensor(alive, device=device)
        last = best.indices[keep, None]
        for one in constraints:
            one.advance(keep, last[:, 0])
        if len(alive) < len(rows):
            rows = [rows[place] for place in alive]
            ahead.select(keep)
    return [Hypothesis(*one) for one in zip(texts, scores, empty, strict=True)]


@torch.inference_mode()
def beam(
    model: Echo,
    encoded: Encoded,
    config: DecodeConfig,
    fusion: Fusion | None = None,
    spell: Spell = tuple,
    constraint: Constraint | None = None,
) -> list[list[Hypothesis]]:
    """Joint CTC/attention beam search (Watanabe et al. 2017) with shallow fusion: a prefix's score is
    `(1 - w) log p_attention + w log p_ctc + bonus * length + lm_weight log p_lm + hotword bonuses`.

    Every beam has `config.beam` places throughout; a finished hypothesis keeps its place and its score. Of those that
    spell one text in different tokens the best is kept, as when Kaldi determinises a lattice, and the place of the
    others becomes free; with a sum of their probabilities, the best text would depend on the length of the search. It
    ends for a recording when none of its unfinished hypotheses scores above the last of the finished ones requested
    (with a positive `length_bonus` or hotwords, when all have finished), or at its bound.

    The language model scores the end and the `fusion.SHORTLIST` times `beam` most likely tokens of a hypothesis; the
    others are left out. For an alphabet of letters that is all of them, in all but the narrowest beams.
    """
    width, weight, size = config.beam, config.ctc_weight, model.vocabulary_size
    bounds = token_bounds(encoded, config)
    count, device, most = len(bounds), bounds.device, bounds.cpu().numpy()  # the decoder may be on another device
    scorer = CTCPrefixScorer(model.ctc_log_probabilities(encoded), encoded.lengths, width) if weight else None

    def best_path(so_far: Tensor) -> CTCBestPath:
        places = torch.arange(count, device=device).repeat_interleave(width)
        return CTCBestPath(model.ctc_log_probabilities(encoded), encoded.lengths, so_far, places)

    constraints = _constraints(constraint, count * width, config, device, best_path)
    fused = FusedBeam(fusion, count, width, device) if fusion is not None else None
    falls_only = config.length_bonus <= 0 and (fusion is None or fusion.falls_only)
    state = model.decoder.state(encoded)
    state.select(torch.arange(count, device=model.device).repeat_interleave(width))
    texts = [_Texts(spell) for _ in range(count)]
    done = np.full(count, -np.inf)  # the score that an unfinished hypothesis of each recording has to exceed
    # What is known of each place is kept on the CPU; only what there is for each token is on the device.
    scores, attention = np.full((count, width), -np.inf), np.zeros((count, width))
    scores[:, 0] = 0.0
    finished = np.isinf(scores)  # or not filled
    tokens = np.zeros((count, width, int(most.max()) + 2), np.int64)
    first = np.arange(count)[:, None] * width
    last = torch.zeros(count * width, 1, dtype=torch.long, device=device)
    empty_texts = [0.0] * count
    held = torch.full((count, width, size), -torch.inf, dtype=torch.float64, device=device)
    for step in range(int(most.max()) + 1):
        grown = model.predict(last, state)[:, -1].view(count, width, size)
        if step == 0:
            empty_texts = grown[:, 0, 0].tolist()
        grown = grown + torch.from_numpy(attention).to(device)[..., None]
        total = grown * (1.0 - weight)
        if scorer is not None:
            total.add_(scorer.score(), alpha=weight)
        if config.length_bonus:
            total += config.length_bonus * step
            total[..., 1:] += config.length_bonus
        if (most <= step).any():
            total[torch.from_numpy(most <= step).to(device), :, 1:] = -torch.inf
        total = _allowed(total.flatten(0, 1), constraints).view_as(total)
        if fused is not None:
            total = total + fused.score(total, torch.from_numpy(~finished).to(device))
        if finished.any():
            held[..., 0] = torch.from_numpy(scores)
            total = torch.where(torch.from_numpy(finished).to(device)[..., None], held, total)
        best = total.flatten(1).topk(width)
        of_attention = grown.flatten(1).gather(1, best.indices)
        scores, grew, flat = torch.stack((best.values, of_attention, best.indices.double())).cpu().numpy()
        parent, chosen = np.divmod(flat.astype(np.int64), size)
        was_finished = np.take_along_axis(finished, parent, 1)
        attention = np.where(was_finished, np.take_along_axis(attention, parent, 1), grew)
        tokens = np.take_along_axis(tokens, parent[..., None], 1)
        tokens[..., step] = chosen
        empty = np.isinf(scores)
        finished = was_finished | (chosen == 0) | empty
        ended = ~was_finished & (chosen == 0) & ~empty
        for row in ended.any(1).nonzero()[0].tolist():
            places = (finished[row] & ~empty[row]).nonzero()[0].tolist()
            repeats = texts[row].keep({place: (tokens[row, place], float(scores[row, place])) for place in places})
            scores[row, repeats] = -np.inf
            done[row] = texts[row].last(config.nbest)
        rival = np.where(finished, -np.inf, scores).max(1)
        if ((done >= rival) if falls_only else finished).all():
            break
        rows = torch.from_numpy((first + parent).ravel()).to(device)
        last = torch.from_numpy(chosen.reshape(-1, 1)).to(device)
        state.select(rows.to(model.device), memory=False)
        if scorer is not None:
            scorer.advance(rows, last[:, 0])
        for one in constraints:
            one.advance(rows, last[:, 0])
        if fused is not None:
            fused.advance(rows, last[:, 0])
    return [
        [replace(one, empty=empty) for one in found.best(config.nbest)]
        for found, empty in zip(texts, empty_texts, strict=True)
    ]


def _allowed(scores: Tensor, constraints: Sequence[Constraint]) -> Tensor:
    """Scores `(rows, V)` of next tokens, minus infinity for those that a constraint refuses."""
    for one in constraints:
        refused = one.refused(scores.shape[-1])
        if refused is not None:
            scores = scores.masked_fill(refused, -torch.inf)
    return scores


def _constraints(
    given: Constraint | None,
    rows: int,
    config: DecodeConfig,
    device: torch.device,
    best_path: Callable[[Tensor], CTCBestPath],
) -> list[Constraint]:
    """A given constraint, if there is one, and that on repetitions, if it is set."""
    repeated = Repetitions(rows, config.repetition, device, best_path) if config.repetition else None
    return [one for one in (given, repeated) if one is not None]


class _Texts:
    """The finished texts of a recording, each with its best tokens.

    Args:
        spell: as in `search_nbest`.
    """

    def __init__(self, spell: Spell) -> None:
        self.spell = spell
        self.found: dict[Hashable, Hypothesis] = {}

    def keep(self, finished: Mapping[int, tuple[np.ndarray, float]]) -> list[int]:
        """Add the finished hypotheses of a beam, tokens and score by place; returns the places of those whose text has
        better tokens."""
        repeats = []
        for place, (tokens, score) in sorted(finished.items(), key=lambda item: -item[1][1]):
            new = Hypothesis([token for token in tokens.tolist() if token], score)
            text = self.spell(new.tokens)
            if self.found.setdefault(text, new).score < score:
                self.found[text] = new
            if self.found[text] != new:
                repeats.append(place)
        return repeats

    def best(self, count: int) -> list[Hypothesis]:
        """The best texts, the first first; an empty one where none was finished."""
        ranked = sorted(self.found.values(), key=lambda one: -one.score)
        return ranked[:count] or [Hypothesis([], -math.inf)]

    def last(self, count: int) -> float:
        """The score of the `count`-th best text; minus infinity where there are fewer."""
        ranked = self.best(count)
        return ranked[-1].score if len(ranked) == count else -math.inf
