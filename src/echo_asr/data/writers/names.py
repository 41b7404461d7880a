"""Names of utterances in other programs' tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

SPLITS = {"train": "train", "validation": "dev", "test": "test"}  # as Kaldi and lhotse call them
LONGEST = 100  # characters of a name
LARGEST = 200  # bytes of it: names of files may have 255, of which endings and numbers are a part


def unique_names(texts: Iterable[str], key: Callable[[str], str] = str) -> Iterator[str]:
    """A `plain_name` for each text; those that would be equal get a number.

    Args:
        key: what must differ: `str.casefold` for names of files.
    """
    seen = Counter[str]()
    for text in texts:
        name = plain_name(text)
        while seen[key(name)]:
            seen[key(name)] += 1
            name = f"{plain_name(text)}_{seen[key(name)]}"
        seen[key(name)] += 1
        yield name


def plain_name(text: str) -> str:
    """A text as one word of letters, digits, dots, hyphens and underscores."""
    name = re.sub(r"[^\w.-]+", "_", text).strip("._")[-LONGEST:]
    return name.encode("utf-8", "replace")[-LARGEST:].decode("utf-8", "ignore") or "x"
