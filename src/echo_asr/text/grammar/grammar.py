"""Grammars: sentences that may be said, one template a line, and the lists and rules that they use.

language = en
{room} = kitchen | living room | (bath room):bathroom
{city} = @cities.txt
<please> = [could you] please
[<please>] turn (on|off) the light[s] in [the] {room}  # a template
order number {digit:order}*4
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from echo_asr.errors import EchoError
from echo_asr.text.grammar.automaton import MOST_STATES
from echo_asr.text.grammar.definitions import Definitions, Values, value_of
from echo_asr.text.grammar.nodes import (
    Choice,
    ListReference,
    Literal,
    Node,
    Place,
    Range,
    RuleReference,
    Sequence,
    children,
)
from echo_asr.text.grammar.parser import parse_range, parse_template
from echo_asr.text.grammar.value_files import read_values
from echo_asr.text.numbers import NUMBERS
from echo_asr.text.textfile import read_text_file

MOST_TEMPLATES = 200_000
LONGEST_LINE = 100_000  # characters
_LIST = re.compile(r"\s*\{([^{}]*)\}\s*=")
_RULE = re.compile(r"\s*<([^<>]*)>\s*=")
_SETTING = re.compile(r"\s*(\w+)\s*=\s*(.*)")
_BESIDE_VALUES = re.compile(r"(?:^|(?<!\\)\|)\s*(@|\d+\.\.\d)")  # a file or a range, where a list has more than that
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")  # an escaped # has no white space before it
SETTINGS = ("language", "numbers")
_NUMBERS = {"words": (False, True), "digits": (True, False), "both": (True, True)}


@dataclass(frozen=True, eq=False)
class Template:
    """A line of a grammar.

    Attributes:
        place: where its text begins.
        text: as it is written.
        intent: what hassil's files call it; empty elsewhere.
        slots: that it fills whatever is said.
    """

    place: Place
    text: str
    node: Node
    intent: str = ""
    slots: dict[str, str] = field(default_factory=dict)

    @property
    def line(self) -> int:
        """Its number in the file, from 1."""
        return self.place.line


@dataclass(frozen=True, eq=False)
class Grammar:
    """Templates, and what they refer to.

    Attributes:
        name: of its file.
        templates: in the order of the file.
        definitions: lists and rules.
        most_states: that its automaton may have; lower for grammars of strangers.
    """

    name: str
    templates: tuple[Template, ...]
    definitions: Definitions
    most_states: int = MOST_STATES

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Grammar:
        """Read a grammar: a text file, or a file of hassil (`.yaml`).

        The text is UTF-8 or UTF-16 (`read_text_file`). Paths in it are relative to it.

        Raises:
            EchoError: it cannot be read, or is no grammar: the line and the column are named.
        """
        path = Path(path)
        if path.suffix.lower() in (".yaml", ".yml"):
            from echo_asr.text.grammar.hassil_yaml import read_hassil  # which makes grammars

            return read_hassil(path)
        text = read_text_file(path).data.decode("utf-8", "replace")
        return cls.of(re.split(r"\r\n|\r|\n", text), path.parent, str(path))

    @classmethod
    def of(cls, lines: Iterable[str], folder: str | os.PathLike[str] | None = ".", name: str = "grammar") -> Grammar:
        """The grammar of some lines.

        Args:
            folder: that paths in the lines are relative to; None where no file may be read, as for lines of strangers.
            name: of it in messages.

        Raises:
            EchoError: they are no grammar; the line and the column are named.
        """
        reader = _Reader(None if folder is None else Path(folder), name)
        for number, line in enumerate(lines, 1):
            reader.add(line.lstrip("\ufeff") if number == 1 else line, number)
        reader.finish()
        return cls.made(name, reader.templates, reader.definitions)

    @classmethod
    def made(cls, name: str, templates: Iterable[Template], definitions: Definitions) -> Grammar:
        """A grammar of templates that are parsed already.

        Raises:
            EchoError: there is none, or something that they refer to is not defined, or contains itself.
        """
        grammar = cls(name, tuple(templates), definitions)
        if not grammar.templates:
            raise EchoError(f"{name}: there is no sentence in it; write one a line, such as: turn [on|off] the light")
        definitions.check(template.node for template in grammar.templates)
        return grammar

    @cached_property
    def unused(self) -> list[str]:
        """Lists and rules that no template refers to, by way of others either."""
        used: set[str] = set()
        waiting = [template.node for template in self.templates]
        while waiting:
            node = waiting.pop()
            waiting += children(node)
            if isinstance(node, ListReference | RuleReference):
                rule = isinstance(node, RuleReference)
                name = f"<{node.name}>" if rule else f"{{{node.name}}}"
                if name not in used and not (isinstance(node, ListReference) and node.range):
                    used.add(name)
                    waiting += self.definitions.parts(node)
        known = [f"{{{name}}}" for name in self.definitions.lists] + [f"<{name}>" for name in self.definitions.rules]
        return [name for name in known if name not in used]


class _Reader:
    def __init__(self, folder: Path | None, name: str) -> None:
        self.folder, self.name = folder, name
        self.templates: list[Template] = []
        self.definitions = Definitions()
        self.ranges: dict[str, tuple[Range, Place]] = {}  # lists of numbers, by their names
        self.settings: dict[str, str] = {}

    def add(self, line: str, number: int) -> None:
        """Read a line.

        Raises:
            EchoError: it is wrong.
        """
        place = Place(self.name, number, 1)
        if len(line) > LONGEST_LINE:
            raise EchoError(f"{place}: the line is longer than {LONGEST_LINE:,} characters; put its values into a file")
        line = _COMMENT.sub("", line).rstrip()
        if "\0" in line:
            raise EchoError(f"{place._replace(column=line.index(chr(0)) + 1)}: a NUL character; save the file as UTF-8")
        if not line.strip():
            return
        if found := _LIST.match(line):
            self._define(self.definitions.lists, found, "{}", place)
            name = found[1].strip()
            self.definitions.lists[name] = self._values(name, line[found.end() :], _after(place, found.end()))
        elif found := _RULE.match(line):
            self._define(self.definitions.rules, found, "<>", place)
            self.definitions.rules[found[1].strip()] = _template(line, found.end(), place)[1]
        elif found := _SETTING.fullmatch(line):
            self._set(found[1], found[2].strip(), _after(place, found.start(1)), _after(place, found.start(2)))
        else:
            text, node = _template(line, 0, place)
            if len(self.templates) == MOST_TEMPLATES:
                raise EchoError(f"{place}: more than {MOST_TEMPLATES:,} sentences; make templates of them, with lists")
            self.templates.append(Template(place._replace(column=len(line) - len(line.lstrip()) + 1), text, node))

    def _define(self, known: dict, found: re.Match[str], brackets: str, place: Place) -> None:
        name = found[1].strip()
        shown = f"{brackets[0]}{name}{brackets[1]}"
        where = _after(place, found.start(1))
        if not name or set(name) & set(":,*\\@|;()[]"):
            raise EchoError(f"{where}: expected a name such as {brackets[0]}room{brackets[1]}, got {shown}")
        if name in known:
            raise EchoError(f"{where}: {shown} is defined twice; give one of them another name")

    def _set(self, name: str, value: str, at_name: Place, place: Place) -> None:
        if name not in SETTINGS:
            close = difflib.get_close_matches(name.lower(), SETTINGS, n=1)
            mend = f"{close[0]} =" if close else f"{{{name}}} = for a list, <{name}> = for a rule"
            raise EchoError(f"{at_name}: {name} = means nothing; did you mean {mend}, or \\= for a sign of a sentence?")
        if name in self.settings and self.settings[name] != value:
            raise EchoError(f"{at_name}: {name} is {self.settings[name]} in a line before; leave one of them")
        self.settings[name] = value
        choices = list(NUMBERS if name == "language" else _NUMBERS)
        if value not in choices:
            raise EchoError(f"{place}: {name}: expected one of {', '.join(choices)}, got {value!r}")
        if name == "language":
            self.definitions.language = value
        else:
            self.definitions.digits, self.definitions.words = _NUMBERS[value]

    def finish(self) -> None:
        """Make the lists of numbers, now that the language is known, on whatever line it stands.

        Raises:
            EchoError: it is not, or there are very many numbers.
        """
        for name, (numbers, place) in self.ranges.items():
            self.definitions.lists[name] = self.definitions.numbers(numbers, place)

    def _values(self, name: str, text: str, place: Place) -> Values:
        stripped = text.strip()
        place = _after(place, len(text) - len(text.lstrip()))
        if stripped.startswith("@") and self.folder is None:
            raise EchoError(f"{place}: no file can be read here; write the values in the line, between |")
        if stripped == "@":
            raise EchoError(f"{place}: expected the name of a file behind @, such as @rooms.txt, got nothing")
        if stripped.startswith("@") and self.folder is not None:
            return read_values(self.folder / stripped[1:].strip(), place)
        numbers = parse_range(stripped, place)
        if numbers:
            self.ranges[name] = numbers, place
            return Values(())
        if not stripped:
            return Values(())
        if (beside := _BESIDE_VALUES.search(stripped)) and "|" in stripped:
            what = "a file" if beside[1] == "@" else "a range"
            mend = "make a list of it" if beside[1] == "@" else "write {1..9} for 1..9"
            raise EchoError(f"{_after(place, beside.start(1))}: {what} stands alone in a list; {mend}")
        node = parse_template(stripped, place)
        items = node.items if isinstance(node, Choice) else (node,)
        if any(isinstance(item, Sequence) and not item.items for item in items):
            raise EchoError(f"{place}: a value of {{{name}}} is empty; a list has no | at an end and no two together")
        return Values(tuple(value_of(_trimmed(item)) for item in items))


def _template(line: str, start: int, place: Place) -> tuple[str, Node]:
    """The text of a template, and its tree; it stands in a line from a character on."""
    text = line[start:].strip()
    start = line.index(text, start) if text else len(line)
    return text, parse_template(text, _after(place, start))


def _after(place: Place, characters: int) -> Place:
    return place._replace(column=place.column + characters)


def _trimmed(node: Node) -> Node:
    """A template without white space at its ends."""
    if isinstance(node, Literal):
        return Literal(node.text.strip())
    if not isinstance(node, Sequence) or not node.items:
        return node
    items = [item for item in node.items if not (isinstance(item, Literal) and item.text.isspace())]
    if len(items) == 1:
        return items[0]
    return node
