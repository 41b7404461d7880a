"""English numbers: with and without `and`."""

from __future__ import annotations

from echo_asr.text.numbers.language import NumberLanguage, combined, unique

_SMALL = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
          "seventeen eighteen nineteen").split()  # fmt: skip
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def _below_hundred(n: int) -> str:
    if n < 20:
        return _SMALL[n]
    return _TENS[n // 10 - 2] + (f"-{_SMALL[n % 10]}" if n % 10 else "")


def _counted(n: int, word: str) -> list[str]:
    """`one hundred`, `a hundred`, `two hundred`."""
    return combined([*forms(n), *(["a"] if n == 1 else [])], [word])


def forms(n: int) -> list[str]:
    """The ways to say a number."""
    if n < 100:
        return [_below_hundred(n)]
    if n < 1000:
        rest = n % 100
        return combined(
            _counted(n // 100, "hundred"), [_below_hundred(rest), f"and {_below_hundred(rest)}"] if rest else [""]
        )
    rest = n % 1000
    rests = unique([*forms(rest), *([f"and {_below_hundred(rest)}"] if rest < 100 else [])]) if rest else [""]
    found = combined(_counted(n // 1000, "thousand"), rests)
    if n < 2000 or n % 100 == 0:
        found += _in_hundreds(n)
    return found


def _in_hundreds(n: int) -> list[str]:
    """`fifteen hundred`; none for a number of whole thousands, or of more than 99 hundreds."""
    if n >= 10_000 or n % 1000 < 100:
        return []
    rest = _below_hundred(n % 100)
    return combined([f"{_below_hundred(n // 100)} hundred"], [rest, f"and {rest}"] if n % 100 else [""])


def years(n: int) -> list[str]:
    """A year in two halves: `nineteen eighty-four`, `nineteen oh five`."""
    rest = n % 100
    if not 1100 <= n < 2100 or not rest:
        return []
    return [f"{_below_hundred(n // 100)} {_below_hundred(rest) if rest > 9 else f'oh {_SMALL[rest]}'}"]


_MONTHS = "january february march april may june july august september october november december"
_TEENTH = "(?:thir|four|fif|six|seven|eigh|nine)teenths?"
_TIETH = "(?:twen|thir|for|fif|six|seven|eigh|nine)tieths?"
_ORDINALS = (f"first|second|thirds?|(?:four|fif|six|seven|eigh|nin|ten|eleven|twelf|hundred|thousand)ths?|{_TEENTH}|"
             f"{_TIETH}")  # fmt: skip
_LARGER = "(?:million|billion|trillion)s?|double|triple"

ENGLISH = NumberLanguage(
    forms,
    (("zero", "oh"), *((word,) for word in _SMALL[1:10])),
    ("thousand",),
    fillers=("and",),
    point=("point",),
    point_sign=".",
    lone=frozenset({"one"}),
    years=years,
    before_years=frozenset(f"in since until till by before after during from of year {_MONTHS}".split()),
    after_years=frozenset(
        "and or the he she it they we i you there that this when which was is were had has to in on at but".split()
    ),
    links=frozenset({"and", "a"}),
    larger=_LARGER,
    fractions=f"{_ORDINALS}|hundreds|thousands|half|halves|quarters?",
)
