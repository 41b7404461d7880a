"""Finds which words of a script each segment of a recording has, from what was recognised there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from echo_asr.decode.results import Segment
from echo_asr.decode.times import character_times
from echo_asr.text.matching import match_characters
from echo_asr.text.script import Script

APART = 12  # characters that one of the texts alone has, over which an alignment does not count as one
LEAST_EQUAL = 6  # equal characters of an alignment, below which it is chance
LEAST_SHARE = 0.5  # of the characters of an alignment that must be equal; in unrelated texts it is up to 0.4
FEW = 12  # characters of a word or two, which may be missing in a segment or be others
FASTEST = 0.4  # of the usual time that a character takes, the least
ALIKE = 2.0  # ratio of the lengths of two texts, up to which one may stand for the other
UNWRITTEN = 10  # characters at either end of a segment without a partner, over which they are cut off
UNWRITTEN_SECONDS = 1.0  # that these must take


@dataclass(frozen=True)
class Piece:
    """A part of a recording between pauses, in seconds.

    Attributes:
        words: numbers of the words of the script in it, in order; none where it is no part of the script.
        recognized: its text.
        alike: the share of equal characters in the alignment of those words with the recognised text, of the longer of
            the two.
    """

    start: float
    end: float
    words: tuple[int, ...]
    recognized: str
    alike: float


def place_script(script: Script, segments: Sequence[Segment]) -> list[Piece]:
    """The segments of a recording, in order, with the words of the script in each; where one begins or ends with
    speech that is not in the script, that is a piece of its own.

    A word belongs to the segment to which most of its characters are aligned. Words without such belong to the
    segments beside them, as far as there is time for them; other words are in no piece.

    Args:
        segments: recognised, with their tokens.
    """
    spoken = [character_times(segment.tokens) for segment in segments]
    letters = ["".join(word.normal.split()) for word in script.words]
    written, recognized = "".join(letters), "".join(token.text for own in spoken for token in own)
    partners = match_characters(written, recognized)
    _drop_chance(partners, written, recognized)
    word_of = np.repeat(np.arange(len(letters)), [len(word) for word in letters])
    segment_of = np.repeat(np.arange(len(segments)), [len(own) for own in spoken])
    times = np.array([(token.start, token.end) for own in spoken for token in own]).reshape(-1, 2)
    pairs = np.flatnonzero(partners >= 0)
    votes: dict[int, Counter[int]] = {}
    for word, segment in zip(word_of[pairs].tolist(), segment_of[partners[pairs]].tolist(), strict=True):
        votes.setdefault(word, Counter())[segment] += 1
    home = {word: counted.most_common(1)[0][0] for word, counted in votes.items()}
    aligned = np.zeros(len(recognized), bool)
    aligned[partners[pairs]] = True
    equal = np.zeros(len(recognized), bool)
    equal[[j for i, j in zip(pairs.tolist(), partners[pairs].tolist(), strict=True) if written[i] == recognized[j]]] = (
        True
    )
    _place_missing(home, letters, partners, word_of, segment_of, times, aligned)
    words: list[list[int]] = [[] for _ in segments]
    for word, segment in sorted(home.items()):
        words[segment].append(word)
    ends = np.cumsum([len(own) for own in spoken]).tolist()
    pieces: list[Piece] = []
    for segment, own, first, last in zip(segments, words, [0, *ends], ends, strict=False):
        size = sum(len(letters[word]) for word in own)
        pieces += _pieces(segment, own, size, aligned[first:last], equal[first:last], times[first:last])
    return pieces


def _drop_chance(partners: np.ndarray, written: str, recognized: str) -> None:
    """Remove alignments of a few characters, or of few equal ones, which unrelated texts have, too."""
    pairs = np.flatnonzero(partners >= 0)
    if not len(pairs):
        return
    breaks = np.flatnonzero((np.diff(pairs) > APART) | (np.diff(partners[pairs]) > APART)) + 1
    for block in np.split(pairs, breaks):
        equal = sum(written[i] == recognized[partners[i]] for i in block.tolist())
        longer = max(block[-1] - block[0], partners[block[-1]] - partners[block[0]]) + 1
        if equal < min(LEAST_EQUAL, len(written)) or equal < LEAST_SHARE * longer:
            partners[block] = -1


def _place_missing(
    home: dict[int, int],
    letters: Sequence[str],
    partners: np.ndarray,
    word_of: np.ndarray,
    segment_of: np.ndarray,
    times: np.ndarray,
    aligned: np.ndarray,
) -> None:
    """Add the segments of words without aligned characters, where there is time for them before or after the characters
    of the words beside them; the recognised characters there then count as aligned."""
    if not home:
        return
    usual = float(np.median(times[:, 1] - times[:, 0]))  # seconds of a character
    firsts: dict[int, int] = {}  # of each word, its first and last recognised characters
    lasts: dict[int, int] = {}
    for place in np.flatnonzero(partners >= 0).tolist():
        word, partner = int(word_of[place]), int(partners[place])
        if segment_of[partner] == home[word]:
            firsts.setdefault(word, partner)
            lasts[word] = partner
    known = sorted(home)
    for before, after in zip([-1, *known], [*known, len(letters)], strict=True):
        missing = list(range(before + 1, after))
        if not missing:
            continue
        if before in home and after in home and home[before] == home[after]:
            room = times[firsts[after], 0] - times[lasts[before], 1]
            size = sum(len(letters[word]) for word in missing)
            if size <= FEW or room >= FASTEST * usual * size:
                home.update(dict.fromkeys(missing, home[before]))
            continue
        if before in home and after in home and home[after] == home[before] + 2:
            size, there = sum(len(letters[word]) for word in missing), int(np.sum(segment_of == home[before] + 1))
            if size <= FEW and there / ALIKE <= size <= ALIKE * there:  # the segment between has another word
                home.update(dict.fromkeys(missing, home[before] + 1))
                continue
        if before in home:
            last, end = lasts[before], int(np.flatnonzero(segment_of == home[before])[-1])
            room, few = times[end, 1] - times[last, 1], FEW
            while missing and (size := len(letters[missing[0]])) <= few and room >= FASTEST * usual * size:
                room, few = room - usual * size, few - size
                home[missing.pop(0)] = home[before]
            aligned[last + 1 : min(end, last + FEW - few) + 1] = True
        if after in home:
            first, start = firsts[after], int(np.flatnonzero(segment_of == home[after])[0])
            room, few = times[first, 0] - times[start, 0], FEW
            while missing and (size := len(letters[missing[-1]])) <= few and room >= FASTEST * usual * size:
                room, few = room - usual * size, few - size
                home[missing.pop()] = home[after]
            aligned[max(start, first - (FEW - few)) : first] = True


def _pieces(
    segment: Segment, words: list[int], size: int, aligned: np.ndarray, equal: np.ndarray, times: np.ndarray
) -> list[Piece]:
    """A segment with words of so many characters, without speech at its ends that is not in the script, and that
    speech."""
    recognized = "".join(segment.text.split())
    places = np.flatnonzero(aligned)
    if not words or not len(places):
        return [Piece(segment.start, segment.end, tuple(words), segment.text, 0.0)] if recognized else []
    first, last = int(places[0]), int(places[-1]) + 1
    start, end, found, text = segment.start, segment.end, [], recognized
    if first > UNWRITTEN and times[first, 0] - segment.start > UNWRITTEN_SECONDS:
        start = float(times[first - 1, 1] + times[first, 0]) / 2
        found.append(Piece(segment.start, start, (), recognized[:first], 0.0))
    else:
        first = 0
    if len(aligned) - last > UNWRITTEN and segment.end - times[last - 1, 1] > UNWRITTEN_SECONDS:
        end = float(times[last - 1, 1] + times[last, 0]) / 2
    else:
        last = len(aligned)
    text = segment.text if last - first == len(aligned) else recognized[first:last]
    alike = int(equal[first:last].sum()) / max(size, last - first)
    found.append(Piece(start, end, tuple(words), text, alike))
    if end < segment.end:
        found.append(Piece(end, segment.end, (), recognized[last:], 0.0))
    return found
