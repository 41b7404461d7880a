"""French numbers: those of France, and `septante`, `huitante`, `octante` and `nonante` of Belgium and Switzerland."""

from __future__ import annotations

import re
import unicodedata

from echo_asr.text.numbers.language import NumberLanguage, combined, unique

_SMALL = ("zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept "
          "dix-huit dix-neuf").split()  # fmt: skip
_TENS = {20: ("vingt",), 30: ("trente",), 40: ("quarante",), 50: ("cinquante",), 60: ("soixante",), 70: ("septante",),
         80: ("huitante", "octante"), 90: ("nonante",)}  # fmt: skip


def _below_hundred(n: int) -> list[str]:
    if n < 20:
        return [_SMALL[n]]
    found = []
    if 70 <= n < 80:
        found.append("soixante-et-onze" if n == 71 else f"soixante-{_SMALL[n - 60]}")
    if n == 80:
        found += ["quatre-vingts", "quatre-vingt"]
    if 80 < n:
        found.append(f"quatre-vingt-{_SMALL[n - 80]}")
    unit = n % 10
    for ten in _TENS[n - unit]:
        found.append(ten + ("-et-un" if unit == 1 else f"-{_SMALL[unit]}" if unit else ""))
    return found


def _below_thousand(n: int) -> list[str]:
    if n < 100:
        return _below_hundred(n)
    count, rest = divmod(n, 100)
    hundred = ["cent"] if count == 1 else [f"{_SMALL[count]} cent"]
    if count > 1 and not rest:
        hundred.insert(0, f"{_SMALL[count]} cents")
    return combined(hundred, _below_hundred(rest) if rest else [""])


def forms(n: int) -> list[str]:
    """The ways to say a number."""
    if n < 1000:
        found = _below_thousand(n)
    else:
        count, rest = divmod(n, 1000)
        counts = [text for text in _below_thousand(count) if not text.endswith(("cents", "vingts"))]
        thousands = ["mille"] if count == 1 else combined(counts, ["mille"])
        found = combined(thousands, _below_thousand(rest) if rest else [""]) + _in_hundreds(n)
    return unique([*found, *(f"{text}e" for text in found if text.replace("-", " ").split()[-1] == "un")])


def _in_hundreds(n: int) -> list[str]:
    """`dix-neuf cent quatre`, for 1100 to 1999."""
    if not 1100 <= n < 2000:
        return []
    count, rest = _SMALL[n // 100], n % 100
    return combined([f"{count} cent"], _below_hundred(rest)) if rest else [f"{count} cents", f"{count} cent"]


def fold(text: str) -> str:
    """The spelling under which words are looked up: no accents, no plural, `vingt un` as `vingt et un`."""
    text = re.sub("[\u0300\u0301]", "", unicodedata.normalize("NFD", text))
    text = re.sub(r"\b(cent|vingt|mille)s\b", r"\1", unicodedata.normalize("NFC", text))
    text = re.sub(r"(?<!\bquatre )\b(vingt|trente|quarante|cinquante|soixante) (une?)\b", r"\1 et \2", text)
    return re.sub(r"\bsoixante onze\b", "soixante et onze", text)


FRENCH = NumberLanguage(
    forms,
    tuple((word,) for word in _SMALL[:10]),
    ("mille",),
    point=("virgule", "point"),
    lone=frozenset({"un", "une", "neuf"}),
    fold=fold,
    links=frozenset({"et"}),
    larger="(?:m|b|tr)illions?|milliards?",
    fractions=r"\w+iemes?|tiers|quarts?|demie?s?",
)
