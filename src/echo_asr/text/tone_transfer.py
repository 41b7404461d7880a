"""Puts the tones of a normalised text on the text as a person wrote it, whose punctuation and capitals it keeps."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from echo_asr.text.normalize import Normalizer
from echo_asr.text.tones import SANDHI, TRAILING, ToneNotation

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\uff07", "'"))


def transfer_tones(written: str, toned: str, notation: ToneNotation, normalize: Normalizer) -> str | None:
    """A text as it was written, with the tones of another; tones that it has itself are replaced.

    Args:
        written: not normalised.
        toned: normalised, and the same as the first but for its tones.
        normalize: of the model.

    Returns:
        None where the words, or the letters of one of them, do not correspond one to one: where the normaliser writes
        words in other letters, or drops several words at once.
    """
    parts = re.split(r"(\s+)", written)  # words, and the spaces between them
    normal = [normalize(part).split() for part in parts]
    words = toned.split()

    def bare(some: Sequence[str]) -> list[str]:
        return notation.without_tones(" ".join(some)).split()

    if [word for some in normal for word in bare(some)] != bare(words):
        return None
    found: list[str] = []
    for part, some in zip(parts, normal, strict=True):
        count = len(bare(some))
        own, words = words[:count], words[count:]
        new = part if own == some else _with_tones(part, own, notation)
        if new is None:
            return None
        found.append(new)
    form = "NFC" if unicodedata.is_normalized("NFC", written) else "NFD"
    return unicodedata.normalize(form, "".join(found))  # type: ignore[arg-type]


def _with_tones(written: str, words: Sequence[str], notation: ToneNotation) -> str | None:
    """A word as it was written, with the tones of the words into which a normaliser makes it."""
    base = ""
    tones: dict[int, str] = defaultdict(str)  # behind so many characters of the base
    for syllable in (syllable for word in words for syllable in notation.syllables(word)):
        for place, tone in zip(syllable.at, syllable.tone, strict=True):
            tones[len(base) + place] += tone
        base += unicodedata.normalize("NFD", syllable.base)
    apart = unicodedata.normalize("NFD", written)
    signs = re.escape("".join(sorted(notation.written)))
    if notation.kind in TRAILING and len(words) == 1:  # what joins the tones of a pair goes with them
        apart = re.sub(f"(?<=[{signs}])[{SANDHI}]+(?=[{signs}])", "", apart)
    out, at = "", 0
    for character in apart:
        lower = unicodedata.normalize("NFD", character.lower()).translate(_APOSTROPHES)
        same = next((form for form in (character, lower) if base.startswith(form, at)), "")
        if same:
            before = "" if at else tones[0]
            at += len(same)
            out += before + character + "".join(tones[place] for place in range(at - len(same) + 1, at + 1))
        elif unicodedata.category(character)[0] in "LNM" and lower not in notation.written:
            return None
        elif lower not in notation.written:
            out += character
    return out if at == len(base) else None
