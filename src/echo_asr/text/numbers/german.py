"""German numbers, each one word."""

from __future__ import annotations

import re

from echo_asr.text.numbers.language import NumberLanguage, combined, composed, unique

_SMALL = ("null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn "
          "siebzehn achtzehn neunzehn").split()  # fmt: skip
_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()


def _below_hundred(n: int) -> str:
    if n < 20:
        return _SMALL[n]
    return (f"{_SMALL[n % 10]}und" if n % 10 else "") + _TENS[n // 10 - 2]


def _stems(n: int) -> list[str]:
    """The ways to say a number within a longer one, where 1 is `ein`."""
    if n < 100:
        return [_below_hundred(n)]
    for size, word in ((1000, "tausend"), (100, "hundert")):
        if n >= size:
            count, rest = divmod(n, size)
            counted = combined([*_stems(count), *([""] if count == 1 else [])], [word], gap="")
            return combined(counted, _stems(rest) if rest else [""], gap="")
    raise ValueError(n)


def forms(n: int) -> list[str]:
    """The ways to say a number."""
    found = _stems(n) + _in_hundreds(n)
    if n % 100 == 1:
        found = [f"{text}{ending}" for ending in ("s", "", "e", "en", "er", "es", "em") for text in found]
    if n == 2:
        found.append("zwo")
    return unique(found)


def _in_hundreds(n: int) -> list[str]:
    """`neunzehnhundertfünf`, for 1100 to 1999."""
    if not 1100 <= n < 2000:
        return []
    return [f"{_SMALL[n // 100]}hundert{_below_hundred(n % 100) if n % 100 else ''}"]


def fold(text: str) -> str:
    """The spelling under which words are looked up: `ss` for `ß`, `ue` for `ü`, no `und` after `hundert`."""
    for letter, letters in (("ß", "ss"), ("ü", "ue"), ("ö", "oe")):
        text = composed(text).replace(letter, letters)
    return re.sub(r"(hundert|tausend)und(?=\w)", r"\1", text)


_ORDINALS = (r"(?:\w*(?:hundert|tausend))?(?:erst|zweit|dritt|viert|fuenft|sechst|sieb(?:en)?t|acht|neunt|elft|zwoelft|"
             r"\w*(?:zehnt|zigst|ssigst|hundertst|tausendst))e[nrsm]?")  # fmt: skip
_FRACTIONS = (r"(?:drit|vier|fuenf|sechs|sieb|ach|neun|\w*(?:zehn|zigs|ssigs|hunderts|tausends))teln?|"
              r"(?:\w*ein)?halb(?:e[nrsm]?)?")  # fmt: skip

GERMAN = NumberLanguage(
    forms,
    (("null",), ("eins",), ("zwei", "zwo"), *((word,) for word in _SMALL[3:10])),
    ("tausend",),
    point=("komma", "punkt"),
    lone=frozenset({"ein", "eine", "einen", "einer", "eines", "einem", "acht"}),
    fold=fold,
    links=frozenset({"und"}),
    larger="(?:m|b|tr)illion(?:en)?|milliarden?",
    fractions=f"{_ORDINALS}|{_FRACTIONS}",
    compounds=True,
)
