"""Reads lists of words and phrases, one a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from echo_asr.errors import EchoError
from echo_asr.text.textfile import read_text_file


def read_word_list(path: Path) -> list[str]:
    """The words and phrases of a text file, in any encoding that `read_text_file` knows; empty lines are skipped.

    Raises:
        EchoError: the file cannot be read, is no text, or has no word.
    """
    text = read_text_file(path).data.decode("utf-8", "replace")
    if "\0" in text:
        raise EchoError(f"{path}: is not a text file; give a list of words, one a line")
    words = [line.strip() for line in text.splitlines() if line.strip()]
    if not words:
        raise EchoError(f"{path}: has no word; give one a line")
    return words


def different_words(words: Iterable[str], normalize: Callable[[str], str]) -> dict[str, list[str]]:
    """The words that differ once normalised, as each was first written, each with the others that are the same word.

    Args:
        normalize: of the model.
    """
    groups: dict[str, list[str]] = {}
    for word in dict.fromkeys(words):
        groups.setdefault(" ".join(normalize(word).split()), []).append(word)
    return {first: others for first, *others in groups.values()}
