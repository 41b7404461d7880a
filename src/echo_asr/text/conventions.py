"""What a transcriber's marks do to a text: brackets around uncertain words, fillers, false starts, events, breaks.

A convention is a mark and what becomes of it. A mark is written as it looks in the texts:

| mark | stands for | example |
| --- | --- | --- |
| `[...]` | what one kind of bracket encloses, brackets included | `[cough]` |
| `word-`, `-word` | a word that ends, or begins, with the sign | `ko-` |
| anything else | that very word, or that sign within a text | `xxx`, `***`, `|`, `(?)` |

| action | effect |
| --- | --- |
| `keep` | the signs go, what they enclose or mark stays |
| `drop` | the signs go, and what they enclose or mark |
| `event` | one symbol stands for it, which the model learns to write: a cough, laughter, another language |
| `break` | a space: the sign is no word and no part of one |
| `exclude` | the utterance is left out of training and evaluation, and counted |
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

Action = Literal["keep", "drop", "event", "break", "exclude"]
ACTIONS: tuple[Action, ...] = get_args(Action)
EVENT = "\u25c6"  # what the model writes for an event: a symbol, which normalisers leave in place
DOTS = "..."
EXAMPLES = 3  # of each mark found
PAIRS = (("[", "]"), ("(", ")"), ("{", "}"), ("<", ">"), ("\u27e8", "\u27e9"), ("\u27e6", "\u27e7"), ("/", "/"),
         ("((", "))"), ("[[", "]]"), ("\u2039", "\u203a"), ("*", "*"), ("=", "="))  # fmt: skip
UNCLEAR = re.compile(r"[(\[<{]*(?:x{2,}|X{2,}|y{3}|w{3}|\?+|\*{2,}|#{2,}|_{2,})[)\]>}]*")
EVENTS = re.compile(
    r"\W*(?:cough\w*|laugh\w*|sigh\w*|breath\w*|noise\w*|click\w*|sneez\w*|clap\w*|music|applause|silence|pause|rires?"
    r"|toux|ris[ao]s?|tos|lachen|husten|inaudible|unintelligible|unclear|incomprehensible)\W*",
    re.IGNORECASE,
)


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
            if not mark.strip() or mark in (DOTS, "word") or mark.strip() != mark:
                raise ValueError(f"convention {mark!r}: name a mark, such as [...], word-, xxx or |")

    def apply(self, text: str) -> Transcribed:
        """A text as the conventions leave it, and how often each mark was met."""
        counts: Counter[str] = Counter()
        excluded = False
        # Longer marks come first, so that ((...)) is not taken for (...), nor (xxx) for (...) where both are named.
        for mark in sorted(self.actions, key=lambda one: (DOTS in one, -len(one))):
            action = self.actions[mark]
            text, count = _pattern(mark).subn(lambda found, action=action: _replaced(found, action), text)  # type: ignore[misc]
            counts[mark] += count
            excluded = excluded or (action == "exclude" and count > 0)
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


def _pattern(mark: str) -> re.Pattern[str]:
    """Where a mark is met; its group `kept` is what it encloses or marks."""
    if DOTS in mark and mark != DOTS:
        opening, closing = mark.split(DOTS, 1)
        inner = f"[^{re.escape(opening + closing)}]*"
        return re.compile(f"{re.escape(opening)}(?P<kept>{inner}){re.escape(closing)}")
    if mark.startswith("word"):
        return re.compile(rf"(?<!\S)(?P<kept>[^\s{re.escape(mark[4:])}]+){re.escape(mark[4:])}(?!\S)")
    if mark.endswith("word"):
        return re.compile(rf"(?<!\S){re.escape(mark[:-4])}(?P<kept>[^\s{re.escape(mark[:-4])}]+)(?!\S)")
    alone = any(character.isalnum() for character in mark)
    return re.compile(rf"(?<!\w)(?P<kept>{re.escape(mark)})(?!\w)" if alone else f"(?P<kept>{re.escape(mark)})")


def _replaced(found: re.Match[str], action: Action) -> str:
    kept = found["kept"]
    if action == "keep":  # a sign that encloses nothing is no word
        return kept if any(map(str.isalnum, kept)) else " "
    return f" {EVENT} " if action == "event" else " "


@dataclass(frozen=True)
class FoundMark:
    """A mark that texts hold and no convention names.

    Attributes:
        mark: as a convention is written.
        count: how often.
        examples: texts that hold it, a few.
        proposed: the action that is most often meant by it.
        why: in a few words.
    """

    mark: str
    count: int
    examples: tuple[str, ...]
    proposed: Action
    why: str


def find_marks(texts: Iterable[str], conventions: Conventions | None = None) -> list[FoundMark]:
    """Marks of a transcriber in texts, the most frequent first, each with a proposed action.

    What `conventions` name is taken out first, so that only what is left is reported.
    """
    counts: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    meanings: dict[str, Counter[tuple[Action, str]]] = {}
    for text in texts:
        rest = conventions(text) if conventions else text
        for mark, action, why in _marks(rest):
            counts[mark] += 1
            shown = examples.setdefault(mark, [])
            if len(shown) < EXAMPLES and text not in shown:
                shown.append(text)
            meanings.setdefault(mark, Counter())[action, why] += 1
    found = []
    for mark, count in counts.most_common():
        (action, why), _ = meanings[mark].most_common(1)[0]
        found.append(FoundMark(mark, count, tuple(examples[mark]), action, why))
    return found


def _marks(text: str) -> list[tuple[str, Action, str]]:
    """The marks of a text, each with a proposed action and the reason."""
    words = text.split()
    found = [(word, *_unclear(word)) for word in words if UNCLEAR.fullmatch(word)]
    text = " ".join(word for word in words if not UNCLEAR.fullmatch(word))
    for opening, closing in sorted(PAIRS, key=lambda pair: -len(pair[0])):
        pattern = re.compile(f"{re.escape(opening)}([^{re.escape(opening + closing)}]+){re.escape(closing)}")
        for match in pattern.finditer(text):
            inner = match[1].strip()
            whole = match[0]
            if opening == closing and (not inner or not _at_word_edges(text, match)):
                continue
            if UNCLEAR.fullmatch(whole) or UNCLEAR.fullmatch(inner):
                found.append((whole, *_unclear(whole)))
            elif EVENTS.fullmatch(inner):
                found.append((f"{opening}{DOTS}{closing}", "event", "names an event"))
            else:
                found.append((f"{opening}{DOTS}{closing}", "keep", "encloses words"))
        text = pattern.sub(" ", text)
    for word in text.split():
        if any(map(str.isalnum, word)):
            if word.endswith(("-", "\u2013", "\u2014", "~")) and len(word) > 1:
                found.append((f"word{word[-1]}", "drop", "ends like a false start"))
            elif word.startswith(("-", "\u2013", "\u2014", "&", "@", "~")) and len(word) > 1:
                found.append((f"{word[0]}word", "drop", "begins like a false start or a filler"))
            elif word.endswith(("\u2026", "...")):
                found.append((f"word{'...' if word.endswith('...') else word[-1]}", "keep", "trails off"))
            for sign in "|\u2016\u00a6\\":
                if sign in word:
                    found.append((sign, "break", "separates"))
        elif (
            word != EVENT
            and unicodedata.category(word[0])[0] in "PS"
            and word[0] not in ".,;:!?\"'\u2018\u2019\u201c\u201d"
        ):
            found.append((word, "break", "is no word"))
    return found


def _unclear(mark: str) -> tuple[Action, str]:
    if set(mark) <= set("()[]?"):
        return "break", "marks doubt"
    return "exclude", "stands for what was not understood"


def _at_word_edges(text: str, match: re.Match[str]) -> bool:
    before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
    return not before.strip() and (not after.strip() or after in ".,;:!?")


def as_setting(found: Sequence[FoundMark]) -> str:
    """Proposed conventions as they stand in a configuration, ready to paste."""
    lines = [f"    {_quoted(one.mark)}: {one.proposed} # {one.count} times; {one.why}" for one in found]
    return "\n".join(["text:", "  conventions:", *lines]) if lines else ""


def _quoted(mark: str) -> str:
    return "'" + mark.replace("'", "''") + "'"
