"""Word times: from the frames in which tokens were found to start and end in seconds.

An alignment finds a token in few frames, somewhere inside the speech that it stands for: its word begins before the
first and ends after the last of them. The level of the signal determines where. Frames here are of 10 ms, `T`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from echo_asr.audio.convert import frames_to_seconds
from echo_asr.decode.results import Token, Word
from echo_asr.features import Features
from echo_asr.text.tokenizer import Tokenizer

QUIET_SHARE = 0.15  # of the frames of a clip, the softest ones, that count as background
LEVEL_SHARE = 0.2  # of the way from the lowest level to the mean level of a word: where the word begins and ends
SHORTEST_PAUSE = 6  # frames; a shorter gap between two words is the closure of a stop
ASTRAY = 15  # frames; the largest distance from its word at which a token may be found in a pause
REACH = 100  # frames; the largest distance from the outer token to the start of the first word or the end of the last

Range = tuple[int, int]  # the first frame, and the first one after


def foreground_levels(features: Features) -> np.ndarray:
    """The level of each frame above the background: `(T,)`, 0 for the softest 15 % of the clip.

    The root mean square, over mel bins, of the spectrogram above the 15 % quantile of each bin, less the 15 % quantile
    of the result. So a fricative that is softer than the noise, but louder in its own bins, has a level above 0.
    """
    spectrogram = features.spectrogram.numpy().astype(np.float64)
    above = np.clip(spectrogram - np.quantile(spectrogram, QUIET_SHARE, axis=1, keepdims=True), 0.0, None)
    levels = np.sqrt(np.mean(above**2, axis=0))
    return np.clip(levels - np.quantile(levels, QUIET_SHARE), 0.0, None)


def token_times(texts: Sequence[str], ranges: Sequence[Range], levels: np.ndarray) -> list[tuple[float, float]]:
    """Start and end of each token in seconds, in order, without overlap, and within the clip.

    Two words meet somewhere between the middle of the last token of the one and that of the first token of the other.
    If there is a pause, the one ends where the (first) pause begins, and the other begins where the (last) pause ends;
    a pause is 60 ms or more of a level under a fifth of the softer word's mean. Without a pause one word ends and the
    other begins where the level has fallen four fifths of the way from the first one's mean to the minimum between.
    The first word begins and the last one ends at a pause, too, or 1 s away, or with the clip.
    Within a word one token ends and the next begins half-way between the two; a space lasts from word to word. A word
    without any level above the background keeps its frames.

    Args:
        texts: of the tokens; words end at spaces.
        ranges: the frames in which each was found, in order.
        levels: `(T,)`, as of `foreground_levels`.
    """
    times = np.array(ranges, dtype=np.float64).reshape(-1, 2)
    groups = _groups(texts)
    words = [_WordRange([ranges[i] for i in group], levels) for group in groups]
    edges = [_edge(before, after, levels) for before, after in pairwise([None, *words, None])] if words else []
    for group, word, (_, start), (end, _) in zip(groups, words, edges[:-1], edges[1:], strict=True):
        if start >= end:
            start, end = word.start, word.end
        middles = [(ranges[i][1] + ranges[j][0]) / 2 for i, j in pairwise(group)]
        times[group] = list(pairwise([start, *np.clip(middles, start, end), end]))
    for before, after in pairwise([[-1], *groups, [len(texts)]]) if groups else ():
        spaces = range(before[-1] + 1, after[0])
        if spaces:
            start = times[before[-1], 1] if before[-1] >= 0 else times[after[0], 0]
            end = times[after[0], 0] if after[0] < len(texts) else start
            times[spaces] = list(pairwise(np.linspace(start, end, len(spaces) + 1)))
    # Frame t is centred at t / 100 s, and begins half a frame before.
    ordered = frames_to_seconds(np.maximum.accumulate((times.flatten() - 0.5).clip(0.0, len(levels))))
    return [(start, end) for start, end in ordered.reshape(-1, 2).tolist()]


def _groups(texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each word; those of nothing but space belong to none."""
    groups: list[list[int]] = []
    apart = True
    for index, text in enumerate(texts):
        if not text or text.strip():
            if apart or text[:1].isspace():
                groups.append([])
            groups[-1].append(index)
        apart = text[-1:].isspace()
    return groups


