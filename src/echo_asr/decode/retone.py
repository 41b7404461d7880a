"""Tones for texts that are written without: a search in which the bases are given and the tones are free.

A hypothesis may go on with a token only if the text without tones goes on with what that token is without its tones.
So `ma` becomes `ma3` or `ma1`, whichever the model finds, and never `na3`; it works for any tokenizer and for every
notation of `echo_asr.text.tones`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import SANDHI, ToneNotation

LONGEST_TONE = 7  # characters of a tone that stands by itself, such as a pair of Chao's numbers


@dataclass(frozen=True)
class _State:
    """How far a hypothesis has come.

    Attributes:
        text: index of the given text.
        written: characters of it that are written.
        tone: characters of the tone that is being written.
        linked: whether the last of these joins two tones, so that another must follow.
        ended: whether the text is complete.
    """

    text: int
    written: int = 0
    tone: int = 0
    linked: bool = False
    ended: bool = False


@dataclass(frozen=True)
class _Reading:
    """What a token writes: a part of the text without tones, tones, or both.

    Attributes:
        token: its id.
        base: without tones, decomposed.
        tone: characters at its end that are tone.
        first, last: whether it must stand where a word begins, or ends.
        link: whether it is a sign that joins two tones.
    """

    token: int
    base: str
    tone: int = 0
    first: bool = False
    last: bool = False
    link: bool = False


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
        self.kind = notation.kind
        self.readings = [
            reading
            for token, symbol in enumerate(tokenizer.symbols)
            if token
            for reading in _readings(token, unicodedata.normalize("NFD", symbol), notation)
        ]
        self.marks = {one.base for one in self.readings if one.base and unicodedata.combining(one.base[0])}
        self._allowed: dict[_State, dict[int, _State]] = {}

    def allowed(self, state: _State) -> dict[int, _State]:
        """The tokens that may follow, each with the state after it; token 0 ends the text."""
        if state not in self._allowed:
            self._allowed[state] = self._after(state)
        return self._allowed[state]

    def _after(self, state: _State) -> dict[int, _State]:
        complete = state.written == len(self.texts[state.text]) and not state.linked
        found = {0: replace(state, ended=True)} if complete else {}
        for one in self.readings:
            after = self._written(state, one) if one.base else self._toned(state, one)
            if after is not None:
                found.setdefault(one.token, after)
        return found

    def _written(self, state: _State, one: _Reading) -> _State | None:
        """The state after a token with a part of the text, or None where it does not fit."""
        text, end = self.texts[state.text], state.written + len(one.base)
        following = text[end : end + 1]
        if state.linked or not text.startswith(one.base, state.written):
            return None
        if following and unicodedata.combining(following) and following not in self.marks:
            return None
        if (one.first and not (self._begins(state) or one.base[0].isspace())) or (one.last and following.strip()):
            return None
        return _State(state.text, end, one.tone)

    def _toned(self, state: _State, one: _Reading) -> _State | None:
        """The state after a token that is tone alone, or None where none may stand."""
        following = self.texts[state.text][state.written : state.written + 1].strip()
        begins = self._begins(state)
        if state.tone + one.tone > LONGEST_TONE or (begins and not following) or (one.link and not state.tone):
            return None
        if (begins and self.kind in ("digits", "diacritics")) or (one.link and state.linked):
            return None
        if self.kind == "letters" and following and not begins:
            return None
        if one.last and (begins or state.tone):
            return None
        return replace(state, tone=state.tone + one.tone, linked=one.link)

    def _begins(self, state: _State) -> bool:
        """Whether a word begins behind what is written."""
        return state.written == 0 or self.texts[state.text][state.written - 1].isspace()

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


def _readings(token: int, symbol: str, notation: ToneNotation) -> list[_Reading]:
    """What a token may write, given its decomposed symbol; of several readings the first that fits counts."""
    if notation.kind == "letters":
        return _readings_at_edges(token, symbol, notation)
    if notation.kind != "diacritics" and symbol in SANDHI:
        return [_Reading(token, symbol), _Reading(token, "", 1, link=True)]
    tone = f"[{re.escape(''.join(sorted(notation.written)))}]+"
    pairs = "" if notation.kind == "diacritics" else f"(?:[{SANDHI}]{tone})*"
    last = re.search(f"{tone}{pairs}$", symbol)
    return [_Reading(token, re.sub(tone + pairs, "", symbol), len(last[0]) if last else 0)]


def _readings_at_edges(token: int, symbol: str, notation: ToneNotation) -> list[_Reading]:
    """As `_readings`, where tones are a letter at the end of a word or signs at its edges."""
    letters, signs = notation.letters_and_signs
    space, body = symbol[: len(symbol) - len(symbol.lstrip())], symbol.lstrip()
    if body and not body.strip(signs):
        return [_Reading(token, space, len(body))]
    found = [_Reading(token, symbol)]
    if body in letters and not space:
        found.append(_Reading(token, "", 1, last=True))
    begun = body.lstrip(signs)
    for base in dict.fromkeys((body, begun)):
        bare = base[:-1] if len(base) > 1 and base[-1] in letters else base.rstrip(signs)
        for end in dict.fromkeys((base, bare)):
            if end != body:
                first, last = base != body, end != base
                found.append(_Reading(token, space + end, len(base) - len(end), first, last))
    return found
