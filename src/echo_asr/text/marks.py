"""Finds the marks of transcribers in texts, and proposes conventions for them (`echo_asr.text.conventions`).

Punctuation of sentences is no mark, nor are hyphens and apostrophes within words, or dashes between them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from echo_asr.text.conventions import (
    BRACKETS,
    DOTS,
    EVENT,
    Action,
    Conventions,
    bracketed_number,
    enclosing,
    prefix,
    suffix,
)
from echo_asr.text.mark_signs import (
    ANY,
    AROUND,
    CONJUNCTIONS,
    ELLIPSIS,
    EVENTS,
    FILLER,
    KIND_OF_WORD,
    LONGEST_FIRST,
    NOTES,
    PAUSE,
    PREFIXES,
    PUNCTUATION,
    SIGNS,
    SPOKEN,
    SUFFIXES,
    UNCLEAR,
)
from echo_asr.text.normalize import Normalizer
from echo_asr.text.tones import LENGTH, VOWELS

EXAMPLES = 3  # of each mark found
COMMON = 0.1  # share of the words from which a sign at their ends may be a letter, or a tone
FEWEST = 20  # words, below which no share is taken


@dataclass(frozen=True)
class FoundMark:
    """A mark that texts hold and no convention names.

    Attributes:
        mark: as a convention is written.
        count: how often.
        examples: texts that hold it, a few.
        proposed: the action that is most often meant by it.
        why: in a few words.
        letter: whether it is so common at the ends of words that it may be a letter, or a tone.
    """

    mark: str
    count: int
    examples: tuple[str, ...]
    proposed: Action
    why: str
    letter: bool = False

    def __str__(self) -> str:
        shown = "; ".join(repr(_excerpt(text, self.mark)) for text in self.examples)
        advice = f"proposed: {self.proposed}"
        if self.letter:
            sign = prefix(self.mark) or suffix(self.mark) or self.mark
            mend = f"if {sign} is a letter, name it in text.letters, if a tone, in text.tone_marks"
            advice = f"{mend}; else {self.proposed}"
        return f"{self.mark} {_times(self.count)} ({shown}): {self.why}; {advice}"


class _Mark(NamedTuple):
    """One place of a mark: as it is named, and what is proposed; of brackets also the mark for this content alone."""

    mark: str
    action: Action
    why: str
    alone: str = ""


def find_marks(texts: Iterable[str], conventions: Conventions | None = None, letters: str = "") -> list[FoundMark]:
    """Marks of a transcriber in texts, the most frequent first, each with a proposed action.

    Args:
        conventions: what they name is taken out first, so that only what is left is reported.
        letters: characters that are letters of the orthography, and no marks.
    """
    known = {mark.lower() for mark in conventions.actions} if conventions else set()
    places: dict[str, Counter[_Mark]] = defaultdict(Counter)
    examples: dict[_Mark, list[str]] = {}
    words = total = 0
    for text in texts:
        total += 1
        rest = conventions(text) if conventions else text
        words += rest.count(" ") + 1
        if not ANY.search(rest):
            continue
        for place in _marks(rest, letters):
            if place.mark.lower() in known:
                continue
            places[place.mark][place] += 1
            shown = examples.setdefault(place, [])
            if len(shown) < EXAMPLES and text not in shown:
                shown.append(text)
    found = []
    for mark, counts in places.items():
        # Brackets that enclose events and words alike: each event is a mark, and what is left is kept.
        apart = len({place.action for place in counts}) > 1 and all(place.alone for place in counts)
        groups: dict[str, list[_Mark]] = defaultdict(list)
        for place in counts:
            groups[place.alone if apart and place.action == "event" else mark].append(place)
        for name, among in groups.items():
            count, most = sum(counts[place] for place in among), max(among, key=counts.__getitem__)
            shown = list(dict.fromkeys(text for place in among for text in examples[place]))[:EXAMPLES]
            action, why = most.action, most.why
            if action == "exclude" and total >= FEWEST and count > total / 2:
                action, why = "break", "is in most texts"
            common = words >= FEWEST and count > COMMON * words and bool(prefix(name) or suffix(name))
            found.append(FoundMark(name, count, tuple(shown), action, why, common))
    return sorted(found, key=lambda one: -one.count)


def _marks(text: str, letters: str) -> Iterator[_Mark]:
    """The marks of a text, each with a proposed action and the reason."""
    text = text.replace(EVENT, " ")
    alone = [word for word in text.split() if UNCLEAR.fullmatch(word) and not word[0].isalnum()]
    for word in alone:
        if not (set(word) == {"?"} and text.rstrip().endswith(word) and text.strip() != word):  # "what ???"
            yield _Mark(word[0] * min(3, len(word)), "exclude", "stands for what was not understood")
    text = " ".join(word for word in text.split() if word not in alone)
    only = not any(map(str.isalnum, text))
    for pair in LONGEST_FIRST:
        if set("".join(pair)) & set(letters):
            continue
        while match := _enclosed(pair, text):
            place, left = _bracketed(pair, match[1], only)
            yield place
            text = text[: match.start()] + left + text[match.end() :]
    words = text.split()
    for word, after in zip(words, (*words[1:], ""), strict=False):
        yield from (found for found in _of_word(word, after) if not _signs(found.mark) & set(letters))


def _signs(mark: str) -> set[str]:
    return {character for character in prefix(mark) or suffix(mark) or mark if not character.isalnum()}


def _enclosed(pair: tuple[str, str], text: str) -> re.Match[str] | None:
    opening, closing = map(re.escape, pair)
    if pair[0] == pair[1]:
        inner = f"((?=[^\\W_]|.*[^\\W_])[^{opening}]+)"
        return re.search(rf"(?<!\S){opening}(?=\S){inner}(?<=\S){closing}(?=[.,;:!?]*(?!\S))", text)
    return re.search(f"{opening}([^{re.escape(''.join(pair))}]*){closing}", text)


def _bracketed(pair: tuple[str, str], inner: str, only: bool) -> tuple[_Mark, str]:
    """The mark that a pair of signs and what they enclose is, and what is left of them.

    Args:
        only: whether the text has no word beside it.
    """
    generic, whole, inner = f"{pair[0]}{DOTS}{pair[1]}", f"{pair[0]}{inner}{pair[1]}".lower(), inner.strip()
    plain = inner.strip("_ ")
    if pair in NOTES:
        return _Mark(generic, "drop", "encloses a note"), " "
    if not inner or ELLIPSIS.fullmatch(inner):
        pause = bool(inner) and pair[0] == "("
        why = "is a pause" if pause else "stands for what was not understood"
        return _Mark("".join(pair), "break" if pause else "exclude", why), " "
    if bracketed_number(whole):
        return _Mark(f"{pair[0]}0.0{pair[1]}", "break", "is a pause, in seconds"), " "
    if UNCLEAR.fullmatch(plain) or plain in ("x", "X"):
        return _Mark(whole, "exclude", "stands for what was not understood"), " "
    if PAUSE.fullmatch(plain):
        return _Mark(whole, "break", "names a pause"), " "
    if FILLER.fullmatch(plain):
        return _Mark(whole, "drop", "is a filler"), " "
    if not any(map(str.isalnum, inner)):
        if "?" in inner and only:
            return _Mark(whole, "exclude", "stands for what was not understood"), " "
        why = "marks doubt" if "?" in inner else "is a pause" if set(inner) <= set(".-") else "is no word"
        return _Mark(whole, "break", why), " "
    if inner.startswith("/") and pair[0] in "<[":
        return _Mark(f"{pair[0]}/{DOTS}{pair[1]}", "drop", "closes a stretch of text"), " "
    if EVENTS.fullmatch(inner):
        return _Mark(generic, "event", "names an event", whole), " "
    return _Mark(generic, "keep", "encloses words", whole), inner


def _of_word(word: str, after: str) -> Iterator[_Mark]:
    """The marks of a word, and of the signs at its ends and within it."""
    for bracket in dict.fromkeys(c for c in word if c in BRACKETS):
        if word.strip(AROUND) == bracket or any(map(str.isalnum, word)):
            yield _Mark(bracket, "drop", "has no counterpart")
    if not any(map(str.isalnum, word)):
        yield from _of_sign(word)
        return
    core, dots = word.strip(AROUND), ELLIPSIS.search(word)
    if UNCLEAR.fullmatch(core):
        yield _Mark(core.lower(), "exclude", "stands for what was not understood")
        return
    drawn = word.strip(AROUND.replace(":", ""))
    if FILLER.fullmatch(core) or _is_drawn(drawn):
        core = drawn if _is_drawn(drawn) else core
        ends = word.rstrip("".join(set(AROUND) - set(".\u2026")))
        trailing = DOTS if ends.endswith(DOTS) else "\u2026" if ends.endswith("\u2026") else ""
        yield _Mark((core + trailing).lower(), "drop", "is a filler")
        return
    if kind := KIND_OF_WORD.fullmatch(core):
        yield _Mark(f"word{kind[1]}", "keep", "names the kind of a word (CHAT)")
        return
    inner = core
    for sign, action, why in PREFIXES:
        if word.startswith(sign) and word[len(sign) :][:1].isalpha():
            yield _Mark(f"{sign}word", action, why)  # type: ignore[arg-type]
            inner = word[len(sign) :]
            break
    closed = word if dots else word.rstrip(AROUND)
    for sign, action, why in SUFFIXES:
        suspended = sign == "-" and after.lower() in CONJUNCTIONS
        if closed.rstrip(AROUND if not dots else "").endswith(sign) and not suspended:
            yield _Mark(f"word{sign}", action, why)  # type: ignore[arg-type]
            inner = inner.removesuffix(sign)
            break
    yield from _within(inner)


def _within(word: str) -> Iterator[_Mark]:
    """Signs at the ends of a word and within it."""
    for sign in dict.fromkeys(c for c in word if c in SIGNS):
        if sign in "/*" and not (word.startswith(sign) or word.endswith(sign)):  # and/or, 3/4, 2*3
            continue
        if sign == "+" and not re.search(r"[^\W\d]\+[^\W\d]", word):  # C++
            continue
        if sign in "=~":
            yield _Mark(sign, "drop", "joins the parts of a word")
        elif sign == "*":
            yield _Mark(sign, "drop", "marks a word")
        elif sign in "|\u2016/" and word.startswith(sign) and not word.endswith(sign):
            yield _Mark(sign, "break", f"separates; if it is a click, name {sign} in text.letters")
        else:
            yield _Mark(sign, "break", "separates" if sign not in "_+" else "joins words")


def _of_sign(word: str) -> Iterator[_Mark]:
    """The mark that signs without a letter are; none for punctuation, and for signs that stand for words."""
    inner = word.strip("".join(PUNCTUATION)) or word
    if set(word) <= PUNCTUATION | SPOKEN | set(BRACKETS[:1]) and not set(word) & set(BRACKETS):
        return
    if len(inner) == 1 and inner in BRACKETS:  # reported as one without its counterpart
        return
    kinds = {unicodedata.category(character) for character in word}
    if kinds & {"Sc", "Sk"} or not all(_is_sign(character) or character in PUNCTUATION for character in word):
        return
    if set(word) == {"@"}:
        yield _Mark("@", "event", "stands for laughter (DT)")
    elif len(set(inner)) == 1:
        yield _Mark(inner[0], "break", "is no word")
    else:
        yield _Mark(word, "break", "is no word")


def _is_sign(character: str) -> bool:
    """Whether it is a sign that no orthography writes sentences with."""
    category = unicodedata.category(character)
    return character in SIGNS + BRACKETS + "@&%^$\u2022\u00b7" or category in ("So", "Sm")


def _is_drawn(word: str) -> bool:
    """Whether a word is one vowel, or a hum, written with three letters or signs of length, or more."""
    letters = unicodedata.normalize("NFD", word.lower())
    return len(letters) > 2 and len(set(letters) - LENGTH) == 1 and letters[0] in VOWELS | {"m", "h", "n"}


def _excerpt(text: str, mark: str, most: int = 60) -> str:
    """A text, or so many characters of it around a mark."""
    pair = enclosing(mark)
    at = max(0, text.lower().find(pair[0] if pair else prefix(mark) or suffix(mark) or mark))
    start = max(0, min(at - most // 2, len(text) - most))
    return f"{'... ' * (start > 0)}{text[start : start + most].strip()}{' ...' * (start + most < len(text))}"


def proposed_conventions(found: Sequence[FoundMark]) -> Conventions:
    """The conventions that are proposed for marks, without those that may be letters."""
    return Conventions({one.mark: one.proposed for one in found if not one.letter})


def marks_that_matter(found: Sequence[FoundMark], normalize: Normalizer) -> list[FoundMark]:
    """Marks whose proposed conventions leave other texts than normalising alone does."""
    return [one for one in found if not one.letter and _matters(one, normalize)]


def _matters(found: FoundMark, normalize: Normalizer) -> bool:
    rule = Conventions({found.mark: found.proposed})
    return found.proposed == "exclude" or any(normalize(rule(text)) != normalize(text) for text in found.examples)


def as_setting(found: Sequence[FoundMark], conventions: Conventions | None = None) -> str:
    """Conventions as they stand in a configuration, ready to paste: those there are, and those proposed. What may be a
    letter is commented out."""
    lines = [
        f"    {'# ' * one.letter}{_quoted(one.mark)}: {one.proposed} # {_times(one.count)}; {one.why}" for one in found
    ]
    own = [f"    {_quoted(mark)}: {action}" for mark, action in conventions.actions.items()] if conventions else []
    named = ["text:", "  conventions:"] if own or not all(one.letter for one in found) else []
    return "\n".join([*named, *own, *lines])


def _times(count: int) -> str:
    return f"{count} time{'s' * (count != 1)}"


def _quoted(mark: str) -> str:
    return "'" + mark.replace("'", "''") + "'"
