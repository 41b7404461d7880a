"""Vietnamese numbers, in the common spelling."""

from __future__ import annotations

from echo_asr.text.numbers.language import NumberLanguage, combined, unique

_UNITS = "không một hai ba bốn năm sáu bảy tám chín".split()


def _below_hundred(n: int) -> list[str]:
    ten, unit = divmod(n, 10)
    if ten == 0:
        return [_UNITS[unit], *(["bẩy"] if unit == 7 else [])]
    tens = "mười" if ten == 1 else f"{_UNITS[ten]} mươi"
    after = {0: [""], 5: ["lăm", "nhăm"] if ten > 1 else ["lăm"], 7: ["bảy", "bẩy"]}.get(unit, [_UNITS[unit]])
    if ten > 1 and unit in (1, 4):
        after = ["mốt"] if unit == 1 else ["bốn", "tư"]
    return combined([tens], after)


def _rest(n: int) -> list[str]:
    """What follows hundreds."""
    return combined(["lẻ", "linh"], _below_hundred(n)) if n < 10 else _below_hundred(n)


def _below_thousand(n: int) -> list[str]:
    if n < 100:
        return _below_hundred(n)
    return combined([f"{_UNITS[n // 100]} trăm"], _rest(n % 100) if n % 100 else [""])


def forms(n: int) -> list[str]:
    """The ways to say a number."""
    if n < 1000:
        return _below_thousand(n)
    count, rest = divmod(n, 1000)
    if not rest:
        rests = [""]
    elif rest >= 100:
        rests = _below_thousand(rest)
    else:
        rests = unique([*combined(["không trăm"], _rest(rest)), *(_rest(rest) if rest < 10 else [])])
    return combined(_below_thousand(count), ["nghìn", "ngàn"], rests)


VIETNAMESE = NumberLanguage(
    forms,
    tuple((word,) for word in _UNITS),
    ("nghìn", "ngàn"),
    fillers=("không trăm lẻ", "không trăm linh", "không trăm", "lẻ", "linh"),
    point=("phẩy", "phảy"),
    lone=frozenset([*_UNITS, "bẩy", "mười"]),
    year_words=frozenset({"năm"}),
    larger="triệu|tỷ|tỉ|mấy|phần|rưỡi|rưởi",
    digit_run=3,
    lists=False,
)
