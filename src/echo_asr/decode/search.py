"""Free-running search: greedy, and the joint CTC/attention beam. Both are batched and carry a key-value cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echo_asr.decode.ctc import CTCPrefixScorer
from echo_asr.model.echo import Echo
from echo_asr.model.encoder import Encoded


@dataclass(frozen=True)
class DecodeConfig:
    """How text is searched for.

    Raises:
        ValueError: a value out of its range; the message names the field.
    """

    beam: int = 1  # hypotheses kept; 1 is greedy
    ctc_weight: float = 0.4  # share of CTC in a beam's score, 0 to 1; greedy search does not use it
    length_bonus: float = 0.0  # nats added for each token of a hypothesis; positive favours longer texts
    max_tokens: int = 448  # bound on the tokens of one text; the number of encoder frames bounds it too

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise ValueError(f"decode.beam must be at least 1, got {self.beam}")
        if not 0.0 <= self.ctc_weight <= 1.0:
            raise ValueError(f"decode.ctc_weight must lie in [0, 1], got {self.ctc_weight}")
        if self.max_tokens < 1:
            raise ValueError(f"decode.max_tokens must be at least 1, got {self.max_tokens}")


@dataclass(frozen=True)
class Hypothesis:
    """One text as ids, without the end token, and its score in nats."""

    tokens: list[int]
    score: float


def token_bounds(encoded: Encoded, config: DecodeConfig) -> Tensor:
    """The most tokens that each recording may get, `(B,)`: one an encoder frame, as CTC allows, and `max_tokens`."""
    return encoded.lengths.clamp(max=config.max_tokens)


@torch.inference_mode()
def search(model: Echo, encoded: Encoded, config: DecodeConfig) -> list[Hypothesis]:
    """The best text of each recording of a batch.

    A recording's result does not depend on the others in the batch.
    """
    return greedy(model, encoded, config) if config.beam == 1 else beam(model, encoded, config)


@torch.inference_mode()
def greedy(model: Echo, encoded: Encoded, config: DecodeConfig) -> list[Hypothesis]:
    """The likeliest next token, again and again, until the text ends or the bound. Finished rows leave the batch."""
    bounds = token_bounds(encoded, config)
    count = len(bounds)
    texts: list[list[int]] = [[] for _ in range(count)]
    scores = [0.0] * count
    rows = torch.arange(count, device=model.device)
    state = model.decoder.state(encoded)
    last = torch.zeros(count, 1, dtype=torch.long, device=model.device)
    for step in range(int(bounds.max())):
        best = model.predict(last, state)[:, -1].max(-1)
        for row, token, score in zip(rows.tolist(), best.indices.tolist(), best.values.tolist(), strict=True):
            scores[row] += score
            if token:
                texts[row].append(token)
        alive = (best.indices != 0) & (bounds[rows] > step + 1)
        if not alive.any():
            break
        last = best.indices[:, None]
        if not alive.all():
            keep = alive.nonzero()[:, 0]
            rows, last = rows[keep], last[keep]
            state.select(keep)
    return [Hypothesis(text, score) for text, score in zip(texts, scores, strict=True)]


@torch.inference_mode()
def beam(model: Echo, encoded: Encoded, config: DecodeConfig) -> list[Hypothesis]:
    """Joint CTC/attention beam search (Watanabe et al. 2017): a prefix's score is
    `(1 - w) log p_attention + w log p_ctc + bonus * length`.

    Every beam has `config.beam` places throughout; a finished hypothesis keeps its place and its score. Search ends
    for a recording when none of its unfinished hypotheses scores above its best finished one (with a positive
    `length_bonus`, when all have finished), or at its bound.
    """
    width, weight, size = config.beam, config.ctc_weight, model.vocabulary_size
    bounds = token_bounds(encoded, config)
    count, device = len(bounds), model.device
    scorer = CTCPrefixScorer(model.ctc_log_probabilities(encoded), encoded.lengths, width) if weight else None
    state = model.decoder.state(encoded)
    state.select(torch.arange(count, device=device).repeat_interleave(width))
    scores = torch.full((count, width), -torch.inf, dtype=torch.float64, device=device)
    scores[:, 0] = 0.0
    attention = torch.zeros(count, width, dtype=torch.float64, device=device)
    tokens = torch.zeros(count, width, 1, dtype=torch.long, device=device)
    finished = torch.zeros(count, width, dtype=torch.bool, device=device)
    first = (torch.arange(count, device=device) * width)[:, None]
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
        held = torch.full_like(total, -torch.inf)
        held[:, :, 0] = scores
        total = torch.where(finished[:, :, None], held, total)
        scores, flat = total.flatten(1).topk(width)
        parent, chosen = flat // size, flat % size
        rows = (first + parent).flatten()
        finished = finished.gather(1, parent)
        attention = torch.where(finished, attention.gather(1, parent), grown.flatten(1).gather(1, flat))
        tokens = torch.cat((tokens.gather(1, parent[..., None].expand(-1, -1, tokens.shape[2])), chosen[..., None]), 2)
        finished = finished | (chosen == 0) | scores.isinf()
        best = torch.where(finished, scores, -torch.inf).amax(1)
        rival = torch.where(finished, -torch.inf, scores).amax(1)
        if bool(((best >= rival) if config.length_bonus <= 0 else finished.all(1)).all()):
            break
        state.select(rows, memory=False)
        if scorer is not None:
            scorer.advance(rows, chosen.flatten())
    winner = torch.where(finished, scores, -torch.inf).argmax(1)
    texts = tokens[torch.arange(count), winner].tolist()
    values = scores[torch.arange(count), winner].tolist()
    return [Hypothesis([t for t in text if t], value) for text, value in zip(texts, values, strict=True)]
