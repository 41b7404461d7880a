"""Spanish numbers: as they are counted, and before masculine and feminine nouns."""

from __future__ import annotations

import re
import unicodedata

from echo_asr.text.numbers.language import NumberLanguage, combined, unique

_SMALL = ("cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
          "diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis "
          "veintisiete veintiocho veintinueve").split()  # fmt: skip
_TENS = "treinta cuarenta cincuenta sesenta setenta ochenta noventa".split()
_HUNDREDS = ("ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos "
             "novecientos").split()  # fmt: skip


def _below_thousand(n: int) -> str:
    if n < 30:
        return _SMALL[n]
    if n < 100:
        return _TENS[n // 10 - 3] + (f" y {_SMALL[n % 10]}" if n % 10 else "")
    if n == 100:
        return "cien"
    return _HUNDREDS[n // 100 - 1] + (f" {_below_thousand(n % 100)}" if n % 100 else "")


def _genders(text: str) -> list[str]:
    """A number as it is counted, before a masculine noun, and before a feminine one."""
    masculine = text.removesuffix("veintiuno") + "veintiún" if text.endswith("veintiuno") else text
    masculine = text.removesuffix("uno") + "un" if masculine.endswith(" uno") or masculine == "uno" else masculine
    feminine = text.replace("cientos", "cientas").replace("quinientos", "quinientas")
    feminine = feminine.removesuffix("uno") + "una" if feminine.endswith("uno") else feminine
    return unique([text, masculine, feminine])


def forms(n: int) -> list[str]:
    """The ways to say a number."""
    if n < 1000:
        return _genders(_below_thousand(n))
    counts = [form for form in _genders(_below_thousand(n // 1000)) if not form.endswith("uno")]
    thousands = ["mil"] if n < 2000 else combined(counts, ["mil"])
    return combined(thousands, _genders(_below_thousand(n % 1000)) if n % 1000 else [""])


def fold(text: str) -> str:
    """The spelling under which words are looked up: no accents, `diez y seis` as `dieciséis`."""
    text = unicodedata.normalize("NFC", re.sub("\u0301", "", unicodedata.normalize("NFD", text)))
    text = re.sub(r"\bdiez y (seis|siete|ocho|nueve)\b", r"dieci\1", text)
    return re.sub(r"\bveinte y (un[oa]?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve)\b", r"veinti\1", text)


_PARTS = (r"\w+esim|(?:once|doce|trece|catorce|quince|dieci\w+|veinte?|treinta?|"
          r"(?:cuar|cincu|ses|set|och|nov)enta?)av")  # fmt: skip

SPANISH = NumberLanguage(
    forms,
    tuple((word,) for word in _SMALL[:10]),
    ("mil",),
    point=("coma", "punto"),
    lone=frozenset({"uno", "un", "una"}),
    fold=fold,
    links=frozenset({"y"}),
    larger="(?:m|b|tr)illon(?:es)?",
    fractions=f"(?:terci|cuart|quint|sext|septim|octav|noven|decim|medi|{_PARTS})[oa]s?",
)
