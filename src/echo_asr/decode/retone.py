"""Tones for texts that are written without: a search in which the bases are given and the tones are free.

A hypothesis may go on with a token only if the text without tones goes on with what that token is without its tones.
So `ma` becomes `ma3` or `ma1`, whichever the model finds, and never `na3`; it works for any tokenizer and for every
notation of `echo_asr.text.tones`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import ToneNotation

LONGEST_TONE = 5  # characters of a tone that stands by itself, as in a sandhi pair of numbers


@dataclass(frozen=True)
class _State:
    """How far a hypothesis has come: characters of its text that are written, and of the tone that it is writing."""

    text: int
    written: int = 0
    tone: int = 0
    ended: bool = False


class GivenBases:
    """Which tokens the hypotheses of a search may go on with, so that their texts without tones are given ones.

    Args:
        texts: of each hypothesis, normalised; tones in them are passed over.
        tokenizer: of the model.
        notation: where tones are written.
        device: of the search.
    """

    def __init__(
        self, texts: Sequence[str], tokenizer: Tokenizer, notation: ToneNotation, device: torch.device
    ) -> None:
        self.device = device
        unique = list(dict.fromkeys(texts))
        self.texts = [unicodedata.normalize("NFD", notation.without_tones(text)) for text in unique]
        self.states = [_State(unique.index(text)) for text in texts]
        # A letter that writes tone is one at the end of a word alone, where the word without tones has ended.
        self.final = notation.kind == "letters"
        self.tokens = [(token, *_split(symbol, notation)) for token, symbol in enumerate(tokenizer.symbols) if token]
        self.marks = {base for _, base, _ in self.tokens if base and unicodedata.combining(base[0])}
        self._allowed: dict[_State, dict[int, _State]] = {}

    def allowed(self, state: _State) -> dict[int, _State]:
        """The tokens that may follow, each with the state after it; token 0 ends the text."""
        if state not in self._allowed:
            self._allowed[state] = self._after(state)
        return self._allowed[state]

    def _after(self, state: _State) -> dict[int, _State]:
        text = self.texts[state.text]
        rest = text[state.written :]
        found = {0: _State(state.text, state.written, ended=True)} if not rest else {}
        bears = state.written > 0 and not text[state.written - 1].isspace()
        at_end = bears and (not rest or rest[0].isspace())
        for token, base, tone in self.tokens:
            written = state.written + len(base)
            if base and rest.startswith(base):
                following = text[written : written + 1]
                if not following or not unicodedata.combining(following) or following in self.marks:
                    found[token] = _State(state.text, written, tone)
            elif (not base or (self.final and at_end)) and bears and tone and state.tone + tone <= LONGEST_TONE:
                if not self.final or (at_end and not state.tone):
                    found[token] = _State(state.text, state.written, state.tone + tone)
        return found

    def refused(self, size: int) -> Tensor:
        """`(rows, size)`, true for the tokens that must not follow."""
        refused = torch.ones(len(self.states), size, dtype=torch.bool)
        for row, state in enumerate(self.states):
            refused[row, [0] if state.ended else list(self.allowed(state))] = False
        return refused.to(self.device)

    def advance(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep the hypotheses `rows`, repeats allowed, and add a token to each."""
        self.states = [
            before if before.ended else self.allowed(before).get(token, _State(before.text, before.written, ended=True))
            for before, token in zip((self.states[row] for row in rows.tolist()), tokens.tolist(), strict=True)
        ]


def _split(symbol: str, notation: ToneNotation) -> tuple[str, int]:
    """What a symbol is without its tones, decomposed, and how many characters at its end are tone."""
    apart = unicodedata.normalize("NFD", symbol)
    if notation.kind == "letters":
        return apart, int(apart in notation.written)
    base = "".join(character for character in apart if character not in notation.written)
    return base, len(apart) - len(base) if apart and apart[-1] in notation.written else 0
