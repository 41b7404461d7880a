"""Normalisers of texts for training and scoring, and joining of texts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache, partial

Normalizer = Callable[[str], str]

# Zero-width (non-)joiners spell words in Persian and in the scripts of India; other format characters do not.
_JOINERS = "\u200c\u200d"
# Beginnings of the Unicode names of characters of scripts that are written without spaces, and of their punctuation.
_SPACELESS = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH", "THAI", "LAO", "KHMER", "MYANMAR",
              "TIBETAN", "YI ")  # fmt: skip
_CURLY_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\uff07", "'"))
# Letters that have a dot already (Unicode's Soft_Dotted), decomposed, with the marks on them. A dot among these is
# left by lower-casing the dotted capital (Turkish), or written in dictionaries of Lithuanian.
_DOTTED = re.compile("[ij\u0249\u0268\u029d\u03f3\u0456\u0458][\u0300-\u036f]+")
# A sigma at the end of a Greek word: after a letter, and before none, apart from marks and apostrophes.
_FINAL_SIGMA = re.compile("(?<=[^\\W\\d_]|[\u0300-\u036f])\u03c3(?!['\u0300-\u036f]*[^\\W\\d_])")

# A tone and what sandhi makes of it, as numbers behind a syllable: ma35-21. The hyphen is kept as a sign like it.
_RAISED = "\u2070\u00b9\u00b2\u00b3\u2074-\u2079"
_DIGIT = f"[0-9{_RAISED}]"
_TONE_PAIR, _TONE_PAIR_LONG = (
    re.compile(rf"([^\W\d_{_RAISED}][{length}\u0300-\u036f]*{_DIGIT}+)[-\u2010-\u2013](?={_DIGIT})")
    for length in ("\u02d0\u02d1", "\u02d0\u02d1:")
)
_PAIR_SIGN = "\u02d7"
_JOINED = re.compile(f"(?<={_DIGIT}){_PAIR_SIGN}(?={_DIGIT})")

_FILLERS = re.compile(r"\b(hmm|mm|mhm|mmm|uh|um)\b")
# Standard and informal English contractions with their full forms, tried in this order.
_CONTRACTIONS = tuple(
    (re.compile(pattern), full)
    for pattern, full in (
        (r"\bwon't\b", "will not"),
        (r"\bcan't\b", "can not"),
        (r"\bshan't\b", "shall not"),
        (r"\blet's\b", "let us"),
        (r"\by'all\b", "you all"),
        (r"\bma'am\b", "madam"),
        (r"\bgonna\b", "going to"),
        (r"\bgotta\b", "got to"),
        (r"\bwanna\b", "want to"),
        (r"\b(would|could|should)a\b", r"\1 have"),
        (r"\bmr\b", "mister"),
        (r"\bmrs\b", "missus"),
        (r"\bdr\b", "doctor"),
        (r"\bprof\b", "professor"),
        (r"'s (been|got)\b", r" has \1"),
        (r"'d (been|better)\b", r" had \1"),
        (r"n't\b", " not"),
        (r"'re\b", " are"),
        (r"'s\b", " is"),
        (r"'d\b", " would"),
        (r"'ll\b", " will"),
        (r"'ve\b", " have"),
        (r"'m\b", " am"),
    )
)


class _Translation(dict[int, str]):
    """A table for `str.translate`, filled as characters occur: a hundred times as fast as looking up the category of
    each."""

    def __init__(self, translate: Callable[[str], str]) -> None:
        self.translate = translate

    def __missing__(self, code: int) -> str:
        self[code] = found = self.translate(chr(code))
        return found


def _without_format(character: str) -> str:
    return "" if unicodedata.category(character) == "Cf" and character not in _JOINERS else character


def _without_punctuation(character: str) -> str:
    category = unicodedata.category(character)
    return " " if character != "'" and (category[0] == "P" or category == "Cc") else character


_WITHOUT_FORMAT, _WITHOUT_PUNCTUATION = _Translation(_without_format), _Translation(_without_punctuation)


def is_blank(text: str) -> bool:
    """Whether a text has no visible character."""
    return not text or text.isspace() or not text.translate(_WITHOUT_FORMAT).strip(f" \t\n{_JOINERS}")


def lower_case(text: str) -> str:
    """A text in lower case, composed (NFC), without format characters.

    A letter has no second dot (Turkish ``İ`` gives ``i``), and a sigma is a final one at the end of a word alone.
    """
    text = text.translate(_WITHOUT_FORMAT)
    # Lower-casing can decompose a letter ("\u0130"), and composing can give one that still has a lower case.
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.lower()).lower())
    if "\u0307" in text:
        apart = unicodedata.normalize("NFD", text)
        text = unicodedata.normalize("NFC", _DOTTED.sub(lambda found: found[0].replace("\u0307", ""), apart))
    return text


def normalize_basic(text: str, letters: str = "", tone_pairs: bool = False) -> str:
    """Lower case without punctuation, for any language: NFC, lower case, no punctuation, single spaces.

    Punctuation (Unicode categories P*) becomes a space, so that ``one,two`` stays two words; an apostrophe,
    straight or curly, stays (straight) between two word characters and is removed elsewhere. Digits, combining marks
    and symbols stay, so that tone digits (``ni3``), accents and tone letters survive. Normalising again changes
    nothing.

    Args:
        letters: punctuation that is part of words in this orthography, such as ``:`` for length, ``'`` for a glottal
            stop, ``!`` for a click or ``-`` for a tone; it stays wherever it is.
        tone_pairs: digits behind letters are tones, and a hyphen between two of them stays: ``ma35-21``.
    """
    if tone_pairs:
        joined = (_TONE_PAIR_LONG if ":" in letters else _TONE_PAIR).sub(rf"\1{_PAIR_SIGN}", text)
        return normalize_basic(text, letters) if joined == text else _JOINED.sub("-", normalize_basic(joined, letters))
    if text.isascii():  # without any of the following cases
        text = text.lower()
    else:
        text = lower_case(text).translate(_tables(letters)[0])
    if "'" in text and "'" not in letters:
        neighbours = zip(" " + text, text, text[1:] + " ", strict=False)
        inside = (c != "'" or (_joins(b, letters) and _joins(a, letters)) for b, c, a in neighbours)
        text = "".join(c if kept else " " for c, kept in zip(text, inside, strict=True))
    text = " ".join(text.translate(_tables(letters)[1]).split())
    if "\u03c3" in text or "\u03c2" in text:  # sigmas, whose neighbours may have been removed
        text = _FINAL_SIGMA.sub("\u03c2", text.replace("\u03c2", "\u03c3"))
    return text


def _joins(character: str, letters: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or character in letters  # letters, combining marks, numbers


@cache
def _tables(letters: str) -> tuple[dict[int, str], dict[int, str]]:
    """Translation tables of curly apostrophes and of punctuation, without the characters `letters`."""
    if not letters:
        return _CURLY_APOSTROPHES, _WITHOUT_PUNCTUATION
    curly = {code: other for code, other in _CURLY_APOSTROPHES.items() if chr(code) not in letters}
    return curly, _Translation(lambda character: character if character in letters else _without_punctuation(character))


def normalize_none(text: str) -> str:
    """The text unchanged."""
    return text


def normalize_whisper(text: str) -> str:
    """A normaliser for English, after that of the Whisper paper (Radford et al. 2022, appendix C).

    Removes text in brackets and parentheses, filler words, diacritics, commas within numbers and
    all symbols but those of numbers and money, and writes contractions in full (``won't``: ``will not``).
    Two steps of the paper are left out: spelt numbers are not turned into digits, and British spellings
    stay. Error rates scored this way are therefore near to, but not the same as, those published with
    Whisper's own code.
    """
    text = text.lower().translate(_CURLY_APOSTROPHES)
    text = re.sub(r"\[[^\]]*\]|\([^)]*\)", " ", text)
    text = _FILLERS.sub(" ", text)
    text = re.sub(r"\s+'", "'", text)
    for pattern, full in _CONTRACTIONS:
        text = pattern.sub(full, text)
    text = re.sub(r"(?<=\d),(?=\d)", "", text)
    text = re.sub(r"\.(?!\d)", " ", text)
    kept = []
    for character in unicodedata.normalize("NFKD", text):
        category = unicodedata.category(character)
        if category[0] == "M":
            continue  # the diacritic of the letter before it
        symbol = category[0] in "SPC" and character not in ".%" and category != "Sc"
        kept.append(" " if symbol else character)
    text = unicodedata.normalize("NFC", "".join(kept))
    # Remaining symbols are kept only in numbers: $3.50, 20%.
    text = re.sub(r"(?<!\d)\.|\.(?!\d)|(?<!\d)%|[^\w\s.%](?!\d)", " ", text)
    return " ".join(text.split())


NORMALIZERS: dict[str, Normalizer] = {"basic": normalize_basic, "none": normalize_none, "whisper": normalize_whisper}


def join_texts(texts: Iterable[str]) -> str:
    """Join texts of successive segments by spaces, except between characters of scripts that are written without."""
    joined = ""
    for text in texts:
        if joined and text and not (is_spaceless(joined[-1]) and is_spaceless(text[0])):
            joined += " "
        joined += text
    return joined


def is_spaceless(character: str) -> bool:
    """Whether a character is of a script that is written without spaces, or of its punctuation."""
    return unicodedata.name(character, "").startswith(_SPACELESS)


def make_normalizer(name: str, letters: str = "", tone_pairs: bool = False) -> Normalizer:
    """The normaliser of that name: ``basic`` (the default of models), ``none`` or ``whisper``.

    Args:
        letters, tone_pairs: of `normalize_basic`; the others have no such choice.

    Raises:
        ValueError: no normaliser has that name.
    """
    if name not in NORMALIZERS:
        raise ValueError(f"normalizer: expected one of {', '.join(NORMALIZERS)}, got {name!r}")
    if name == "basic" and tone_pairs:
        return partial(normalize_basic, letters=letters, tone_pairs=True)
    return partial(normalize_basic, letters=letters) if name == "basic" and letters else NORMALIZERS[name]
