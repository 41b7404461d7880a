"""The numbers that may begin at a word of a text, of all kinds: counted, digit by digit, with decimals, years."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal, NamedTuple

from echo_asr.text.numbers import NUMBERS, look_up, plain_words, read_counted, read_year
from echo_asr.text.numbers.language import NumberLanguage

LONGEST = 14  # words, or characters where there are no spaces, of a number
YEARS = range(1300, 2100)  # read from two numbers; `eleven fifty` and `twelve fifteen` are times as well
TIMES = ("hundert", "tausend")  # beginnings of German words that go on with the number before

Kind = Literal["word", "zero", "digit", "number", "digits", "decimal", "year"]


class Part(NamedTuple):
    """Words up to `end` (not included) and what is written for them.

    Attributes:
        end: the place behind the last word.
        kind: `word` stays a word, as `and`; `zero` does, too, but may be a digit elsewhere (`oh`); `digit` is a number
            below 10; `digits` several that are said one by one.
        text: digits; empty of what stays a word.
        cost: how many numbers it counts for, where the reading with the fewest numbers is looked for.
    """

    end: int
    kind: Kind
    text: str = ""
    cost: int = 0

    @property
    def written(self) -> bool:
        """Whether it is written as digits."""
        return bool(self.text)


@dataclass(frozen=True)
class Words:
    """The words of a text, as they are looked up, and their language."""

    words: tuple[str, ...]
    language: str

    @classmethod
    def of(cls, words: list[str], language: str) -> Words:
        """The words, in the spelling under which they are looked up."""
        return cls(tuple(look_up(word, language) for word in words), language)

    @property
    def own(self) -> NumberLanguage:
        """The numbers of the language."""
        return NUMBERS[self.language]

    @property
    def digits(self) -> dict[str, str]:
        """The digits of the words for them."""
        return _digits(self.language)

    def text(self, first: int, end: int) -> str:
        """Some of the words as one text."""
        gap = "" if self.own.joined or self.own.compounds else " "
        return gap.join(self.words[first:end])

    def parts(self, at: int, end: int) -> Iterator[Part]:
        """What may begin with the word `at` and ends before `end`."""
        wholes = [*self._counted(at, end), *self._digit_runs(at, end)]
        yield from wholes
        for whole in wholes:
            yield from self._decimals(whole, at, end)
        yield from self._years(at, end)
        yield from self._words(at, end)

    def _counted(self, at: int, end: int) -> Iterator[Part]:
        for last in range(at + 1, min(end, at + LONGEST) + 1):
            number = _read(self.text(at, last), self.language)
            if number is not None:
                yield Part(last, "digit" if number < 10 else "number", str(number), 1 + self._splits(at, last))

    def _splits(self, at: int, end: int) -> int:
        """Between how many parts of a compound another number might begin."""
        if not self.own.compounds:
            return 0
        return sum(not word.startswith(TIMES) and word not in self.own.links for word in self.words[at + 1 : end])

    def _digit_runs(self, at: int, end: int) -> Iterator[Part]:
        """Digits said one by one: as many as there are, and all but the last, which may begin a number."""
        if at >= 4 and all(word in self.digits for word in self.words[at - 4 : at]):
            return  # within a run that begins before: a number ends with its first digits at most
        last = self._digits_end(at, end)
        for stop in (last, last - 1):
            if stop - at > 1 and stop - at >= self._shortest(at, stop):
                yield Part(stop, "digits", self._digits_text(at, stop), 1)

    def _shortest(self, at: int, end: int) -> int:
        """How many digits are a number; more where the word at an edge means something else, too (`oh`)."""
        if self.own.digit_run > 2:
            return self.own.digit_run
        return 2 if self._is_number(at) and self._is_number(end - 1) else 3 if self._is_number(at) else 4

    def _is_number(self, at: int) -> bool:
        return _read(self.words[at], self.language) is not None

    def _digits_end(self, at: int, end: int) -> int:
        return next((n for n in range(at, end) if self.words[n] not in self.digits), end)

    def _digits_text(self, at: int, end: int) -> str:
        return "".join(self.digits[word] for word in self.words[at:end])

    def _decimals(self, whole: Part, at: int, end: int) -> Iterator[Part]:
        """A number, a word such as `point`, and a number below 100 or digits."""
        start = whole.end + 1
        if start >= end or self.words[whole.end] not in self.own.point:
            return
        if self.own.decimal_digits and whole.end == at + 1 and self.words[at] not in self.digits:  # 两点: two o'clock
            return
        last = self._digits_end(start, end)
        decimals = [Part(stop, "digits", self._digits_text(start, stop)) for stop in (last, last - 1) if stop > start]
        if not self.own.decimal_digits:
            decimals += [part for part in self._counted(start, end) if part.kind == "number" and len(part.text) == 2]
        for part in decimals:
            text = whole.text + self.own.point_sign + part.text
            yield Part(part.end, "decimal", text, whole.cost + (whole.kind == "digits"))

    def _years(self, at: int, end: int) -> Iterator[Part]:
        for last in range(at + 2, min(end, at + LONGEST) + 1):
            year = read_year(self.text(at, last), self.language)
            if year is None or year not in YEARS:
                continue
            if not is_estimate(*divmod(year, 100)) or self._says_year(at, last):
                yield Part(last, "year", str(year), 1)

    def _says_year(self, at: int, end: int) -> bool:
        """Whether the words around say that two numbers are a year."""
        before, after = self.words[max(at - 1, 0) : at], self.words[end : end + 1]
        return set(before) <= self.own.before_years and set(after) <= self.own.after_years

    def _words(self, at: int, end: int) -> Iterator[Part]:
        word = self.words[at]
        year = word in self.own.year_words and len(self.words) > 1 and not self._digits_of_no_year(at + 1, end)
        if year or word in self.own.links:
            yield Part(at + 1, "word")
        elif word in self.digits and not self._is_number(at):
            yield Part(at + 1, "zero", cost=1)

    def _digits_of_no_year(self, at: int, end: int) -> bool:
        """Whether digits said one by one follow that are no year."""
        last = self._digits_end(at, min(end, at + 5))
        is_year = last - at == 4 and int(self._digits_text(at, last)) in range(1000, 2100)
        return last - at >= self.own.digit_run - 1 and not is_year


def find_year(first: int, second: int, language: str) -> int | None:
    """The year whose halves two numbers are, where the language says years so."""
    year = first * 100 + second
    return year if 10 <= second < 100 and year in YEARS and NUMBERS[language].years(year) else None


def is_estimate(first: int, second: int) -> bool:
    """Whether two numbers may be an estimate: `thirteen fourteen`, `fifteen twenty`, `twenty thirty`."""
    return second - first == 1 or (first % 5 == second % 5 == 0 and 0 < second - first <= 10)


@cache
def _digits(language: str) -> dict[str, str]:
    digits = enumerate(NUMBERS[language].digits)
    return {look_up(form, language): str(n) for n, forms in digits for form in forms}


@lru_cache(maxsize=100_000)
def _read(text: str, language: str) -> int | None:
    return read_counted(text, language)


def says_number(word: str, language: str, vocabulary: frozenset[str]) -> bool:
    """Whether a word is part of a number, or one as a whole, as in German."""
    parts = plain_words(word).split()
    return (bool(parts) and all(part in vocabulary for part in parts)) or _read(word, language) is not None
