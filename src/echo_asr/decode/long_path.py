"""The likeliest CTC path of a long text: as `ctc_align`, for one recording of any length, in little memory.

Of Viterbi's trellis the scores of few frames are kept. Going back from the end, what lies between two of
these is computed again, as far as the path can lie there.
"""

from __future__ import annotations

import numpy as np
import torch

KEPT = 500  # frames from one whose scores are kept to the next


def long_path(log_probabilities: np.ndarray, tokens: np.ndarray, kept: int = KEPT) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last frame of each token `(L,)` in the likeliest path that spells them. Frames times tokens are
    computed; kept are scores of `F / kept` times `2 L + 1` states.

    Args:
        log_probabilities: `(F, V)` float32, natural logarithm, 0 the blank.
        tokens: `(L,)`, 1 to V - 1; at least one.

    Raises:
        ValueError: they need more frames than there are.
    """
    frames, size = len(log_probabilities), len(tokens)
    repeats = np.flatnonzero(tokens[1:] == tokens[:-1]) + 1
    if size + len(repeats) > frames:
        raise ValueError(f"{size} tokens need {size + len(repeats)} frames, and there are {frames}")
    # Between any two of the same tokens is a blank.
    barred = np.zeros(size, np.float32)
    barred[repeats] = -np.inf
    lattice = _Trellis(log_probabilities, tokens, barred)
    scores = [lattice.begin()]
    for first in range(0, frames - 1, kept):
        scores.append(lattice.advance(scores[-1], first + 1, min(first + kept, frames - 1)))
    blank, symbol = scores.pop()
    state = 2 * size if blank[-1] >= symbol[-1] else 2 * size - 1
    path = np.empty(frames, np.int64)
    for first in reversed(range(0, frames - 1, kept)):
        last = min(first + kept, frames - 1)
        path[first : last + 1] = lattice.trace(scores.pop(), first, last, state)
        state = int(path[first])
    if frames == 1:
        path[0] = state
    places = 2 * np.arange(size) + 1
    return np.searchsorted(path, places), np.searchsorted(path, places, side="right") - 1


class _Trellis:
    """Scores `(L + 1,)` of the blanks before, between and after the tokens, and `(L,)` of the tokens."""

    def __init__(self, logs: np.ndarray, tokens: np.ndarray, barred: np.ndarray) -> None:
        self.logs, self.tokens, self.barred = logs, tokens, barred

    def begin(self) -> tuple[np.ndarray, np.ndarray]:
        """Those of frame 0."""
        blank, symbol = (np.full(len(self.tokens) + more, -np.inf, np.float32) for more in (1, 0))
        blank[0], symbol[0] = self.logs[0, 0], self.logs[0, self.tokens[0]]
        return blank, symbol

    def advance(self, scores: tuple[np.ndarray, np.ndarray], first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Those of frame `last`, the highest 0, from those of the frame before `first`."""
        blank, symbol = (torch.from_numpy(one.copy()) for one in scores)
        barred, tokens = torch.from_numpy(self.barred), torch.from_numpy(self.tokens)
        logs = torch.from_numpy(self.logs)
        stepped, own = torch.empty_like(symbol), torch.empty_like(symbol)
        frames, size = len(logs), len(tokens)
        for frame in range(first, last + 1):
            # Tokens that can be reached, and from which the end can be.
            a, b = max(0, size - frames + frame - 1), min(size, frame + 1)
            step, now = stepped[a:b], symbol[a:b]
            step[0] = blank[a]
            torch.add(symbol[a : b - 1], barred[a + 1 : b], out=step[1:])
            torch.maximum(step, blank[a:b], out=step)
            torch.maximum(step, now, out=step)
            torch.maximum(blank[a + 1 : b + 1], now, out=blank[a + 1 : b + 1])
            blank[a : b + 1] += float(logs[frame, 0])
            torch.index_select(logs[frame], 0, tokens[a:b], out=own[a:b])
            torch.add(step, own[a:b], out=now)
        highest = torch.maximum(blank.max(), symbol.max())
        return (blank - highest).numpy(), (symbol - highest).numpy()

    def trace(self, scores: tuple[np.ndarray, np.ndarray], first: int, last: int, state: int) -> np.ndarray:
        """The states of the path from frame `first`, whose scores are given, to frame `last`, in which it is in
        `state`: 0 and even ones are blanks."""
        low = max(0, state - 2 * (last - first)) & ~1  # states that lead to it
        width = state - low + 1
        now = np.empty(width, np.float64)
        now[::2], now[1::2] = scores[0][low // 2 :][: (width + 1) // 2], scores[1][low // 2 :][: width // 2]
        emitted = np.zeros(width, np.int64)
        emitted[1::2] = self.tokens[low // 2 :][: width // 2]
        over = np.full(width, -np.inf)  # steps over a blank, to a token
        over[1::2] = self.barred[low // 2 :][: width // 2]
        steps = np.zeros((last - first, width), np.int8)
        one, two = np.full(width, -np.inf), np.full(width, -np.inf)
        for frame, step in enumerate(steps, first + 1):
            one[1:] = now[:-1]
            np.add(now[:-2], over[2:], out=two[2:])
            np.greater(one, now, out=step, casting="unsafe")
            np.maximum(now, one, out=now)
            step[two > now] = 2
            np.maximum(now, two, out=now)
            now += self.logs[frame].take(emitted)
        path = np.empty(last - first + 1, np.int64)
        place = width - 1
        for row in range(last - first, 0, -1):
            path[row] = place + low
            place -= int(steps[row - 1, place])
        path[0] = place + low
        return path
