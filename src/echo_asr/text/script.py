"""A script: the text of a long recording, word by word, and where in its file each word is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from echo_asr.text.normalize import Normalizer, is_blank
from echo_asr.text.spelling import WrittenWord, join_words, written_words


@dataclass(frozen=True)
class Script:
    """The words of a text in order, without punctuation that stands alone, which is part of the word before.

    Attributes:
        words: as written, with their normalised forms.
        lines: the line of each in its file, from 1.
        paragraphs: the number of the paragraph of each.
    """

    words: tuple[WrittenWord, ...]
    lines: tuple[int, ...]
    paragraphs: tuple[int, ...]

    def text(self, numbers: Iterable[int]) -> str:
        """Some of the words, as they are written; a space stands where words are left out."""
        before, found = -1, []
        for number in numbers:
            word = self.words[number]
            found.append(word._replace(spaced=word.spaced or before != number - 1))
            before = number
        return join_words(found)


def make_script(lines: Iterable[tuple[int, str]], normalize: Normalizer) -> Script:
    """The script of numbered lines; blank ones end a paragraph."""
    words: list[WrittenWord] = []
    numbers: list[int] = []
    paragraphs: list[int] = []
    paragraph, lead = 0, ""  # punctuation before the first word of a paragraph
    for number, line in lines:
        if is_blank(line):
            paragraph, lead = paragraph + 1, ""
            continue
        for index, word in enumerate(written_words(line, normalize)):
            spaced = word.spaced or (index == 0 and bool(words))
            if word.normal:
                written = lead + " " * (spaced and bool(lead)) + word.written
                words.append(WrittenWord(written, word.normal, spaced))
                numbers.append(number)
                paragraphs.append(paragraph)
                lead = ""
            elif paragraphs and paragraphs[-1] == paragraph:
                last = words[-1]
                words[-1] = last._replace(written=last.written + " " * spaced + word.written)
            else:
                lead += " " * (spaced and bool(lead)) + word.written
    return Script(tuple(words), tuple(numbers), tuple(paragraphs))
