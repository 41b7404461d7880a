"""How a word may be written with the characters that a model knows."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

_TONES = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0300": "4"}  # of pinyin: macron, acute, caron, grave


def respell(word: str, known: Callable[[str], bool]) -> str:
    """The word as a model can write it, or what else to do about it; empty where nothing is near.

    Args:
        word: normalised, which the model cannot write.
        known: whether it can write a word.
    """
    apart = unicodedata.normalize("NFD", word)
    tones = [_TONES[character] for character in apart if character in _TONES]
    bare = unicodedata.normalize("NFC", "".join(c for c in apart if c not in _TONES))
    plain = "".join(c for c in apart if not unicodedata.combining(c))
    toned = [f"{bare}{tones[0]}"] if len(tones) == 1 and all(map(known, _TONES.values())) else []
    others = (*toned, plain, word.casefold(), word.replace("-", " "), word.replace("'", ""))
    found = [other for other in dict.fromkeys(others) if other and other != word and all(map(known, other.split()))]
    if found:
        return "write " + " or ".join(map(repr, found[:2]))
    if any(character.isdecimal() for character in word) and not known(word):
        return "write numbers in words, or as a range such as {0..100}"
    return ""