class _WordRange:
    """The frames in which the tokens of a word were found, and its mean level there."""

    def __init__(self, ranges: Sequence[Range], levels: np.ndarray) -> None:
        self.start, self.end = ranges[0][0], ranges[-1][1]
        self.first, self.last = sum(ranges[0]) // 2, sum(ranges[-1]) // 2  # the middles of its outer tokens
        self.level = float(levels[self.start : self.end].mean())


def _edge(before: _WordRange | None, after: _WordRange | None, levels: np.ndarray) -> tuple[int, int]:
    """The frame at which one word ends, and that at which the next begins; None beyond the first and the last."""
    total = len(levels)
    low = before.last if before else max(0, after.first - REACH) if after else 0
    high = after.first if after else min(total, before.last + REACH) if before else total
    high = min(max(high, low + 1), total)
    softer = min(word.level for word in (before, after) if word)
    changes = np.flatnonzero(np.diff(np.concatenate(([False], levels <= LEVEL_SHARE * softer, [False]))))
    pauses = []
    for start, end in changes.reshape(-1, 2).tolist():
        between = start < high and end > low and (end - start >= SHORTEST_PAUSE or start == 0 or end == total)
        # A token that was found in a pause belongs to the speech before or after, whichever is nearer.
        leads = before and 0 < end - low <= ASTRAY and end < total and (start == 0 or end - low < low - start)
        trails = after and 0 < high - start <= ASTRAY and start > 0 and (end == total or high - start < end - high)
        if between and not leads and not trails:
            pauses.append((start, end))
    if pauses:
        ended, begun = pauses[0][0], pauses[-1][1]
        return max(ended, before.start - ASTRAY if before else 0), min(begun, after.end + ASTRAY if after else total)
    if before is None:
        return low, low
    if after is None:
        return high, high
    frame = low + int(np.argmin(levels[low:high]))
    fallen = levels[frame] + LEVEL_SHARE * (before.level - levels[frame])
    while frame > low and levels[frame - 1] < fallen:
        frame -= 1
    return frame, frame


def token_texts(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """The text of each token; together they are `tokenizer.decode(ids)`.

    A character of several tokens, as in byte-level tokenizers, belongs to the last of these.
    """
    whole = tokenizer.decode(ids)
    texts = [tokenizer.decode([token]) for token in ids]
    if "".join(texts) == whole:
        return texts
    ends = [0]
    for count in range(1, len(ids)):
        part = tokenizer.decode(ids[:count])
        differ = (place for place, (a, b) in enumerate(zip(part, whole, strict=False)) if a != b)
        ends.append(max(ends[-1], next(differ, min(len(part), len(whole)))))
    return [whole[start:end] for start, end in pairwise([*ends, len(whole)])]


def character_times(tokens: Sequence[Token]) -> list[Token]:
    """The characters of tokens, without spaces, each with an even share of the time of its token."""
    found: list[Token] = []
    for token in tokens:
        spoken = "".join(token.text.split())
        edges = np.linspace(token.start, token.end, len(spoken) + 1).tolist()
        found += [
            Token(c, start, end, token.probability) for c, (start, end) in zip(spoken, pairwise(edges), strict=True)
        ]
    return found


def words_from_tokens(tokens: Sequence[Token]) -> tuple[Word, ...]:
    """The words of a text, split as by `str.split`, each with the lowest probability of its tokens.

    The time of a token with parts of several words is divided by their numbers of characters.
    """
    words: list[Word] = []
    apart = True
    for token in tokens:
        before, spoken = len(token.text) - len(token.text.lstrip()), len(token.text.strip())
        length = (token.end - token.start) / max(1, spoken)  # of a character
        for part in re.finditer(r"\S+|\A\Z", token.text):  # a token without text is part of a character to come
            start = token.start + length * (part.start() - before)
            end = token.start + length * (part.end() - before) if part.end() - before < spoken else token.end
            if apart or part.start():
                words.append(Word(part[0], start, end, token.probability))
            else:
                last = words[-1]
                words[-1] = Word(last.word + part[0], last.start, end, min(last.probability, token.probability))
            apart = False
        apart = token.text[-1:].isspace()
    return tuple(word for word in words if word.word)
