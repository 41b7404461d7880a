"""Numbers as they are spoken, and as they are written."""

NUMBERS = ("en",)
_D = "zero one two three four five six seven eight nine".split()


def digit_forms(n: int, language: str) -> list[str]:
    return [_D[n]]


def number_forms(n: int, language: str) -> list[str]:
    return [" ".join(_D[int(d)] for d in str(n))]
