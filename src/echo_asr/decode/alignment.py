"""Forced alignment of the tokens of a text with encoder frames, by CTC or by cross-attention.

The path is the likeliest one (Viterbi) of the trellis of Graves et al. 2006, "Connectionist Temporal Classification".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from echo_asr.decode.results import Token, Word
from echo_asr.decode.times import foreground_levels, token_texts, token_times, words_from_tokens
from echo_asr.features import Features
from echo_asr.model.cross_attention import CrossAttention, EncoderKeyValues, Reader
from echo_asr.model.echo import Echo
from echo_asr.model.encoder import Encoded
from echo_asr.text.tokenizer import Tokenizer

Method = Literal["ctc", "attention"]
BLANK_SHARE = 0.5  # of a token's highest attention: the score of the blank, which takes frames with less
LEAST_SHARE = 1e-4  # the lowest share, so that any path is possible


@dataclass(frozen=True)
class Span:
    """The encoder frames `first` to `last` of a token, and its probability in the best of them."""

    first: int
    last: int
    probability: float  # 0 to 1


def align(
    model: Echo,
    encoded: Encoded,
    features: Sequence[Features],
    tokens: Sequence[Sequence[int]],
    tokenizer: Tokenizer,
    method: Method = "ctc",
) -> list[tuple[tuple[Token, ...], tuple[Word, ...]]]:
    """The times of each token and word of a text, in seconds from the beginning of its clip, and their probabilities.

    A token's probability is the mean of two: that of CTC, in the best of the frames in which CTC finds the token, and
    that of the decoder given the tokens before. It does not depend on the method.

    Args:
        encoded, features: of a batch of clips.
        tokens: the ids of each clip's text, 1 to V - 1; none for an empty text, which has no words.
        method: `ctc` for `ctc_align`, `attention` for `attention_align`.

    Raises:
        ValueError: an unknown method.
    """
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, got {method!r}")
    if not any(tokens):
        return [((), ()) for _ in tokens]
    with torch.inference_mode():
        found = spans = ctc_align(model.ctc_log_probabilities(encoded), encoded.lengths, tokens)
        chosen, weights = force(model, encoded, tokens, attention=method == "attention")
        if weights is not None:
            found = attention_align(weights, encoded.lengths, [len(text) for text in tokens])
    step = model.config.subsampling  # frames of 10 ms in an encoder frame
    aligned: list[tuple[tuple[Token, ...], tuple[Word, ...]]] = []
    for row, (clip, text) in enumerate(zip(features, tokens, strict=True)):
        if not text:
            aligned.append(((), ()))
            continue
        texts = token_texts(tokenizer, text)
        times = span_times(texts, found[row], clip, step)
        decoder = chosen[row, : len(text)].tolist()
        sure = [(span.probability + p) / 2 for span, p in zip(spans[row], decoder, strict=True)]
        timed = tuple(Token(symbol, *time, p) for symbol, time, p in zip(texts, times, sure, strict=True))
        aligned.append((timed, words_from_tokens(timed)))
    return aligned


def span_times(texts: Sequence[str], spans: Sequence[Span], clip: Features, step: int) -> list[tuple[float, float]]:
    """Start and end of tokens in seconds, as of `token_times`, from the encoder frames in which they were found.

    Args:
        texts: of the tokens.
        step: frames of 10 ms in an encoder frame.
    """
    # Silence that was appended to a clip, for a model that stops by it, is not part of the clip.
    ranges = [(min(s.first * step, clip.frames - 1), min((s.last + 1) * step, clip.frames)) for s in spans]
    return token_times(texts, ranges, foreground_levels(clip))


def ctc_align(log_probabilities: Tensor, lengths: Tensor, texts: Sequence[Sequence[int]]) -> list[list[Span]]:
    """The most likely CTC path through the frames of each recording, of those that spell its text (Viterbi).

    A text that no path spells, because it needs more frames than there are or a symbol of probability 0, is spread
    evenly over the frames, with probability 0.

    Args:
        log_probabilities: `(B, F, V)`, natural logarithm, 0 the blank.
        lengths: frames of each recording, `(B,)`.
        texts: ids of each, 1 to V - 1.
    """
    count, frames, _ = log_probabilities.shape
    states = np.zeros((count, 2 * max(map(len, texts), default=0) + 1), np.int64)  # blank, symbol, blank, ...
    for row, text in enumerate(texts):
        states[row, 1 : 2 * len(text) : 2] = text
    index = torch.from_numpy(states).to(log_probabilities.device)[:, None].expand(-1, frames, -1)
    emitted = log_probabilities.gather(2, index).cpu().double().numpy()
    jumps = np.zeros(states.shape)  # 0 to a symbol from another, over the blank between; else minus infinity
    jumps[:, 3::2] = np.where(states[:, 3::2] != states[:, 1:-2:2], 0.0, -np.inf)
    jumps[:, :3], jumps[:, 4::2] = -np.inf, -np.inf
    sizes = lengths.cpu().numpy()

    before = np.full((count, states.shape[1] + 2), -np.inf)  # two states that nothing comes from, and the scores
    scores = before[:, 2:]
    scores[:, :2] = emitted[:, 0, :2]
    steps = np.zeros((frames, *states.shape), np.int8)  # by which the best path to a state advances
    for frame in range(1, frames):
        inside = frame < sizes
        next_one, next_two = before[:, 1:-1], before[:, :-2] + jumps
        best = np.maximum(scores, next_one)
        two = next_two > best
        steps[frame] = np.where(two, 2, next_one > scores) * inside[:, None]
        scores[inside] = (np.where(two, next_two, best) + emitted[:, frame])[inside]

    rows, last = np.arange(count), 2 * np.array([len(text) for text in texts])
    symbol = np.maximum(last - 1, 0)
    state = np.where(scores[rows, last] >= scores[rows, symbol], last, symbol)
    spelled = scores[rows, state] > -np.inf
    paths = np.empty((count, frames), np.int64)
    for frame in range(frames - 1, -1, -1):
        paths[:, frame] = state
        state = state - steps[frame, rows, state]

    spans = []
    for row, (text, size) in enumerate(zip(texts, sizes.tolist(), strict=True)):
        if not spelled[row]:
            spans.append(_spread(len(text), size))
            continue
        places = 2 * np.arange(len(text)) + 1
        begins, ends = (np.searchsorted(paths[row, :size], places, side).tolist() for side in ("left", "right"))
        found = zip(begins, ends, places.tolist(), strict=True)
        spans.append([Span(a, b - 1, math.exp(min(0.0, emitted[row, a:b, place].max()))) for a, b, place in found])
    return spans


def _spread(count: int, frames: int) -> list[Span]:
    edges = pairwise(index * frames // count for index in range(count + 1))
    return [Span(first, max(first, after - 1), 0.0) for first, after in edges]


def attention_align(weights: Tensor, lengths: Tensor, counts: Sequence[int]) -> list[list[Span]]:
    """The best monotonic path through the cross-attention of each text.

    It is that of CTC, where a token is as probable in a frame as its weight there is in relation to its highest weight,
    and the blank half as probable as that. So frames may belong to no token, unlike in dynamic time warping (as in
    Whisper): attention to a frame or two locates a token, but not its duration.

    Args:
        weights: `(B, L, F)`, of the text positions that predict the tokens; 0 beyond a recording.
        lengths: frames of each recording, `(B,)`.
        counts: tokens of each text.

    Returns:
        spans, whose probability is the highest share of the token's highest weight.
    """
    shares = weights / weights.amax(2, keepdim=True).clamp(min=1e-30)
    scores = torch.cat((torch.full_like(shares[:, :1], BLANK_SHARE), shares.clamp(min=LEAST_SHARE)), dim=1).log()
    return ctc_align(scores.transpose(1, 2), lengths, [range(1, count + 1) for count in counts])


def predict_given(
    model: Echo, encoded: Encoded, tokens: Sequence[Sequence[int]], reader: WeightReader | None = None
) -> tuple[Tensor, Tensor]:
    """Given texts as ids `(B, L)`, and what the decoder expects in the place of each token, given those before it: log
    probabilities `(B, L, V)`, as of `Echo.predict`.

    Args:
        reader: of the last block that attends to the feature of CTC.
    """
    padded = pad_sequence([torch.tensor(text, dtype=torch.long) for text in tokens], batch_first=True).to(model.device)
    state = model.decoder.state(encoded, cached=False)
    if reader is not None:
        state.memories[model.decoder.stack_of(model.config.ctc_feature)][-1].readers += (reader,)
    return padded, model.predict(pad(padded, (1, -1)), state)


@torch.inference_mode()
def text_log_probabilities(
    model: Echo, encoded: Encoded, texts: Sequence[tuple[int, Sequence[int]]], most: int = 1 << 18
) -> list[float]:
    """The decoder's log probability of each of some texts, its end included.

    Args:
        texts: each the row of its recording in the batch, and its ids.
        most: texts times tokens times symbols that are predicted at once.
    """
    found: list[float] = []
    longest = 1 + max((len(text) for _, text in texts), default=0)
    together = max(1, most // (longest * (1 + len(model.decoder.embedding))))
    for start in range(0, len(texts), together):
        part = texts[start : start + together]
        ended = pad_sequence([torch.tensor([*text, 0], dtype=torch.long) for _, text in part], batch_first=True)
        state = model.decoder.state(encoded, cached=False)
        state.select(torch.tensor([row for row, _ in part], device=model.device))
        predicted = model.predict(pad(ended, (1, -1)), state)
        of_each = predicted.gather(2, ended[..., None].to(predicted.device))[..., 0].cpu()
        found += [float(own[: len(text) + 1].sum()) for own, (_, text) in zip(of_each, part, strict=True)]
    return found


def force(
    model: Echo, encoded: Encoded, tokens: Sequence[Sequence[int]], attention: bool = False
) -> tuple[Tensor, Tensor | None]:
    """What the decoder makes of given texts, of which one at least is not empty.

    Returns:
        the probability of each token given those before, `(B, L)`; and with `attention` the weights with which the
        positions that predict the tokens attend to frames, `(B, L, F)`, a mean over the heads of the last block that
        attends to the feature of CTC. Beyond a text they mean nothing.
    """
    reader = WeightReader()
    padded, predicted = predict_given(model, encoded, tokens, reader if attention else None)
    chosen = predicted.gather(2, padded.to(predicted.device)[..., None])[..., 0].clamp(max=0.0).exp().cpu()
    if reader.weights is None:
        return chosen, None
    weights = reader.weights.mean(1)
    return chosen, weights.unflatten(2, (-1, encoded.track.null.shape[1])).sum(2).cpu()  # joint: over the features


class WeightReader(Reader):
    """Keeps the weights `(B, H, L, F)` with which a cross-attention attends."""

    weights: Tensor | None = None

    def read(self, cross: CrossAttention, query: Tensor, out: Tensor, memory: EncoderKeyValues) -> Tensor:
        """Returns what attention gave as it is."""
        self.weights = cross.weights(query, memory)
        return out
