"""Where keywords may be in recordings: their best CTC paths against the best path of anything else.

Acoustic keyword spotting with a filler (Rohlicek et al. 1989; with CTC: Fernandez et al. 2007): a recording is filler,
the keyword, filler, and the filler costs nothing, since every frame is compared with its likeliest symbol.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from echo_asr.decode.keywords import Keyword, Spelling

STATES = 2_000_000  # of recordings and spellings together, for which paths are computed at once


@dataclass(frozen=True)
class KeywordPath:
    """The best path of a keyword at a place in a recording.

    Attributes:
        row, keyword: numbers of the recording and of the keyword.
        first, last: encoder frames of its first and its last token; the former may be that of the space before it.
        ratio: nats, at most 0: log probability of the path over that of the likeliest symbols of the same frames.
        tokens: of its spelling.
    """

    row: int
    keyword: int
    first: int
    last: int
    ratio: float
    tokens: int


def keyword_paths(
    log_probabilities: np.ndarray,
    lengths: Sequence[int],
    keywords: Sequence[Keyword],
    boundaries: Sequence[int],
    least: float,
    least_each: float,
) -> list[KeywordPath]:
    """The places of keywords in recordings: ends of paths that no neighbouring end exceeds, without those that overlap
    a better one of the same keyword and recording.

    With `d` the log probabilities less those of the likeliest symbol of each frame, the ratio of a path is the sum of
    `d` along it. A spelling at the start of a text adds the blanks before it. A whole word adds the frame of the
    boundary that follows it, or the blanks up to the end of the recording, and the blanks between.

    Args:
        log_probabilities: `(B, F, V)`, natural logarithm, 0 the blank.
        lengths: frames of each recording.
        boundaries: ids of the tokens before which a word ends; at least one where a keyword is a whole word.
        least: nats, the smallest ratio.
        least_each: the same for each token of a spelling.
    """
    relative = (log_probabilities - log_probabilities.max(-1, keepdims=True)).astype(np.float32)
    blank = relative[..., 0]
    before = np.concatenate((np.zeros_like(blank[:, :1]), blank.cumsum(1)), axis=1)
    right = _ended(relative, np.asarray(lengths), boundaries)
    flat = [(number, spelling) for number, keyword in enumerate(keywords) for spelling in keyword.spellings]
    order = sorted(flat, key=lambda one: len(one[1].tokens))
    found: dict[tuple[int, int], list[KeywordPath]] = {}
    for part in _parts(order, len(lengths)):
        numbers = [number for number, _ in part]
        sizes = np.array([len(spelling.tokens) for _, spelling in part])
        entry = np.zeros((len(part), *before.shape), np.float32)
        entry[[spelling.at_start for _, spelling in part]] = before
        scores, starts = _best_paths(relative, [spelling.tokens for _, spelling in part], entry)
        whole = np.array([keywords[number].whole for number in numbers])
        scores += np.where(whole[:, None, None], right, 0.0)  # (S, B, F)
        scores[:, np.arange(scores.shape[2])[None] >= np.asarray(lengths)[:, None]] = -np.inf
        floor = np.maximum(least, least_each * sizes)[:, None, None]
        sides = np.pad(scores, ((0, 0), (0, 0), (1, 1)), constant_values=-np.inf)
        peaks = (scores > floor) & (scores >= sides[..., :-2]) & (scores > sides[..., 2:])
        for one, row, last in np.argwhere(peaks).tolist():
            path = KeywordPath(row, numbers[one], int(starts[one, row, last]), last, float(scores[one, row, last]),
                               int(sizes[one]))  # fmt: skip
            found.setdefault((row, numbers[one]), []).append(path)
    kept = []
    for _, paths in sorted(found.items()):
        kept += [paths[number] for number in without_overlaps([(p.first, p.last, p.ratio) for p in paths])]
    return kept


def without_overlaps(spans: Sequence[tuple[int, int, float]]) -> list[int]:
    """The numbers of the spans, first and last frame and score, that overlap none of a higher score; in order of
    time."""
    kept: list[int] = []
    for number in sorted(range(len(spans)), key=lambda number: -spans[number][2]):
        first, last, _ = spans[number]
        if all(first > spans[other][1] or last < spans[other][0] for other in kept):
            kept.append(number)
    return sorted(kept, key=lambda number: spans[number][0])


def _parts(flat: list[tuple[int, Spelling]], rows: int) -> Iterator[list[tuple[int, Spelling]]]:
    """Spellings in groups of similar length, so that their states fit."""
    start = 0
    for end in range(1, len(flat) + 1):
        full = (end + 1 - start) * 2 * len(flat[min(end, len(flat) - 1)][1].tokens) * rows > STATES
        if end == len(flat) or full:
            yield flat[start:end]
            start = end


def _ended(relative: np.ndarray, lengths: np.ndarray, boundaries: Sequence[int]) -> np.ndarray:
    """What it costs to end a word after each frame, `(B, F)`: the best of a boundary that follows and the end of the
    recording, with the blanks before either."""
    count, frames, _ = relative.shape
    blank = relative[..., 0]
    bound = relative[..., list(boundaries)].max(-1) if boundaries else np.full((count, frames), -np.inf)
    costs = np.zeros((count, frames), np.float32)
    for frame in range(frames - 2, -1, -1):
        follows = np.maximum(bound[:, frame + 1], blank[:, frame + 1] + costs[:, frame + 1])
        costs[:, frame] = np.where(frame < lengths - 1, follows, 0.0)
    return costs


def _best_paths(
    relative: np.ndarray, spellings: Sequence[tuple[int, ...]], entry: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best path of each spelling that ends in its last token at each frame (Viterbi, as of `ctc_align`, with tokens
    that are passed on): ratios and first frames, both `(S, B, F)`.

    Args:
        relative: `(B, F, V)`.
        entry: what it costs to begin before each frame, `(S, B, F + 1)`.
    """
    count, frames, _ = relative.shape
    size = max(map(len, spellings))
    states = np.zeros((len(spellings), 2 * size - 1), np.int64)  # symbol, blank, symbol, ...
    for number, tokens in enumerate(spellings):
        states[number, : 2 * len(tokens) : 2] = tokens
    jumps = np.full((len(spellings), 1, states.shape[1]), -np.inf, np.float32)  # 0 to a symbol from another one
    jumps[:, 0, 2::2] = np.where(states[:, 2::2] != states[:, :-2:2], 0.0, -np.inf)
    lasts = np.array([2 * len(tokens) for tokens in spellings])  # with the two places before the first state
    scores = np.full((len(spellings), count, states.shape[1] + 2), -np.inf, np.float32)
    starts = np.zeros(scores.shape, np.int32)
    ends, firsts = (np.zeros((len(spellings), count, frames), kind) for kind in (np.float32, np.int32))
    own = np.arange(len(spellings))
    for frame in range(frames):
        scores[..., 1], starts[..., 1] = entry[..., frame], frame
        best, start = scores[..., 2:], starts[..., 2:]
        for other, since in ((scores[..., 1:-1], starts[..., 1:-1]), (scores[..., :-2] + jumps, starts[..., :-2])):
            better = other > best
            best, start = np.where(better, other, best), np.where(better, since, start)
        scores[..., 2:] = best + relative[:, frame][:, states].swapaxes(0, 1)
        starts[..., 2:] = start
        ends[..., frame], firsts[..., frame] = scores[own, :, lasts], starts[own, :, lasts]
    return ends, firsts
