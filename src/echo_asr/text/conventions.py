"""What a transcriber's marks do to a text: brackets around uncertain words, fillers, false starts, events, breaks.

A convention is a mark and what becomes of it. A mark is written as it looks in the texts:

| mark | stands for | example |
| --- | --- | --- |
| `[...]` | what one kind of bracket encloses, brackets included | `[cough]` |
| `[]` | brackets that enclose nothing, or dots | `[...]`, `( )` |
| `(0.0)` | brackets around any number | `(1.5)` |
| `word-`, `&word` | a word that ends, or begins, with the sign | `ko-`, `&uh` |
| anything else | that very word, capital or not, or that sign within a text | `xxx`, `***`, `|`, `(?)` |

| action | effect |
| --- | --- |
| `keep` | the signs go, what they enclose or mark stays |
| `drop` | the signs go, and what they enclose or mark; the two sides of a sign within a word become one |
| `event` | one symbol stands for it, which the model learns to write: a cough, laughter, another language |
| `break` | a space: the sign is no word and no part of one |
| `exclude` | the utterance is left out of training and evaluation, and counted |

`echo_asr.text.marks` finds the marks of texts and proposes conventions.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, get_args

from echo_asr.text.tones import CHAO_LETTERS

Action = Literal["keep", "drop", "event", "break", "exclude"]
ACTIONS: tuple[Action, ...] = get_args(Action)
EVENT = "\u25c6"  # what the model writes for an event: a symbol, which normalisers leave in place
DOTS = "..."
WORD = "word"
BRACKETS = "()[]{}<>\u27e8\u27e9\u27e6\u27e7\u2039\u203a\uff08\uff09\uff3b\uff3d\u3010\u3011\uff5b\uff5d"
_OPENING, _CLOSING = f"[{re.escape(BRACKETS[::2])}]", f"[{re.escape(BRACKETS[1::2])}]"
_NUMBER = r"\s*\d{0,2}(?:[.,]\d{1,3}|(?<=\d))\s?(?:s|sec|ms)?\s*"  # of seconds: 0.5, .3, 2s
_BRACKETED_NUMBER = re.compile(f"({_OPENING}+)\\d[\\d.,]*({_CLOSING}+)")
_NOTHING = r"\s*(?:\.{3,}|\u2026)?\s*"
_PART = rf"\w\u0300-\u036f{CHAO_LETTERS}"  # of a word
_BEFORE = rf"(?<![{_PART}])(?<![{_PART}]['\u2019-])"
_AFTER = rf"(?![{_PART}]|['\u2019-][{_PART}])"
_CLOSES = r"[.,;:!?\u2026\"'\u201d\u2019\u00bb\])}>]*(?!\S)"  # punctuation behind a word, and its end


@dataclass(frozen=True)
class Conventions:
    """The conventions of a corpus.

    Args:
        actions: what becomes of each mark.

    Raises:
        ValueError: an unknown action, or a mark that means nothing.
    """

    actions: Mapping[str, Action] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for mark, action in self.actions.items():
            if action not in ACTIONS:
                raise ValueError(f"convention {mark!r}: expected one of {', '.join(ACTIONS)}; got {action!r}")
            if not mark.strip() or mark in (DOTS, WORD) or mark.strip() != mark:
                raise ValueError(f"convention {mark!r}: name a mark, such as [...], word-, xxx or |")

    def apply(self, text: str) -> Transcribed:
        """A text as the conventions leave it, and how often each mark was met."""
        counts: Counter[str] = Counter()
        excluded = False
        for mark in sorted(self.actions, key=_order):
            action = self.actions[mark]
            text, counts[mark] = _replaced_all(text, mark, action)
            excluded = excluded or (action == "exclude" and counts[mark] > 0)
        return Transcribed(" ".join(text.split()) if self.actions else text, excluded, counts)

    def __call__(self, text: str) -> str:
        """The text that `apply` leaves."""
        return self.apply(text).text

    def __bool__(self) -> bool:
        return bool(self.actions)


@dataclass(frozen=True)
class Transcribed:
    """A text after conventions were applied.

    Attributes:
        text: what is left.
        excluded: whether the utterance is to be left out.
        counts: occurrences of each mark.
    """

    text: str
    excluded: bool
    counts: Counter[str]


def enclosing(mark: str) -> tuple[str, str] | None:
    """The two signs of a mark such as `[...]`; None for all others."""
    opening, dots, closing = mark.partition(DOTS)
    return (opening, closing) if dots and opening and closing and not opening[0].isalnum() else None


def bracketed_number(text: str) -> bool:
    """Whether a text is brackets around a number, as of a pause."""
    return re.fullmatch(f"{_OPENING}+{_NUMBER}{_CLOSING}+", text) is not None


def prefix(mark: str) -> str:
    """The sign of a mark such as `&word`; empty for all others."""
    return mark[: -len(WORD)] if mark.endswith(WORD) and not mark[-len(WORD) - 1].isalnum() else ""


def suffix(mark: str) -> str:
    """The sign of a mark such as `word-`; empty for all others."""
    return mark[len(WORD) :] if mark.startswith(WORD) and not mark[len(WORD)].isalnum() else ""


def _order(mark: str) -> tuple[int, int]:
    """Where a mark comes among others: what is written out before brackets of any content, so that `(xxx)` is not taken
    for `(...)`, words before the signs within them, and longer marks before shorter ones."""
    if enclosing(mark):
        return 1, -len(mark)
    if prefix(mark) or suffix(mark):
        return 2, -len(mark)
    return (0 if len(mark) > 1 else 3), -len(mark)


@cache
def _pattern(mark: str) -> re.Pattern[str]:
    """Where a mark is met; its group `kept` is what it encloses or marks."""
    if pair := enclosing(mark):
        opening, closing = map(re.escape, pair)
        inner = f"(?P<kept>[^{re.escape(''.join(pair))}]+)"
        if pair[0] == pair[1]:  # such a sign stands at both ends of words: *so*, and not 2*3*4
            return re.compile(rf"(?<!\S){opening}(?=\S){inner}(?<=\S){closing}(?={_CLOSES})")
        return re.compile(f"{opening}{inner}{closing}")
    if sign := suffix(mark):
        word = r"(?P<kept>(?=\S*[^\W_])\S+?)"
        return re.compile(rf"(?<!\S){word}(?:{re.escape(sign)})+(?={_CLOSES})")
    if sign := prefix(mark):
        return re.compile(rf"(?<!\S)(?:{re.escape(sign)})+(?P<kept>[^\W_]\S*)")
    if number := _BRACKETED_NUMBER.fullmatch(mark):
        return re.compile(f"{re.escape(number[1])}(?P<kept>){_NUMBER}{re.escape(number[2])}")
    if len(mark) == 2 and mark in {BRACKETS[n : n + 2] for n in range(0, len(BRACKETS), 2)}:
        return re.compile(f"{re.escape(mark[0])}(?P<kept>){_NOTHING}{re.escape(mark[1])}")
    if len(set(mark)) == 1 and not mark.isalnum():  # a run of a sign, however long
        return re.compile(f"(?P<kept>{re.escape(mark[0])}{{{len(mark)},}})")
    before, after = (_BEFORE if _is_part(mark[0]) else ""), (_AFTER if _is_part(mark[-1]) else "")
    return re.compile(f"{before}(?P<kept>{re.escape(mark)}){after}", re.IGNORECASE)


def _is_part(character: str) -> bool:
    return re.fullmatch(f"[{_PART}]", character) is not None


def _replaced_all(text: str, mark: str, action: Action) -> tuple[str, int]:
    """A text after the action on each place of a mark, and how many these are."""
    pattern, total = _pattern(mark), 0
    joins = not (enclosing(mark) or prefix(mark) or suffix(mark)) and not any(map(_joins_none, mark))

    def replace(found: re.Match[str]) -> str:
        if action == "keep":  # a sign that encloses nothing is no word
            return found["kept"] if any(map(str.isalnum, found["kept"])) else " "
        if action == "drop" and joins:
            return ""
        return f" {EVENT} " if action == "event" else " "

    while True:
        text, count = pattern.subn(replace, text)
        total += count
        if not count or not enclosing(mark):  # brackets stand in brackets
            return text, total


def _joins_none(character: str) -> bool:
    return character.isalnum() or character in BRACKETS or unicodedata.category(character).startswith("M")
