"""Search for the text of encoded recordings: greedy, and the joint CTC/attention beam; batched, with key-value
caches."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from echo_asr.decode.constraint import Constraint
from echo_asr.decode.ctc import CTCBestPath, CTCPrefixScorer
from echo_asr.decode.fusion import FusedBeam, Fusion
from echo_asr.decode.hotwords import Hotwords
from echo_asr.decode.lm import load_language_model
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
        for name in ("lm_weight", "hotword_bonus"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"decode.{name} must be at least 0 and finite, got {getattr(self, name)}")
        for name in ("lm", "hotwords"):
            if getattr(self, name) and self.beam < 2:
                raise ValueError(f"decode.{name} needs decode.beam of at least 2, got {self.beam}")


Spell = Callable[[list[int]], Hashable]


def make_spell(tokenizer: Tokenizer) -> Spell:
    """The function by which a search compares texts: their words. A tokenizer may encode a text in several ways, and
    texts that differ in spaces alone count as equal."""
    return lambda tokens: tuple(tokenizer.decode(tokens).split())


@dataclass(frozen=True)
class Hypothesis:
    """One text as ids, without the end token, and its score in nats."""

    tokens: list[int]
    score: float


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
    """Take the most likely next token until the text ends or its bound is reached. Finished rows leave the batch."""
    bounds = token_bounds(encoded, config)
    count = len(bounds)
    texts: list[list[int]] = [[] for _ in range(count)]
    scores = [0.0] * count
    device = bounds.device  # of the scores; the decoder may be on another
    rows = torch.arange(count, device=device)
    state = model.decoder.state(encoded)
    last = torch.zeros(count, 1, dtype=torch.long, device=device)

    def best_path(so_far: Tensor) -> CTCBestPath:
        return CTCBestPath(model.ctc_log_probabilities(encoded)[rows], encoded.lengths[rows], so_far)

    constraints = _constraints(constraint, count, config, device, best_path)
    for step in range(int(bounds.max())):
        logp = model.predict(last, state)[:, -1]
        for one in constraints:
            logp = logp.masked_fill(one.refused(model.vocabulary_size), -torch.inf)
        best = logp.max(-1)
        for row, token, score in zip(rows.tolist(), best.indices.tolist(), best.values.tolist(), strict=True):
            scores[row] += score
            if token:
                texts[row].append(token)
        alive = (best.indices != 0) & (bounds[rows] > step + 1)
        if not alive.any():
            break
        keep = alive.nonzero()[:, 0]
        last = best.indices[keep, None]
        for one in constraints:
            one.advance(keep, last[:, 0])
        if len(keep) < len(rows):
            rows = rows[keep]
            state.select(keep.to(model.device))
    return [Hypothesis(text, score) for text, score in zip(texts, scores, strict=True)]


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
    count, device = len(bounds), bounds.device  # of the scores; the decoder may be on another
    scorer = CTCPrefixScorer(model.ctc_log_probabilities(encoded), encoded.lengths, width) if weight else None

    def best_path(so_far: Tensor) -> CTCBestPath:
        places = torch.arange(count, device=device).repeat_interleave(width)
        return CTCBestPath(model.ctc_log_probabilities(encoded)[places], encoded.lengths[places], so_far)

    constraints = _constraints(constraint, count * width, config, device, best_path)
    fused = FusedBeam(fusion, count, width, device) if fusion is not None else None
    falls_only = config.length_bonus <= 0 and (fusion is None or fusion.falls_only)
    state = model.decoder.state(encoded)
    state.select(torch.arange(count, device=model.device).repeat_interleave(width))
    scores = torch.full((count, width), -torch.inf, dtype=torch.float64, device=device)
    scores[:, 0] = 0.0
    attention = torch.zeros(count, width, dtype=torch.float64, device=device)
    tokens = torch.zeros(count, width, 1, dtype=torch.long, device=device)
    finished = torch.zeros(count, width, dtype=torch.bool, device=device)
    first = (torch.arange(count, device=device) * width)[:, None]
    texts = [_Texts(spell) for _ in range(count)]
    for step in range(int(bounds.max()) + 1):
        last = tokens[:, :, -1].reshape(-1, 1)
        grown = attention[:, :, None] + model.predict(last, state)[:, -1].view(count, width, size)
        total = (1.0 - weight) * grown
        if scorer is not None:
            total = total + weight * scorer.score()
        total = total + config.length_bonus * (step + (torch.arange(size, device=device) > 0))
        at_bound = (bounds <= step)[:, None, None] & (torch.arange(size, device=device) > 0)
        total = total.masked_fill(at_bound, -torch.inf)
        total = total.masked_fill(scores.isinf()[:, :, None], -torch.inf)  # places not yet filled
        for one in constraints:
            total = total.masked_fill(one.refused(size).view_as(total), -torch.inf)
        if fused is not None:
            total = total + fused.score(total, ~finished & ~scores.isinf())
        held = torch.full_like(total, -torch.inf)
        held[:, :, 0] = scores
        total = torch.where(finished[:, :, None], held, total)
        scores, flat = total.flatten(1).topk(width)
        parent, chosen = flat // size, flat % size
        rows = (first + parent).flatten()
        finished = finished.gather(1, parent)
        attention = torch.where(finished, attention.gather(1, parent), grown.flatten(1).gather(1, flat))
        tokens = torch.cat((tokens.gather(1, parent[..., None].expand(-1, -1, tokens.shape[2])), chosen[..., None]), 2)
        ended = ~finished & (chosen == 0) & ~scores.isinf()
        finished = finished | (chosen == 0) | scores.isinf()
        for row in ended.any(1).nonzero()[:, 0].tolist():
            places = (finished[row] & ~scores[row].isinf()).nonzero()[:, 0].tolist()
            repeats = texts[row].keep({place: (tokens[row, place], float(scores[row, place])) for place in places})
            scores[row, repeats] = -torch.inf
        done = torch.tensor([found.last(config.nbest) for found in texts], dtype=torch.float64, device=device)
        rival = torch.where(finished, -torch.inf, scores).amax(1)
        if bool(((done >= rival) if falls_only else finished.all(1)).all()):
            break
        state.select(rows.to(model.device), memory=False)
        if scorer is not None:
            scorer.advance(rows, chosen.flatten())
        for one in constraints:
            one.advance(rows, chosen.flatten())
        if fused is not None:
            fused.advance(rows, chosen.flatten())
    return [found.best(config.nbest) for found in texts]


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

    def keep(self, finished: Mapping[int, tuple[Tensor, float]]) -> list[int]:
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
