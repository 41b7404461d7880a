"""Texts whose bases are given and whose tones are free, as a graph of tokens.

A text goes on with a token if the given text without tones goes on with what the token is without its tones: `ma`
becomes `ma3` or `ma1`, and never `na3`. Where every word has a tone (`unmarked` false), each gets one. Texts and tokens
are compared decomposed (NFD), so that it is all one whether a symbol of the tokenizer is a letter, a letter with its
tone (`ǎ`), the tone alone, or several syllables (BPE).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from echo_asr.decode.constraint import TokenGraph
from echo_asr.errors import EchoError
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import SANDHI, SYLLABIC, TRAILING, VOWELS, Kind, ToneNotation

# Characters of the longest tone; of Chao's letters, as of a tone and what sandhi makes of it without a sign between.
LONGEST: dict[Kind, int] = {"digits": 3, "superscripts": 3, "chao_letters": 5, "diacritics": 2, "letters": 2}
NUCLEI = VOWELS | set(SYLLABIC) | set("yvw")
NASALS = ("m", "n", "ng", "\u014b")  # may be syllables, or end them

# Characters of the base that are written, and of the tone behind the last of them. The sign that joins a tone with what
# sandhi makes of it counts as one more than the longest tone has, and the second tone goes on from there.
State = tuple[int, int]


@dataclass
class _Trie:
    """The symbols of a tokenizer by their characters, decomposed."""

    tokens: list[int] = field(default_factory=list)  # those that end here; several are equal once decomposed
    after: dict[str, _Trie] = field(default_factory=dict)


class GivenBases:
    """Makes the graph of a text's tones, for the symbols of a tokenizer.

    Args:
        tokenizer: of the model.
        notation: where tones are written.

    Raises:
        EchoError: a ready tokenizer, whose symbols may be no text, or one without a symbol for tone.
    """

    def __init__(self, tokenizer: Tokenizer, notation: ToneNotation) -> None:
        self.notation = notation
        if tokenizer.kind == "ready":
            raise EchoError("tones are found with text.tokenizer character or bpe alone; this model has a ready one")
        self.trie = _Trie()
        written = set()
        for token, symbol in enumerate(tokenizer.symbols):
            node = self.trie
            for character in unicodedata.normalize("NFD", symbol) if token else "":
                node = node.after.setdefault(character, _Trie())
                written.add(character)
            if token:
                node.tokens.append(token)
        if not written & notation.written:
            what = f"the model writes no tone in the notation {notation.kind}: its tokenizer has no symbol for one"
            raise EchoError(f"{what}; take the notation of the texts that it was trained on (text.tones)")

    def base(self, text: str) -> str:
        """A normalised text without its tones."""
        return " ".join(self.notation.without_tones(text).split())  # a word of tones alone leaves nothing

    def graph(self, base: str) -> TokenGraph:
        """The texts whose base is this one; state 0 of the graph is the beginning.

        Raises:
            EchoError: the tokenizer cannot write the text; the first character that it lacks is named.
        """
        places = _Places(base, self.notation)
        edges: dict[State, dict[int, State]] = {}
        waiting: list[State] = [(0, 0)]
        while waiting:
            state = waiting.pop()
            if state not in edges:
                edges[state] = dict(self._follow(self.trie, state, places))
                waiting += edges[state].values()
        # The number of written characters never falls, so that one pass finds the states that the end is reached from.
        ends = {state for state in edges if places.ends(state)}
        reach = set(ends)
        for state in sorted(edges, reverse=True):
            edges[state] = {token: after for token, after in edges[state].items() if after in reach}
            if edges[state]:
                reach.add(state)
        if (0, 0) not in reach:
            furthest = max(written for written, _ in edges)
            raise EchoError(f"text {base!r}: {_lacking(places.base, furthest)}")
        numbers = {state: number for number, state in enumerate(sorted(reach))}
        numbered = [{token: numbers[after] for token, after in edges[state].items()} for state in numbers]
        return TokenGraph(numbered, frozenset(numbers[state] for state in ends))

    def _follow(self, node: _Trie, state: State, places: _Places) -> Iterator[tuple[int, State]]:
        """The tokens that may follow, from a node of the trie on, and the state after each."""
        for character, deeper in node.after.items():
            after = places.step(state, character)
            if after is not None:
                yield from ((token, after) for token in deeper.tokens)
                yield from self._follow(deeper, after, places)


class _Places:
    """Where in a base tones may be written.

    Args:
        base: a text without tones.
    """

    def __init__(self, base: str, notation: ToneNotation) -> None:
        self.base = unicodedata.normalize("NFD", base)
        self.written = notation.written
        self.longest = LONGEST[notation.kind]
        self.final = notation.kind == "letters"  # a letter is a tone at the end of a word alone, a sign at its edges
        self.signs = notation.letters_and_signs[1] if self.final else ""
        self.behind = notation.kind in TRAILING
        always = not notation.unmarked and notation.kind != "diacritics" and not self.signs
        # Behind so many characters: whether a tone may stand, and must, and whether a sign may stand before a word.
        self.bears, self.lacks, self.opens = [False], [False], [self._begins(0)]
        start, begun = 0, False  # of the current word: where it starts, and whether one of its characters is no tone
        for at, character in enumerate(self.base, 1):
            if character.isspace():
                start, begun = at, False
            # Digits that begin a word are part of its base, and a sign such as a hyphen may join the tones of a pair.
            begun = at > start and (begun or self.final or character not in self.written)
            word, rest = self.base[start:at], "".join(self.base[at:].split(maxsplit=1)[:1])
            inside = rest and not self.base[at].isspace()
            stands = begun and any(map(str.isalpha, word)) and character not in SANDHI
            self.bears.append(stands and not (self.behind and inside and not _divides(word, rest)))
            ambiguous = self.final and at - start > 1 and character in self.written
            self.lacks.append(ambiguous or (always and self.bears[at]))
            self.opens.append(self._begins(at))

    def _begins(self, at: int) -> bool:
        """Whether a word with a letter begins there, and signs may be written before it."""
        word = "".join(self.base[at:].split(maxsplit=1)[:1])
        first = at == 0 or self.base[at - 1].isspace()
        return bool(self.signs) and first and self.base.startswith(word, at) and any(map(str.isalpha, word))

    def step(self, state: State, character: str) -> State | None:
        """The state after one more character, or None where it must not follow."""
        at, tone = state
        longer = self._tone(at, tone, character)
        if longer is not None:
            return at, longer
        word_ends = at == len(self.base) or self.base[at].isspace()
        if self.base[at : at + 1] != character or tone == self.longest + 1:
            return None
        return None if word_ends and self.lacks[at] and not tone else (at + 1, 0)

    def _tone(self, at: int, tone: int, character: str) -> int | None:
        """How many characters a tone has with one more, or None where this is not one of it."""
        word_ends = at == len(self.base) or self.base[at].isspace()
        if character in self.signs:
            stands = self.opens[at] or (self.bears[at] and word_ends)
            return tone + 1 if stands and tone < self.longest else None
        if character in self.written and self.final:
            return self.longest if self.bears[at] and word_ends and not tone else None
        if character in self.written:
            return tone + 1 if self.bears[at] and tone not in (self.longest, 2 * self.longest + 1) else None
        joins = self.behind and character in SANDHI and 0 < tone <= self.longest
        return self.longest + 1 if joins and self.base[at : at + 1] != character else None

    def ends(self, state: State) -> bool:
        """Whether the text may end."""
        at, tone = state
        return at == len(self.base) and tone != self.longest + 1 and (tone > 0 or not self.lacks[at])


def _divides(before: str, after: str) -> bool:
    """Whether two parts of a word may be syllables: each has a vowel, or what may stand for one.

    Without this a search writes tones wherever the model expects other letters than those that follow. Words without
    any vowel are of another script, and may be divided anywhere.
    """
    vowels = [any(c.lower() in NUCLEI for c in part) for part in (before, after)]
    return not any(vowels) or (vowels[1] and (vowels[0] or before.lower().endswith(NASALS)))


def _lacking(base: str, at: int) -> str:
    """Which letter of a decomposed text cannot be written, with the marks on it."""
    at = min(at, len(base) - 1)
    while at and unicodedata.combining(base[at]):
        at -= 1
    end = at + 1
    while end < len(base) and unicodedata.combining(base[end]):
        end += 1
    letter = unicodedata.normalize("NFC", base[at:end])
    named = " ".join(f"U+{ord(character):04X}" for character in letter)
    mend = "correct the text, or take a model whose training texts have it"
    return f"the model's tokenizer has no symbol for {letter!r} ({named}); {mend}"
