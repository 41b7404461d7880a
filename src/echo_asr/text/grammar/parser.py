"""Reads sentence templates: `turn [on|off] (the|a) light[s] in {room}`.

The syntax is that of hassil (Home Assistant's templates), with written forms after a colon, as in Rhasspy, and
repetitions after an asterisk.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NoReturn

from echo_asr.errors import EchoError
from echo_asr.text.grammar.nodes import (
    Choice,
    ListReference,
    Literal,
    Node,
    Permutation,
    Place,
    Range,
    Repetition,
    RuleReference,
    Sequence,
    Written,
)

CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}
SIGNS = "()[]{}<>|;"
ESCAPE = "\\"
DEEPEST = 40  # brackets within brackets
MOST_ALTERNATIVES = 100_000
MOST_PERMUTED = 8  # parts of a permutation: the automaton has a state for each subset of them
MOST_REPEATED = 100
LARGEST_NUMBER = 1_000_000_000
_GROUPED = 8  # items of a sequence; longer ones become a tree, so that none is deep
_SPECIAL = re.compile(r"[()\[\]{}<>|;:\\]")  # a text without any is said as it stands
_REPEATED = re.compile(r"\*(\d+)(?:(?:-|\.\.)(\d+))?")
_BARE_REPEAT = re.compile(r"[^\s()\[\]{}<>|;:\\]\*\d")
_RANGE = re.compile(r"(\d+)(?:-|\.\.)(\d+)(?:\s*,\s*(\d+))?")
_NAME = re.compile(r"[^\s()\[\]{}<>|;:,@*\\]+(?: [^\s()\[\]{}<>|;:,@*\\]+)*")


def parse_template(text: str, place: Place) -> Node:
    """The tree of a template.

    Args:
        place: of its first character.

    Raises:
        EchoError: it is no template; the column is named, and what was expected.
    """
    if (found := _BARE_REPEAT.search(text)) is not None:
        where = place._replace(column=place.column + found.end() - 2)
        raise EchoError(f"{where}: what is repeated stands in brackets, as in (very)*2; write \\* for a sign")
    return _Parser(text, place).parse() if _SPECIAL.search(text) else Literal(text)


def parse_range(text: str, place: Place) -> Range | None:
    """The numbers of `1..100`, `1-100` or `0..100,5`; None for another text.

    Raises:
        EchoError: there are none, or very large ones.
    """
    found = _RANGE.fullmatch(text.strip())
    if not found:
        return None
    if any(len(number) > 10 for number in found.groups("")):
        raise EchoError(f"{place}: expected numbers up to {LARGEST_NUMBER}, got {text.strip()}")
    low, high, step = int(found[1]), int(found[2]), int(found[3] or 1)
    if low > high or not step or high > LARGEST_NUMBER:
        what = "a range from the smaller to the larger number, with a step of 1 or more"
        raise EchoError(f"{place}: expected {what}, got {text.strip()}")
    return Range(low, high, step)


class _Parser:
    def __init__(self, text: str, place: Place) -> None:
        self.text, self.place = text, place
        self.at = 0

    def parse(self) -> Node:
        node = self._group("", 0, 0)
        if self.at < len(self.text):
            self._fail(
                f"expected nothing that closes, since nothing is open, got {self.text[self.at]!r}; write \\ before it"
            )
        return node

    def _fail(self, what: str, at: int | None = None) -> NoReturn:
        raise EchoError(f"{self._place(self.at if at is None else at)}: {what}")

    def _place(self, at: int) -> Place:
        return self.place._replace(column=self.place.column + at)

    def _group(self, closing: str, opened: int, depth: int) -> Node:
        """Everything up to the closing bracket, which is consumed, or to the end of the text."""
        if depth > DEEPEST:
            self._fail(f"brackets stand more than {DEEPEST} deep; make a rule of the inner ones")
        parts: list[Node] = []
        separator = ""
        while True:
            parts.append(self._sequence(depth))
            sign = self.text[self.at : self.at + 1]
            if sign not in ("|", ";") or not sign:
                break
            if separator and sign != separator:
                self._fail(f"expected {separator!r} or the end of the group, got {sign!r}; put one kind in brackets")
            separator = sign
            self.at += 1
            if len(parts) >= MOST_ALTERNATIVES:
                self._fail(f"more than {MOST_ALTERNATIVES} alternatives; make a list of them")
        if closing:
            if sign != closing:
                got = repr(sign) if sign else "the end of the line"
                what = f"expected {closing!r} for the {CLOSING_NAMES[closing]} in column {self._place(opened).column}"
                self._fail(f"{what}, got {got}")
            self.at += 1
        if separator == ";":
            if len(parts) > MOST_PERMUTED:
                what = f"a permutation has at most {MOST_PERMUTED} parts, this one {len(parts)}"
                self._fail(f"{what}; write the orders that are said as alternatives", opened)
            return Permutation(tuple(parts))
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self, depth: int) -> Node:
        items: list[Node] = []
        letters: list[str] = []

        def finish_text() -> None:
            if letters:
                if unicodedata.combining(letters[0]) and self.at > len(letters):
                    what = f"a mark (U+{ord(letters[0]):04X}) stands apart from its letter"
                    self._fail(f"{what}; write alternatives with the letter in each", self.at - len(letters))
                items.append(Literal("".join(letters)))
                letters.clear()

        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign in "|;)]}>":
                break
            if sign in CLOSING:
                finish_text()
                items.append(self._bracket(sign, depth))
            elif sign == ":" and (letters or items) and self._means_written(letters):
                self._written(items, letters)
            else:
                letters.append(self._character())
        finish_text()
        return _sequence(items)

    def _means_written(self, letters: list[str]) -> bool:
        """Whether a colon is followed by a written form: one behind white space, and that of 10:30, are text."""
        word = "".join(letters).split(" ")[-1]
        time = word.isdecimal() and self.text[self.at + 1 : self.at + 2].isdecimal()
        return not self.text[self.at - 1].isspace() and not time

    def _character(self) -> str:
        sign = self.text[self.at]
        if sign == ESCAPE:
            self.at += 1
            if self.at == len(self.text):
                self._fail("expected a character after \\, got the end of the line", self.at - 1)
            sign = self.text[self.at]
        self.at += 1
        return sign

    def _bracket(self, sign: str, depth: int) -> Node:
        opened = self.at
        self.at += 1
        if sign in "([":
            node = self._group(CLOSING[sign], opened, depth + 1)
            if self.at == opened + 2:
                self._fail(f"expected words in {sign}{CLOSING[sign]}, got nothing", opened)
            if sign == "[":
                node = Choice((*(node.items if isinstance(node, Choice) else (node,)), Sequence()))
        else:
            end = self.text.find(CLOSING[sign], self.at)
            if end < 0:
                self._fail(f"expected {CLOSING[sign]!r} after the name, got the end of the line", opened)
            name = self.text[self.at : end].strip()
            self.at = end + 1
            node = self._reference(sign, name, opened)
        return self._repeated(node)

    def _reference(self, sign: str, name: str, opened: int) -> Node:
        place = self._place(opened)
        if sign == "<":
            if not _NAME.fullmatch(name):
                self._fail(f"expected the name of a rule, such as <turn_on>, got <{name}>", opened)
            return RuleReference(name, place)
        list_name, colon, slot = name.partition(":")
        list_name, slot = list_name.strip().removeprefix("@"), slot.strip().removeprefix("@")
        numbers = parse_range(list_name, place)
        if (numbers is None and not _NAME.fullmatch(list_name)) or (colon and not _NAME.fullmatch(slot)):
            known = "the name of a list, such as {room} or {room:slot}, or a range, such as {1..100}"
            self._fail(f"expected {known}, got {{{name}}}", opened)
        return ListReference(list_name, slot or ("number" if numbers else list_name), place, numbers)

    def _repeated(self, node: Node) -> Node:
        found = _REPEATED.match(self.text, self.at)
        if not found:
            return node
        low, high = (int(number) if len(number) < 10 else 10**9 for number in (found[1], found[2] or found[1]))
        if low > high or not high or high > MOST_REPEATED:
            self._fail(f"expected a repetition such as *4 or *2-4, up to *{MOST_REPEATED}, got {found[0]}")
        self.at = found.end()
        return Repetition(node, low, high)

    def _written(self, items: list[Node], letters: list[str]) -> None:
        """What stands after a colon is the written form of the word, or the bracket, before it."""
        self.at += 1
        text = self._written_text()
        if letters:
            cut = max((n for n, letter in enumerate(letters) if letter.isspace()), default=-1) + 1
            before, word = "".join(letters[:cut]), "".join(letters[cut:])
            letters.clear()
            if before:
                items.append(Literal(before))
            items.append(Written(Literal(word), text))
        else:
            items.append(Written(items.pop(), text))

    def _written_text(self) -> str:
        """A word, or words in parentheses, or nothing."""
        letters: list[str] = []
        opened = self.at
        grouped = self.text[self.at : self.at + 1] == "("
        self.at += grouped
        while self.at < len(self.text):
            sign = self.text[self.at]
            if grouped and sign == ")":
                self.at += 1
                return " ".join("".join(letters).split())
            if not grouped and (sign.isspace() or sign in SIGNS):
                break
            if grouped and sign in SIGNS:
                self._fail(f"expected the written form alone, got {sign!r}; write \\ before it")
            letters.append(self._character())
        if grouped:
            self._fail("expected ')' after the written form, got the end of the line", opened)
        return "".join(letters)


CLOSING_NAMES = {")": "'('", "]": "'['"}


def _sequence(items: list[Node]) -> Node:
    if len(items) == 1:
        return items[0]
    while len(items) > _GROUPED:
        items = [_sequence(items[n : n + _GROUPED]) for n in range(0, len(items), _GROUPED)]
    return Sequence(tuple(items))
