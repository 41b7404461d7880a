"""Mandarin numbers, in characters and in pinyin with tone digits; tones are those of the single syllables."""

from __future__ import annotations

from functools import partial

from echo_asr.text.numbers.language import NumberLanguage, combined, unique

_CHARACTERS = dict(zip("0123456789", "零一二三四五六七八九", strict=True)) | {
    "pair": "两", "ten": "十", "hundred": "百", "thousand": "千", "myriad": "万", "oh": "〇", "yao": "幺", "point": "点"
}  # fmt: skip
_PINYIN = dict(zip("0123456789", "ling2 yi1 er4 san1 si4 wu3 liu4 qi1 ba1 jiu3".split(), strict=True)) | {
    "pair": "liang3", "ten": "shi2", "hundred": "bai3", "thousand": "qian1", "myriad": "wan4", "yao": "yao1",
    "point": "dian3",
}  # fmt: skip
_SIMPLIFIED = str.maketrans("兩萬點億幾", "两万点亿几")
_UNITS = ((10_000, "myriad"), (1000, "thousand"), (100, "hundred"), (10, "ten"))


def forms(words: dict[str, str], gap: str, n: int) -> list[str]:
    """The ways to say a number: 2 before hundreds and more is 二 or 两."""
    if n < 10:
        return _zeros(words) if n == 0 else [words[str(n)], *([words["pair"]] if n == 2 else [])]
    found = _counted(words, gap, n)
    if 10 <= n < 20:
        found.insert(0, gap.join(filter(None, (words["ten"], words[str(n % 10)] if n % 10 else ""))))
    return unique(found)


def _zeros(words: dict[str, str]) -> list[str]:
    return [words["0"], *([words["oh"]] if "oh" in words else [])]


def _counted(words: dict[str, str], gap: str, n: int) -> list[str]:
    """With the count before each unit, and a zero where units are left out."""
    if n < 10:
        return [words[str(n)]]
    size, unit = next((size, unit) for size, unit in _UNITS if n >= size)
    count, rest = divmod(n, size)
    counts = forms(words, gap, count) if size > 10 else [words[str(count)]]
    zeros = _zeros(words) if rest < size // 10 else [""]
    rests = combined(zeros, _counted(words, gap, rest), gap=gap) if rest else [""]
    return combined(counts, [words[unit]], rests, gap=gap)


def fold(text: str) -> str:
    """The characters under which words are looked up: the simplified ones."""
    return text.translate(_SIMPLIFIED)


def _language(words: dict[str, str], gap: str, before: str, after: str, clock: str) -> NumberLanguage:
    digits = [[words[str(n)]] for n in range(10)]
    digits[0] = _zeros(words)
    digits[1].append(words["yao"])
    return NumberLanguage(
        partial(forms, words, gap),
        tuple(map(tuple, digits)),
        (words["myriad"],),
        scale_value=10_000,
        fillers=tuple(_zeros(words)),
        point=(words["point"],),
        point_sign=".",
        lone=frozenset([*(words[str(n)] for n in range(10)), words["pair"], words["ten"]]),
        joined=not gap,
        fold=fold,
        larger=before,
        fractions=after,
        clock=frozenset(clock.split()),
        digit_run=3,
        lists=False,
        decimal_digits=True,
    )


MANDARIN = _language(_CHARACTERS, "", "亿|几|数|分之", "多[万亿]", "分 刻 钟 点 半")
PINYIN = _language(_PINYIN, " ", "yi4|ji3|shu4|fen1 zhi1", "duo1 (?:wan4|yi4)", "fen1 ke4 zhong1 dian3 ban4")
