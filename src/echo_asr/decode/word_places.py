"""Where a keyword stands in the best text of a clip, and the text with the keyword put in at a place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from echo_asr.decode.keywords import Keyword
from echo_asr.decode.results import Segment
from echo_asr.model.calibration import Calibration

EARLY, LATE = 0.1, 0.3  # seconds before and after its path, at most, in which a word is spoken


@dataclass(frozen=True)
class Spot:
    """A place of a keyword in a clip.

    Attributes:
        start, end: seconds from the clip's beginning.
        text: the best text of the clip, with the keyword there.
        begins, ends: the characters of the keyword in `text`.
        probability: of the keyword, where the best text has it there; else 0.
    """

    start: float
    end: float
    text: str
    begins: int
    ends: int
    probability: float = 0.0

    def aligned(self, texts: Sequence[str], times: Sequence[tuple[float, float]]) -> Spot:
        """The same with the times of the tokens of its text that the keyword has a part in, but for what is farther
        from its path: where the best text lacks its neighbours, these times reach into them."""
        place, own = 0, list[tuple[float, float]]()
        for text, time in zip(texts, times, strict=True):
            if place < self.ends and place + len(text) > self.begins and text.strip():
                own.append(time)
            place += len(text)
        if not own:
            return self
        start, end = max(own[0][0], self.start - EARLY), min(own[-1][1], self.end + LATE)
        return replace(self, start=start, end=end) if start < end else self


def keyword_spots(
    segment: Segment,
    keyword: Keyword,
    paths: Sequence[tuple[float, float, float]],
    least: float,
    calibration: Calibration,
) -> Iterator[tuple[Spot, float]]:
    """The spots of a keyword in a clip, each with the ratio of its CTC path: those of its paths, and those where the
    best text has it without one, whose ratio is the least.

    Args:
        segment: what was recognised, with its tokens and words.
        paths: start and end in seconds, and ratio.
        calibration: of the probabilities of tokens; those of words are calibrated.
    """
    open_spots = list(text_spots(segment, keyword, calibration))
    for start, end, ratio in paths:
        shared = [(min(end, spot.end) - max(start, spot.start), number) for number, spot in enumerate(open_spots)]
        most, number = max(shared, default=(0.0, 0))
        if most > 0:
            yield open_spots.pop(number), ratio
        else:
            yield put_in(segment, keyword, start, end), ratio
    for spot in open_spots:
        yield spot, least


def text_spots(segment: Segment, keyword: Keyword, calibration: Calibration) -> Iterator[Spot]:
    """Where the best text of a clip has a keyword; such spots do not overlap."""
    if keyword.whole:
        parts = [(word.word, word.start, word.end, word.probability) for word in segment.words]
        wanted, text = keyword.text.split(), " ".join(part[0] for part in parts)
        units, gap = [part[0] for part in parts], 1
    else:
        text = "".join(token.text for token in segment.tokens)
        parts = [(c, t.start, t.end, calibration(t.probability)) for t in segment.tokens for c in t.text]
        wanted, units, gap = list(keyword.text), list(text), 0
    index = 0
    while index + len(wanted) <= len(units):
        own = parts[index : index + len(wanted)]
        if units[index : index + len(wanted)] != wanted:
            index += 1
            continue
        begins = sum(len(unit) + gap for unit in units[:index])
        probability = max(min(part[3] for part in own), 1e-6)
        yield Spot(own[0][1], own[-1][2], text, begins, begins + len(keyword.text), probability)
        index += len(wanted)


def put_in(segment: Segment, keyword: Keyword, start: float, end: float) -> Spot:
    """The best text of a clip with a keyword in place of what lies between two times: of whole words those whose middle
    does, and the one that the middle between the times is in; else tokens."""
    middle = (start + end) / 2
    before: list[str] = []
    after: list[str] = []
    for part in segment.words if keyword.whole else segment.tokens:
        centre = (part.start + part.end) / 2
        if start <= centre <= end or (keyword.whole and part.start <= middle <= part.end):
            continue
        (before if centre < middle else after).append(part.word if hasattr(part, "word") else part.text)
    gap = " " if keyword.whole else ""
    first = gap.join([*before, ""])
    text = gap.join([*before, keyword.text, *after])
    return Spot(start, end, text, len(first), len(first) + len(keyword.text))
