"""What a template accepts, as an automaton over the characters of normalised sentences.

A template is built from its end to its beginning: of each part, and of what follows it, the states that it begins in.
There are three of them, since what a word begins with depends on what is before it: nothing where the part goes on a
word (`s` of `light[s]`), a space after white space, and nothing at the beginning of the sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import NamedTuple

from echo_asr.text.grammar.automaton import DEAD, END, MOST_STATES, Automata
from echo_asr.text.grammar.definitions import Definitions, Values
from echo_asr.text.grammar.nodes import (
    Choice,
    ListReference,
    Literal,
    Node,
    Permutation,
    Repetition,
    RuleReference,
    Sequence,
    Written,
)
from echo_asr.text.normalize import Normalizer

SPACE = Literal(" ")
_STANDIN = "x"  # a letter that takes the place of a neighbour, for the normaliser


class Spoken(NamedTuple):
    """The words of a literal once normalised, and whether white space precedes and follows them."""

    words: tuple[str, ...]
    before: bool
    after: bool


class Start(NamedTuple):
    """The states in which a rest of a sentence begins: within a word, after white space, at its beginning."""

    inside: int
    spaced: int
    first: int


EMPTY = Start(DEAD, DEAD, DEAD)
FINISHED = Start(END, END, DEAD)  # the empty sentence is none


class Speaker:
    """The words that literals are spoken as.

    Args:
        normalize: of the model.
        spaces: whether sentences have spaces between words; else these are left out.
    """

    def __init__(self, normalize: Normalizer, spaces: bool = True) -> None:
        self.normalize, self.spaces = normalize, spaces
        self.spoken = lru_cache(100_000)(self._spoken)

    def text(self, text: str) -> str:
        """A whole sentence, or value, normalised."""
        words = self.normalize(text).split()
        return (" " if self.spaces else "").join(words)

    def _spoken(self, text: str, inside: bool, goes_on: bool) -> Spoken:
        """The words of a text.

        Args:
            inside: a word goes on with the text.
            goes_on: the last word goes on behind it.
        """
        before, after = text[:1].isspace(), text[-1:].isspace()
        left, right = inside and not before, goes_on and not after
        normal = self.normalize(_STANDIN * left + text + _STANDIN * right)
        words = normal.split()
        # Where the stand-in is a word of its own, normalising puts a space there; where it is gone, it is left out.
        if left and words and words[0].startswith(_STANDIN):
            words[0] = words[0].removeprefix(_STANDIN)
            if not words[0]:
                before, words = True, words[1:]
        if right and words and words[-1].endswith(_STANDIN):
            words[-1] = words[-1].removesuffix(_STANDIN)
            if not words[-1]:
                after, words = True, words[:-1]
        if not words and not text.isspace() and not before:
            before = after = len(self.normalize(f"{_STANDIN}{text}{_STANDIN}").split()) > 1
        return Spoken(tuple(words), before, after)


class Languages:
    """Makes automata of templates.

    Args:
        definitions: lists and rules that the templates refer to.
        speaker: says which words literals are.
        known: whether the model can write a word; a part with another is left out.
        most_states: that the automata may have.
    """

    def __init__(
        self,
        definitions: Definitions,
        speaker: Speaker,
        known: Callable[[str], bool] = lambda word: True,
        most_states: int = MOST_STATES,
    ) -> None:
        self.definitions, self.speaker, self.known = definitions, speaker, lru_cache(100_000)(known)
        self.automata: Automata[str] = Automata(most_states)
        self._built: dict[tuple[object, Start], Start] = {}
        self.texts_of = cache(self._texts_of)
        self._values: dict[Values, tuple[int, list[tuple[Node, str | None]]]] = {}

    def template(self, node: Node) -> int:
        """The automaton of a template's sentences."""
        return self._build(node, FINISHED).first

    def texts(self, texts: Iterable[str]) -> int:
        """The automaton of normalised sentences, without those that have a word that the model cannot write."""
        return self._of_words([tuple(text.split(" ")) for text in texts if text and self._writable(text)])

    def _texts_of(self, values: Values) -> dict[str, list[str]]:
        """The values of a list that are texts: normalised, each with its written forms."""
        return values.texts(self.speaker.text)

    def values(self, values: Values) -> int:
        """The automaton of a list's values."""
        return self._list(values, FINISHED).first

    def _of_words(self, texts: Iterable[tuple[str, ...]]) -> int:
        """Sentences of words, through their automaton over words: it is smaller than that over characters."""
        over_words: Automata[str] = Automata(self.automata.most)
        start = over_words.choose((words, END) for words in texts)
        begun: dict[int, int] = {DEAD: DEAD, END: END}  # states before a word, of over_words
        for state in over_words.reachable(start):
            if state > END:
                begun[state] = self.automata.choose(
                    (word, self._ended(begun[after], over_words.final[after], after == END))
                    for word, after in over_words.edges[state].items()
                )
        return begun[start]

    def _ended(self, begun: int, final: bool, last: bool) -> int:
        """The state behind a word, from the state before the next one."""
        return END if last else self.automata.state({" ": begun}, final)

    def _build(self, node: Node, then: Start) -> Start:
        if then == EMPTY:
            return EMPTY
        match node:
            case Literal():
                return self._literal(node.text, then)
            case Sequence():
                for item in reversed(node.items):
                    then = self._build(item, then)
                return then
            case Written():
                return self._build(node.item, then)
        key: object = node
        if isinstance(node, ListReference):
            key = self.definitions.values(node)
        elif isinstance(node, RuleReference):
            key = self.definitions.rule(node)
        found = self._built.get((key, then))
        if found is None:
            found = self._built[key, then] = self._build_branching(node, then)
        return found

    def _build_branching(self, node: Node, then: Start) -> Start:
        match node:
            case Choice():
                return self._union([self._build(item, then) for item in node.items])
            case Permutation():
                return self._permutation(node, then)
            case Repetition():
                return self._repetition(node, then)
            case RuleReference():
                return self._build(self.definitions.rule(node), then)
            case ListReference():
                return self._list(self.definitions.values(node), then)
        raise TypeError(f"unknown part {node!r}")

    def _union(self, starts: list[Start]) -> Start:
        return Start(*(self.automata.union(*states) for states in zip(*starts, strict=True)))

    def _space(self, then: Start) -> Start:
        return Start(then.spaced, then.spaced, then.first)

    def _words(self, spoken: Spoken, then: Start) -> Start:
        """What begins with some words, the first of them with a space before it where the state wants one."""
        gap = " " if self.speaker.spaces else ""
        if not spoken.words:
            return self._space(then) if spoken.before or spoken.after else then
        if not all(map(self.known, spoken.words)):
            return EMPTY
        then = self._space(then) if spoken.after else then
        first = self.automata.prepend(gap.join(spoken.words), then.inside)
        later = self.automata.prepend(gap, first)
        return Start(later if spoken.before else first, later, first)

    def _literal(self, text: str, then: Start) -> Start:
        if text[-1].isalpha() or text[-1].isspace():
            return self._begun(text, False, then)
        # An apostrophe, a sign or a digit (a tone, say) at its end depends on whether the word goes on behind it.
        edges, make = self.automata.edges[then.inside], self.automata.state
        goes_on = make({symbol: after for symbol, after in edges.items() if symbol != " "})
        ends = make(
            {symbol: after for symbol, after in edges.items() if symbol == " "}, self.automata.final[then.inside]
        )
        halves = [self._begun(text, inside == goes_on, then._replace(inside=inside)) for inside in {goes_on, ends}]
        return self._union(halves)

    def _begun(self, text: str, goes_on: bool, then: Start) -> Start:
        found = self._words(self.speaker.spoken(text, False, goes_on), then)
        if text[0].isalpha() or text[0].isspace():
            return found
        return found._replace(inside=self._words(self.speaker.spoken(text, True, goes_on), then).inside)

    def _permutation(self, node: Permutation, then: Start) -> Start:
        """After each subset of the parts the same rest may follow, whatever their order was."""
        items = node.items
        rests = {0: self._space(then)}
        for left in range(1, 1 << len(items)):  # parts that are still to come, as bits
            orders = [
                self._space(self._build(item, rests[left & ~(1 << n)]))
                for n, item in enumerate(items)
                if left & (1 << n)
            ]
            rests[left] = self._union(orders)
        return rests[(1 << len(items)) - 1]

    def _repetition(self, node: Repetition, then: Start) -> Start:
        found = self._build(node.item, then)
        for _ in range(node.high - max(1, node.low)):
            found = self._build(node.item, self._union([then, self._space(found)]))
        for _ in range(max(1, node.low) - 1):
            found = self._build(node.item, self._space(found))
        return found if node.low else self._union([then, found])

    def _list(self, values: Values, then: Start) -> Start:
        if values not in self._values:
            self._values[values] = self.texts(self.texts_of(values)), values.templates
        plain, templates = self._values[values]
        first = self.automata.concatenate(plain, then.inside)
        later = self.automata.prepend(" " if self.speaker.spaces else "", first)
        return self._union([Start(first, later, first), *(self._build(node, then) for node, _ in templates)])

    def _writable(self, text: str) -> bool:
        return all(map(self.known, text.split(" ")))
