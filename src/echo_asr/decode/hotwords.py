"""Hotwords: names and terms that get a bonus in the search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import dropwhile

import torch
from torch import Tensor

from echo_asr.errors import EchoError
from echo_asr.text.normalize import Normalizer
from echo_asr.text.tokenizer import Tokenizer

# First characters of token symbols that begin a word: a space, or the characters for it in other tokenizers' files.
SPACES = " \u2581\u0120"

# Whether a match may begin with any next token, and the matches in progress: the node of each in the tree, and how many
# of its tokens have got their bonus already.
State = tuple[bool, tuple[tuple[int, int], ...]]

_ROWS_KEPT = 4096  # states whose bonuses are cached


class Hotwords:
    """Contextual biasing (Zhao et al. 2019): tokens that continue a hotword get a bonus, taken back if it breaks off.

    The hotwords form a tree of tokens. A match begins at the start of a word and counts when the word ends, so that
    `cat` gets nothing in `category`; where no symbol of the tokenizer contains a space, as in Chinese, it begins and
    ends anywhere. Of several matches in progress the longest counts, and the tokens of an inner hotword (`new` in
    `new york`) get the bonus once. So a finished text has the bonus once for each token of the hotwords in it, and a
    search adds it from the first token of a hotword on, not only at its end.

    Args:
        phrases: words or phrases, not normalised.
        tokenizer: of the model.
        normalize: of the model.
        bonus: nats for a token.

    Attributes:
        row: maps a state to `(V,)`, float64: the bonus in nats of each next token.

    Raises:
        EchoError: a phrase is empty once normalised, or the tokenizer cannot encode it.
    """

    def __init__(self, phrases: Sequence[str], tokenizer: Tokenizer, normalize: Normalizer, bonus: float) -> None:
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
        self.row = lru_cache(_ROWS_KEPT)(self._row)

    def _spellings(self, phrase: str, tokenizer: Tokenizer, normalize: Normalizer) -> list[list[int]]:
        """The phrase as it is written at the start of a text, and after a space."""
        text = normalize(phrase).strip()
        if not text:
            raise EchoError(f"decode.hotwords: nothing is left of {phrase!r} once normalised; leave it out")
        try:
            first = tokenizer.encode(text)
        except EchoError as error:
            raise EchoError(f"decode.hotwords: {error}") from None
        later = dropwhile(self._gap.__getitem__, tokenizer.encode(f" {text}", unknown="skip"))
        return [first, list(later)]

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
        """The change of the bonus by a token, in tokens (negative: taken back), and the state after it; 0 ends the
        text."""
        ready, matches = state
        settled = 0
        if token == 0 or self._begins[token]:
            settled = self._pending([match for match in matches if self._whole[match[0]]])
        moved = [
            (self._children[node][token], min(counted + settled, self._depth[node]))
            for node, counted in matches
            if token in self._children[node]
        ]
        if (ready or (self._begins[token] and not self._gap[token])) and token in self._children[0]:
            moved.append((self._children[0][token], 0))
        after = tuple(moved)
        return settled + self._pending(after) - self._pending(matches), (self._gap[token], after)

    def advance(self, state: State, token: int) -> State:
        """The state after one more token."""
        return self.step(state, token)[1]

    def _row(self, state: State) -> Tensor:
        _, matches = state
        # Tokens that continue or begin no match differ only in whether they end a word.
        settled = self._pending([match for match in matches if self._whole[match[0]]])
        row = torch.tensor(self._begins, dtype=torch.float64)
        row[0] = 1.0
        row = row * settled - self._pending(matches)
        for token in set(self._children[0]).union(*(self._children[node] for node, _ in matches)):
            row[token] = self.step(state, token)[0]
        return row * self.bonus

    def _pending(self, matches: Sequence[tuple[int, int]]) -> int:
        """The bonus of the best match in progress so far, which may be taken back, in tokens."""
        return max((self._depth[node] - counted for node, counted in matches), default=0)
