"""What a grammar accepts: one automaton, and an account of every template."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from echo_asr.errors import EchoError
from echo_asr.text.grammar.automaton import DEAD, Automata
from echo_asr.text.grammar.definitions import Values
from echo_asr.text.grammar.grammar import Grammar, Template
from echo_asr.text.grammar.interpret import SentenceReader
from echo_asr.text.grammar.interpretation import Interpretation, make_interpretation
from echo_asr.text.grammar.language import Languages, Speaker
from echo_asr.text.grammar.nodes import (
    ListReference,
    Literal,
    Node,
    Permutation,
    RuleReference,
    Sequence,
    children,
)
from echo_asr.text.normalize import Normalizer

MOST_OVERLAPS = 1000  # pairs of templates with a sentence in common that are named
MOST_COMPARED = 100_000  # places in several templates at once that are looked at for them


@dataclass(frozen=True)
class TemplateAccount:
    """What a template gives.

    Attributes:
        sentences: different ones that the model can write.
        unwritable: words that it cannot; sentences with one of them are left out.
    """

    template: Template
    sentences: int
    unwritable: tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """Two templates that give one sentence, normalised."""

    first: Template
    second: Template
    sentence: str


class AcceptedSentences:
    """The sentences of a grammar, normalised.

    Args:
        normalize: of the model.
        spaces: whether the model writes spaces between words.
        known: whether it can write a word.

    Attributes:
        automata: over characters.
        start: the state in which the sentences begin; `DEAD` where there are none.
        starts: of each template.
    """

    def __init__(
        self,
        grammar: Grammar,
        normalize: Normalizer,
        spaces: bool = True,
        known: Callable[[str], bool] = lambda word: True,
    ) -> None:
        self.grammar = grammar
        self.speaker = Speaker(normalize, spaces)
        self.languages = Languages(grammar.definitions, self.speaker, known, grammar.most_states)
        self.automata: Automata[str] = self.languages.automata
        self.plain: dict[str, list[int]] = {}  # sentences of templates that are text alone, with the numbers of these
        self.starts: list[int] = []  # of the other templates
        self.others: list[int] = []  # their numbers
        for number, template in enumerate(grammar.templates):
            if isinstance(template.node, Literal):
                text = self.speaker.text(template.node.text)
                self.plain.setdefault(text, []).append(number)
            else:
                self.others.append(number)
                self.starts.append(self._automaton(template))
        self.plain.pop("", None)
        together = self.automata.union(*self.starts)
        self.start = self.automata.union(together, self.languages.texts(self.plain))

    def _automaton(self, template: Template) -> int:
        try:
            return self.languages.template(template.node)
        except EchoError as error:
            raise EchoError(f"{template.place}: {error}") from None

    @property
    def count(self) -> int:
        """How many different sentences there are."""
        return self.automata.count(self.start)

    def each(self) -> Iterator[tuple[Template, int]]:
        """The templates, each with the state in which its sentences begin."""
        starts = dict(zip(self.others, self.starts, strict=True))
        plain = {number: text for text, numbers in self.plain.items() for number in numbers}
        for number, template in enumerate(self.grammar.templates):
            text = plain.get(number)
            yield template, self.languages.texts([text]) if text else starts.get(number, DEAD)

    def interpret(self, text: str) -> list[Interpretation]:
        """What a sentence means: an interpretation for each way in which a template gives it, in the order of the file;
        none where no template does.

        Args:
            text: normalised, as a search finds it.
        """
        templates = self.grammar.templates
        numbers = [
            *self.plain.get(text, ()),
            *(n for n, start in zip(self.others, self.starts, strict=True) if self.automata.accepts(start, text)),
        ]
        reader = SentenceReader(text, self.grammar.definitions, self.speaker, self.languages.texts_of)
        found: list[Interpretation] = []
        for number in sorted(numbers):
            for reading in reader.readings(templates[number].node):
                one = make_interpretation(templates[number], text, reading)
                found += [one] if one not in found else []
        return found

    @cached_property
    def accounts(self) -> list[TemplateAccount]:
        """An account of each template."""
        counts = {n: self.automata.count(start) for n, start in zip(self.others, self.starts, strict=True)}
        for text, numbers in self.plain.items():
            counts.update(dict.fromkeys(numbers, int(self.automata.accepts(self.start, text))))
        return [
            TemplateAccount(template, counts.get(number, 0), self._words_lost(template.node, counts.get(number, 0)))
            for number, template in enumerate(self.grammar.templates)
        ]

    def _words_lost(self, node: Node, count: int) -> tuple[str, ...]:
        complete = count and isinstance(node, Literal)
        return () if complete else tuple(dict.fromkeys(self._unwritable(node)))

    def _unwritable(self, node: Node) -> Iterator[str]:
        """The words of a part that the model cannot write, repeats among them."""
        match node:
            case Literal():
                yield from self._unknown(self.speaker.normalize(node.text))
            case RuleReference():
                yield from self._within(self.grammar.definitions.rule(node))
            case ListReference():
                values = self.grammar.definitions.values(node)
                yield from self._within(values)
            case _:
                for part in children(node):
                    yield from self._unwritable(part)

    def _unknown(self, text: str) -> Iterator[str]:
        return (word for word in text.split() if not self.languages.known(word))

    def _within(self, part: Node | Values) -> tuple[str, ...]:
        """Those of a rule or a list, found once."""
        if part not in self._unwritable_within:
            if isinstance(part, Values):
                own = [word for text in self.languages.texts_of(part) for word in self._unknown(text)]
                own += [word for template, _ in part.templates for word in self._unwritable(template)]
            else:
                own = list(self._unwritable(part))
            self._unwritable_within[part] = tuple(dict.fromkeys(own))
        return self._unwritable_within[part]

    @cached_property
    def _unwritable_within(self) -> dict[Node | Values, tuple[str, ...]]:
        return {}

    @cached_property
    def empty_lists(self) -> list[str]:
        """Lists and rules that give nothing, whether for want of values or of words that the model can write."""
        definitions = self.grammar.definitions
        lists = [f"{{{name}}}" for name, values in definitions.lists.items() if self.languages.values(values) == DEAD]
        return lists + [
            f"<{name}>" for name, rule in definitions.rules.items() if self.languages.template(rule) == DEAD
        ]

    @cached_property
    def written_twice(self) -> list[tuple[str, str, list[str]]]:
        """Values of lists that are spoken alike and written otherwise: the list, what is spoken and the forms."""
        return [
            (f"{{{name}}}", spoken, forms)
            for name, values in self.grammar.definitions.lists.items()
            for spoken, forms in self.languages.texts_of(values).items()
            if len(forms) > 1
        ]

    @cached_property
    def filled_twice(self) -> list[tuple[Template, str]]:
        """Templates in which one sentence may fill a slot in two parts, so that one value is lost, and the slot."""
        known = dict[Node, tuple[frozenset[str], frozenset[str]]]()
        return [
            (template, slot)
            for template in self.grammar.templates
            for slot in sorted(self._slots(template.node, known)[1])
        ]

    def _slots(
        self, node: Node, known: dict[Node, tuple[frozenset[str], frozenset[str]]]
    ) -> tuple[frozenset[str], frozenset[str]]:
        """The slots that a part may fill, and those that two of its parts fill in one sentence."""
        if node not in known:
            parts = self.grammar.definitions.parts(node) if isinstance(node, ListReference | RuleReference) else []
            own = [self._slots(part, known) for part in (*children(node), *parts)]
            slots = frozenset({node.slot} if isinstance(node, ListReference) else ()).union(*(one for one, _ in own))
            twice = frozenset().union(*(two for _, two in own))
            if isinstance(node, Sequence | Permutation):
                twice |= {slot for slot in slots if sum(slot in one for one, _ in own) > 1}
            known[node] = slots, twice
        return known[node]

    @cached_property
    def overlaps(self) -> list[Overlap]:
        """Pairs of templates that give one sentence, each with an example; at most `MOST_OVERLAPS`.

        Of templates that give the same sentences from some word on, each is named beside the first.
        """
        pairs: dict[tuple[int, int], str] = {}
        for sentence, numbers in self.plain.items():
            pairs.update({(numbers[0], number): sentence for number in numbers[1:]})
        together = self.automata.union(*self.starts)
        for sentence, numbers in self.plain.items():
            if self.automata.accepts(together, sentence):
                own = zip(self.others, self.starts, strict=True)
                also = [n for n, start in own if self.automata.accepts(start, sentence)]
                pairs.update({(min(n, numbers[0]), max(n, numbers[0])): sentence for n in also})
        for first, second in self._overlapping():
            common = self.automata.common(self.starts[first], self.starts[second])
            assert common is not None
            pairs[self.others[first], self.others[second]] = "".join(common)
        templates = self.grammar.templates
        return [Overlap(templates[a], templates[b], pairs[a, b]) for a, b in sorted(pairs)[:MOST_OVERLAPS]]

    def _overlapping(self) -> set[tuple[int, int]]:
        """Pairs of templates with operators, by their places among them."""
        found: set[tuple[int, int]] = set()
        first: dict[int, int] = {}
        for number, start in enumerate(self.starts):  # the same sentences
            if start and first.setdefault(start, number) != number:
                found.add((first[start], number))
        seen: set[tuple[tuple[int, int], ...]] = set()
        waiting = [tuple(sorted((number, state) for state, number in first.items()))]
        while waiting and len(found) < MOST_OVERLAPS and len(seen) < MOST_COMPARED:
            here = waiting.pop()
            if here in seen:
                continue
            seen.add(here)
            final = [number for number, state in here if self.automata.final[state]]
            found.update((final[0], number) for number in final[1:])
            after: dict[str, dict[int, int]] = {}
            for number, state in here:
                for symbol, target in self.automata.edges[state].items():
                    owner = after.setdefault(symbol, {}).setdefault(target, number)
                    if owner != number:
                        found.add((owner, number))
            waiting += [
                tuple(sorted((number, state) for state, number in owners.items()))
                for owners in after.values()
                if len(owners) > 1
            ]
        return found
