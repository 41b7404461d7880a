"""Grammars for a model: the sentences that may be said as a graph of its tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from echo_asr.decode.constraint import TokenGraph
from echo_asr.errors import EchoError
from echo_asr.text.grammar import Grammar
from echo_asr.text.grammar.accepted import AcceptedSentences
from echo_asr.text.grammar.automaton import DEAD, END, Automata
from echo_asr.text.grammar.interpretation import Interpretation
from echo_asr.text.grammar.report import GrammarReport, make_report
from echo_asr.text.normalize import Normalizer
from echo_asr.text.tokenizer import Tokenizer

MOST_WORDS = 50_000  # that may stand at one place of a sentence, to be tokenised each as a whole
MOST_WHOLE = 20_000  # sentences that a ready tokenizer encodes each as a whole


@dataclass(frozen=True, eq=False)
class CompiledGrammar:
    """A grammar for a model.

    Attributes:
        grammar: that was compiled.
        graph: its sentences as tokens.
        accepted: its sentences as the model writes them.
    """

    grammar: Grammar
    graph: TokenGraph
    accepted: AcceptedSentences

    @cached_property
    def report(self) -> GrammarReport:
        """An account of the grammar."""
        return make_report(self.accepted)

    def interpretations(self, text: str) -> list[Interpretation]:
        """What a sentence may mean, in the order of the grammar: several where templates, or ways to read one, give it;
        none for a text that is not of the grammar.

        Args:
            text: as a search with `graph` finds it.
        """
        return self.accepted.interpret(text)

    def interpret(self, text: str) -> Interpretation | None:
        """The first of `interpretations`; None for a text that is not of the grammar."""
        return next(iter(self.interpretations(text)), None)


def compile_grammar(grammar: Grammar, tokenizer: Tokenizer, normalize: Normalizer) -> CompiledGrammar:
    """A grammar as a graph of a model's tokens.

    A sentence is tokenised as the tokenizer does it, so that the model finds what it was trained on. Only where more
    than `MOST_WORDS` words may stand at one place, as in a script without spaces, are all ways to spell it accepted.

    Args:
        tokenizer, normalize: of the model.

    Raises:
        EchoError: the model can write none of the sentences, or the grammar is too large.
    """
    accepted = model_sentences(grammar, tokenizer, normalize)
    if accepted.start == DEAD:
        words = next((account.unwritable for account in accepted.accounts if account.unwritable), ())
        what = f"the model cannot write {', '.join(map(repr, words[:3]))}" if words else "nothing can be said"
        raise EchoError(
            f"{grammar.name}: no sentence of it can be recognised: {what}; echo-asr grammar shows each line"
        )
    return CompiledGrammar(grammar, _graph(accepted, tokenizer), accepted)


def model_sentences(grammar: Grammar, tokenizer: Tokenizer, normalize: Normalizer) -> AcceptedSentences:
    """The sentences of a grammar that a model can write.

    Raises:
        EchoError: the grammar is too large.
    """
    writable = _Writable(tokenizer)
    return AcceptedSentences(grammar, normalize, writable.spaces, writable)


class _Writable:
    """Whether a tokenizer can write a word.

    Attributes:
        spaces: whether it can write spaces.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.spaces = self(" ") or tokenizer.kind == "ready"

    def __call__(self, word: str) -> bool:
        if self.tokenizer.kind != "ready":
            return self.tokenizer.alphabet.issuperset(word)
        try:
            self.tokenizer.encode(word)
        except EchoError:
            return False
        return True


def _graph(accepted: AcceptedSentences, tokenizer: Tokenizer) -> TokenGraph:
    automata, start = accepted.automata, accepted.start
    if tokenizer.kind == "character":
        ids = {symbol: number for number, symbol in enumerate(tokenizer.symbols) if number}
        return _token_graph(automata, start, ids)
    if tokenizer.kind == "ready" and automata.count(start) <= MOST_WHOLE:
        sentences = ["".join(sentence) for sentence in automata.sentences(start)]
        return graph_of_sentences(tokenizer.encode_many(sentences))
    try:
        tokens, begun = _by_word(automata, start, tokenizer)
    except _ManyWordsError:
        if tokenizer.kind == "ready":
            what = f"more than {MOST_WORDS} words may stand at one place, which a ready tokenizer cannot divide"
            raise EchoError(f"{accepted.grammar.name}: {what}; write spaces between words") from None
        tokens, begun = _by_symbol(automata, start, tokenizer)
    return _token_graph(tokens, begun)


