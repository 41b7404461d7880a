"""Grammars in the YAML of hassil (Home Assistant): intents with sentences, lists and expansion rules.

What a sentence needs of the context in which it is said (`requires_context`, `excludes_context`) and words that may be
skipped (`skip_words`) are not known to a recogniser, and are left aside.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from echo_asr.config import PlacedText, one_line, parse_placed_yaml
from echo_asr.errors import EchoError
from echo_asr.text.grammar.definitions import Definitions, Value, Values, value_of
from echo_asr.text.grammar.grammar import Grammar, Template
from echo_asr.text.grammar.nodes import Place, Range, with_names
from echo_asr.text.grammar.parser import parse_template
from echo_asr.text.numbers import NUMBERS
from echo_asr.text.textfile import read_text_file

MOST_VALUES = 500_000  # of a file
TOP = ("language", "settings", "intents", "lists", "expansion_rules", "skip_words", "responses")
BLOCK = ("sentences", "slots", "lists", "expansion_rules", "response", "metadata", "required_keywords",
         "requires_context", "excludes_context")  # fmt: skip


def read_hassil(path: Path) -> Grammar:
    """The grammar of a file of hassil.

    Numbers of ranges are spoken in words, where the file's `language` is one of `NUMBERS`, else as digits.

    Raises:
        EchoError: it cannot be read, or has another form: the line and the column are named.
    """
    try:
        data = parse_placed_yaml(read_text_file(path).data.decode("utf-8", "replace"), MOST_VALUES)
    except EchoError:
        raise
    except Exception as error:  # the parser's own, of many kinds
        raise EchoError(f"{path}: not valid YAML ({one_line(error)})") from None
    return _Reader(path).read(data)


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.definitions = Definitions()
        self.templates: list[Template] = []

    def read(self, data: Any) -> Grammar:
        """The grammar of the file's data."""
        top = self._mapping(data, "the file", "intents, lists and expansion_rules")
        self._known(top, "the file", TOP)
        language = str(top.get("language", "")).replace("_", "-").split("-")[0]
        self.definitions.language = language if language in NUMBERS else ""
        self.definitions.digits, self.definitions.words = language not in NUMBERS, language in NUMBERS
        self._define(top, "")
        for intent, body in self._items(top, "intents"):
            blocks = self._mapping(body, f"intents.{intent}", "data").get("data", [])
            for number, block in enumerate(self._list(blocks, f"intents.{intent}.data")):
                self._read_block(str(intent), block, number)
        if not self.templates:
            raise EchoError(f"{self.path}: there is no sentence in it; write intents: NAME: data: - sentences: []")
        return Grammar.made(str(self.path), self.templates, self.definitions)

    def _read_block(self, intent: str, block: Any, number: int) -> None:
        """Sentences of an intent, with lists and rules of their own."""
        where = f"intents.{intent}.data.{number}"
        own = self._mapping(block, where, "sentences")
        self._known(own, where, BLOCK)
        names = self._define(own, f" of {intent} {number + 1}")
        slots = {
            str(name): str(value) for name, value in self._items(own, "slots") if not isinstance(value, list | dict)
        }
        for text in self._list(own.get("sentences", []), f"{where}.sentences"):
            place, text = self._placed(text, f"{where}.sentences")
            node = with_names(parse_template(text, place), names)
            self.templates.append(Template(place, text.strip(), node, intent, slots))

    def _define(self, section: Mapping[str, Any], suffix: str) -> dict[str, str]:
        """Add the lists and rules of a section; returns the names under which those of a block are known."""
        names = {}
        for kind, known in (("lists", self.definitions.lists), ("expansion_rules", self.definitions.rules)):
            for name, _ in self._items(section, kind):
                names[f"{kind}.{name}"] = f"{name}{suffix}"
                known.pop(f"{name}{suffix}", None)
        own = names if suffix else {}
        for name, text in self._items(section, "expansion_rules"):
            place, text = self._placed(text, f"expansion_rules.{name}")
            self.definitions.rules[f"{name}{suffix}"] = with_names(parse_template(text, place), own)
        for name, body in self._items(section, "lists"):
            self.definitions.lists[f"{name}{suffix}"] = self._values(str(name), body, own)
        return own

    def _values(self, name: str, body: Any, names: dict[str, str]) -> Values:
        where = f"lists.{name}"
        own = self._mapping(body, where, "values or range")
        if own.get("wildcard"):
            what = "anything may be said for a wildcard, which is no grammar"
            raise EchoError(f"{self.path}, {where}: {what}; write its values")
        if "range" in own:
            return self._range(self._mapping(own["range"], f"{where}.range", "from and to"), where)
        values = []
        for value in self._list(own.get("values", []), f"{where}.values"):
            written = None
            if isinstance(value, dict):
                if "in" not in value:
                    raise EchoError(
                        f"{self.path}, {where}: expected in and out of a value, got {', '.join(map(str, value))}"
                    )
                written = None if value.get("out") is None else str(value["out"])
                value = value["in"]
            place, text = self._placed(value, f"{where}.values")
            values.append(value_of(with_names(parse_template(text.strip(), place), names), written))
        return Values(tuple(values))

    def _range(self, own: Mapping[str, Any], where: str) -> Values:
        place = Place(str(self.path), 1, 1)
        found = [own.get("from", 0), own.get("to"), own.get("step", 1)]
        if not all(isinstance(number, int) and not isinstance(number, bool) for number in found) or own.get(
            "fractions"
        ):
            raise EchoError(f"{self.path}, {where}.range: expected from, to and step as whole numbers, got {found}")
        low, high, step = found
        if not 0 <= low <= high or step < 1:
            raise EchoError(
                f"{self.path}, {where}.range: expected 0 <= from <= to and a step of 1 or more, got {found}"
            )
        numbers = self.definitions.numbers(Range(low, high, step), place)
        factor = own.get("multiplier", 1)
        if factor == 1:
            return numbers
        return Values(tuple(Value(spoken, f"{int(str(written)) * factor:g}") for spoken, written in numbers.values))

    def _known(self, own: Mapping[str, Any], where: str, known: tuple[str, ...]) -> None:
        """Refuse a name that is nearly one of those that are read; others are for other programs."""
        for name in own:
            close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.75)
            if name not in known and close:
                raise EchoError(f"{self.path}, {where}: {name} is not read; did you mean {close[0]}?")

    def _mapping(self, data: Any, where: str, of: str) -> Mapping[str, Any]:
        if isinstance(data, dict):
            return data
        raise EchoError(f"{self.path}, {where}: expected a mapping with {of}, got {_kind(data)}")

    def _items(self, section: Mapping[str, Any], name: str) -> Iterator[tuple[Any, Any]]:
        found = section.get(name)
        return iter(() if found is None else self._mapping(found, name, "names").items())

    def _list(self, data: Any, where: str) -> list[Any]:
        if isinstance(data, list):
            return data
        raise EchoError(f"{self.path}, {where}: expected a list, got {_kind(data)}")

    def _placed(self, text: Any, where: str) -> tuple[Place, str]:
        if isinstance(text, PlacedText):
            return Place(str(self.path), text.line, text.column), text
        if isinstance(text, int | float) and not isinstance(text, bool):
            return Place(str(self.path), 1, 1), str(text)
        raise EchoError(f"{self.path}, {where}: expected a text, got {_kind(text)}; put it in quotes")


def _kind(data: Any) -> str:
    """What some data is, in plain words."""
    if data is None:
        return "nothing"
    if isinstance(data, bool):
        return str(data).lower()
    kinds = {list: "a list", dict: "a mapping", str: "a text", PlacedText: "a text", int: "a number", float: "a number"}
    return kinds.get(type(data), type(data).__name__)
