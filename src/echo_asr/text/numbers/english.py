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


ENGLISH = NumberLanguage(
    forms,
    (("zero", "oh"), *((word,) for word in _SMALL[1:10])),
    ("thousand",),
    fillers=("and",),
    point=("point",),
    point_sign=".",
    lone=frozenset({"one"}),
    years=True,
)
