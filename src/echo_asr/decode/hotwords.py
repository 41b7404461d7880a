"""Hotwords: names and terms that a search is told to listen for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from echo_asr.errors import EchoError
from echo_asr.text.tokenizer import Tokenizer

# How the symbols of tokenizers begin that begin a word: a space, and what stands for one in other programs' files.
SPACES = " \u2581\u0120"

# Whether a match may begin with the next token whatever that is, and the matches under way: the node of each in the
# tree, and how many of its tokens are paid for already.
State = tuple[bool, tuple[tuple[int, int], ...]]

_ROWS_KEPT = 4096  # states whose bonuses are remembered


class Hotwords:
    """Contextual biasing (Zhao et al. 2019): tokens that continue a hotword earn a bonus, given back if it breaks off.

    The hotwords form a tree of tokens. A match begins at the start of a word and counts when the word ends, so that
    `cat` earns nothing in `category`; where no symbol of the tokenizer holds a space, as in Chinese, it begins and
    ends anywhere. Of several matches under way the longest counts, and a part that an inner hotword was paid for
    (`new` in `new york`) is not paid twice. So a finished text has earned the bonus once for each token of the hotwords
    in it, and a search sees what a hotword will earn from its first token on, not only at its end.

    Args:
        phrases: words or phrases, as people write them.
        tokenizer: of the model.
        normalize: of the model.
        bonus: nats for a token.

    Raises:
        EchoError: a phrase is empty once normalised, or the tokenizer cannot write it.
    """

    def __init__(
        self, phrases: Sequence[str], tokenizer: Tokenizer, normalize: Callable[[str], str], bonus: float
    ) -> None:
        self.bonus, self.size = bonus, tokenizer.vocabulary_size
        bare = [symbol.lstrip(SPACES) for symbol in tokenizer.symbols[1:]]
        self._begins = [False, *(len(a) < len(b) for a, b in zip(bare, tokenizer.symbols[1:], strict=True))]
        self._gap = [False, *(not symbol for symbol in bare)]
        if not any(self._begins):  # a script without spaces: every symbol is a word
            self._begins = [False] + [True] * len(bare)
        self._children: list[dict[int, int]] = [{}]
        self._depth, self._whole = [0], [False]
        for phrase in phrases:
            for tokens in self._spellings(phrase, tokenizer, normalize):
                self._add(tokens)
        self._rows: dict[State, Tensor] = {}

    def _spellings(self, phrase: str, tokenizer: Tokenizer, normalize: Callable[[str], str]) -> list[list[int]]:
        """The phrase as it is written at the start of a text, and after a space."""
        text = normalize(phrase).strip()
        if not text:
            raise EchoError(f"decode.hotwords: nothing is left of {phrase!r} once normalised; leave it out")
        try:
            first = tokenizer.encode(text)
        except EchoError as error:
            raise EchoError(f"decode.hotwords: {error}") from None
        later = tokenizer.encode(f" {text}", unknown="skip")
        while later and self._gap[later[0]]:
            later = later[1:]
        return [first, later]

    def _add(self, tokens: Sequence[int]) -> None:
        node = 0
        for depth, token in enumerate(tokens, 1):
            if token not in self._children[node]:
                self._children[node][token] = len(self._children)
                self._children.append({})
                self._depth.append(depth)
                self._whole.append(False)
            node = self._children[node][token]
        self._whole[node] = node > 0

    def start(self) -> State:
        """The state of an empty text."""
        return True, ()

    def step(self, state: State, token: int) -> tuple[int, State]:
        """Tokens' worth of bonus that a token brings (negative: gives back) and the state after it; 0 ends the text."""
        ready, matches = state
        settled = 0
        if token == 0 or self._begins[token]:
            settled = max((self._depth[node] - paid for node, paid in matches if self._whole[node]), default=0)
        moved = [
            (self._children[node][token], min(paid + settled, self._depth[node]))
            for node, paid in matches
            if token in self._children[node]
        ]
        if (ready or (self._begins[token] and not self._gap[token])) and token in self._children[0]:
            moved.append((self._children[0][token], 0))
        after = tuple(moved)
        return settled + self._hope(after) - self._hope(matches), (self._gap[token], after)

    def advance(self, state: State, token: int) -> State:
        """The state after one more token."""
        return self.step(state, token)[1]

    def row(self, state: State) -> Tensor:
        """`(V,)`, float64: nats that each next token brings."""
        if state not in self._rows:
            if len(self._rows) >= _ROWS_KEPT:
                self._rows.clear()
            self._rows[state] = self._row(state)
        return self._rows[state]

    def _row(self, state: State) -> Tensor:
        ready, matches = state
        # Tokens that continue and begin nothing differ only in whether they end a word.
        settled = max((self._depth[node] - paid for node, paid in matches if self._whole[node]), default=0)
        row = torch.tensor(self._begins, dtype=torch.float64)
        row[0] = 1.0
        row = row * settled - self._hope(matches)
        for token in set(self._children[0]).union(*(self._children[node] for node, _ in matches)):
            row[token] = self.step(state, token)[0]
        return row * self.bonus

    def _hope(self, matches: Sequence[tuple[int, int]]) -> int:
        """What the best match under way has earned so far, for good or not, in tokens."""
        return max((self._depth[node] - paid for node, paid in matches), default=0)