def graph_of_sentences(sentences: Iterable[Sequence[int]]) -> TokenGraph:
    """The graph of some sentences, each given as its tokens."""
    tokens: Automata[int] = Automata()
    return _token_graph(tokens, tokens.choose((tuple(sentence), END) for sentence in sentences))


def _token_graph(automata: Automata, start: int, ids: Mapping | None = None) -> TokenGraph:
    """The graph of an automaton, its edges from lower to higher states.

    Args:
        ids: the tokens of the automaton's symbols; None: they are tokens.
    """
    states = automata.reachable(start)[::-1]
    numbers = {state: number for number, state in enumerate(states)}
    edges: list[dict[int, int]] = [
        {symbol if ids is None else ids[symbol]: numbers[after] for symbol, after in automata.edges[state].items()}
        for state in states
    ]
    return TokenGraph(edges, frozenset(numbers[state] for state in states if automata.final[state]))


class _ManyWordsError(Exception):
    """More words than `MOST_WORDS` may stand at one place."""


def _by_word(automata: Automata[str], start: int, tokenizer: Tokenizer) -> tuple[Automata[int], int]:
    """Words are encoded each as a whole, with the space before it."""
    tokens: Automata[int] = Automata(automata.most)
    encode = _WordEncoder(tokenizer)
    states = automata.reachable(start)
    after_space = {after for state in states if (after := automata.edges[state].get(" "))}
    begun: dict[int, int] = {}  # the token state before a word, of the state behind a space
    behind: dict[int, int] = {}  # the token state behind a word

    def choose(state: int, first: bool) -> int:
        words = list(_words(automata, state))
        encoded = encode([word for word, _ in words], first)
        return tokens.choose((ids, behind[after]) for ids, (_, after) in zip(encoded, words, strict=True))

    for state in states:
        following = automata.edges[state].get(" ")
        if following or automata.final[state]:
            edges = tokens.edges[begun[following]] if following else {}
            behind[state] = tokens.state(edges, automata.final[state])
        if state in after_space:
            begun[state] = choose(state, False)
    return tokens, choose(start, True)


def _words(automata: Automata[str], start: int) -> Iterator[tuple[str, int]]:
    """The words that may follow a state, each with the state behind it."""
    waiting = [("", start)]
    count = 0
    while waiting:
        text, state = waiting.pop()
        for symbol, after in automata.edges[state].items():
            if symbol == " ":
                continue
            waiting.append((text + symbol, after))
            if automata.final[after] or " " in automata.edges[after]:
                count += 1
                if count > MOST_WORDS:
                    raise _ManyWordsError
                yield text + symbol, after


class _WordEncoder:
    """Encodes words as they are within sentences, each once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.known: dict[tuple[str, bool], tuple[int, ...]] = {}

    def __call__(self, words: Sequence[str], first: bool) -> list[tuple[int, ...]]:
        """The tokens of words; `first`: at the beginning of a sentence, else behind a space, which is included."""
        new = [word for word in dict.fromkeys(words) if (word, first) not in self.known]
        if self.tokenizer.kind == "ready" and not first:
            found = [self._behind_itself(word) for word in new]
        else:
            found = self.tokenizer.encode_many([word if first else f" {word}" for word in new])
        self.known.update({(word, first): ids for word, ids in zip(new, found, strict=True)})
        return [self.known[word, first] for word in words]

    def _behind_itself(self, word: str) -> tuple[int, ...]:
        """A ready tokenizer may write a space in its own way: the word is encoded behind itself."""
        alone, twice = self.tokenizer.encode(word), self.tokenizer.encode(f"{word} {word}")
        if twice[: len(alone)] != alone:
            what = f"the tokenizer divides {word!r} otherwise where a word follows"
            raise EchoError(f"{what}; give a grammar of at most {MOST_WHOLE} sentences, or train with tokenizer bpe")
        return tuple(twice[len(alone) :])


def _by_symbol(automata: Automata[str], start: int, tokenizer: Tokenizer) -> tuple[Automata[int], int]:
    """All ways to spell each sentence."""
    tokens: Automata[int] = Automata(automata.most)
    symbols: dict = {}
    for token, symbol in enumerate(tokenizer.symbols):
        node = symbols
        for character in symbol if token else "":
            node = node.setdefault(character, {})
        node[""] = token
    states = {DEAD: DEAD, END: END}
    for state in automata.reachable(start):
        edges = {}
        waiting = [(symbols, state)]
        while waiting:
            node, at = waiting.pop()
            if at != state and "" in node:
                edges[node[""]] = states[at]
            waiting += [(node[c], after) for c, after in automata.edges[at].items() if c in node]
        states[state] = tokens.state(edges, automata.final[state])
    return tokens, states[start]
