"""Written forms of what is spoken, beside the words that they are for."""

from __future__ import annotations

from typing import NamedTuple


class WrittenSpan(NamedTuple):
    """Words `first` to `end` (not included) of a spoken text, and what is written for them; nothing where empty."""

    first: int
    end: int
    text: str
