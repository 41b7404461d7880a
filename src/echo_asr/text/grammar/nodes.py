"""The parts of a sentence template, as a tree.

Text keeps its white space, since that decides what is one word: `light[s]` gives `light` and `lights`, `turn [on]`
two words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple


class Place(NamedTuple):
    """Where in a file something stands, from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, column {self.column}"


@dataclass(frozen=True, eq=False)
class Literal:
    """Text that is spoken as it stands, not normalised."""

    text: str


@dataclass(frozen=True, eq=False)
class Sequence:
    """One part after the other; none: nothing is spoken."""

    items: tuple[Node, ...] = ()


@dataclass(frozen=True, eq=False)
class Choice:
    """One of several parts."""

    items: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Permutation:
    """All parts, in any order, with spaces between."""

    items: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Repetition:
    """A part `low` to `high` times, with spaces between."""

    item: Node
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class Written:
    """A part that is written otherwise than it is spoken."""

    item: Node
    text: str


@dataclass(frozen=True, eq=False)
class Range:
    """Numbers from `low` to `high`, both included, each `step` above the one before."""

    low: int
    high: int
    step: int = 1


@dataclass(frozen=True, eq=False)
class ListReference:
    """A value of a list; it fills a slot.

    Attributes:
        name: of the list; of a range, its text.
        slot: name of the slot.
        range: the numbers that the list has, where it is written in the template.
    """

    name: str
    slot: str
    place: Place
    range: Range | None = None


@dataclass(frozen=True, eq=False)
class RuleReference:
    """What stands in a rule."""

    name: str
    place: Place


Node = Literal | Sequence | Choice | Permutation | Repetition | Written | ListReference | RuleReference


def children(node: Node) -> tuple[Node, ...]:
    """The parts that a part is made of."""
    if isinstance(node, Sequence | Choice | Permutation):
        return node.items
    return (node.item,) if isinstance(node, Repetition | Written) else ()


def with_names(node: Node, names: Mapping[str, str]) -> Node:
    """A template whose lists and rules have other names.

    Args:
        names: the new names, of `lists.NAME` and `expansion_rules.NAME`.
    """
    match node:
        case ListReference():
            return replace(node, name=names.get(f"lists.{node.name}", node.name))
        case RuleReference():
            return replace(node, name=names.get(f"expansion_rules.{node.name}", node.name))
        case Sequence() | Choice() | Permutation():
            return replace(node, items=tuple(with_names(item, names) for item in node.items))
        case Repetition() | Written():
            return replace(node, item=with_names(node.item, names))
    return node
