"""Checks of how texts are written, for `echo-asr corpus check`: marks of transcribers, tone, and what normalising
does to both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from echo_asr.data.text_checks import Finding
from echo_asr.text.config import TextConfig
from echo_asr.text.conventions import EVENT
from echo_asr.text.find_tones import FoundNotation
from echo_asr.text.marks import FoundMark, find_marks, proposed_conventions
from echo_asr.text.orthography import LostSigns, Merged, lost_signs, merged_words
from echo_asr.text.tone_like import MIXED, ToneUse, tone_use
from echo_asr.text.tones import CHAO_LETTERS, ToneNotation, show_tone

FEWEST = 5  # words in another notation, below which they are single slips
_NO_TONE_LETTERS = dict.fromkeys(map(ord, CHAO_LETTERS))
_TONE_DIGITS = re.compile(r"(?<=[^\W\d_])\d+")


@dataclass(frozen=True)
class Writing:
    """How texts are written, conventions applied.

    Attributes:
        notation: of tone; None where none is found or set.
        searched: whether tone was looked for.
        marks: of the transcriber, that no convention names.
        lost: signs of tone and length that normalising removes.
        merged: words that normalising makes equal, or splits.
        texts: the texts without those marks, and without signs of tone that are reported here; None for those that
            the proposed conventions exclude.
    """

    notation: ToneNotation | None
    searched: bool
    use: ToneUse
    marks: tuple[FoundMark, ...]
    lost: LostSigns
    merged: Merged
    texts: tuple[str | None, ...]

    @property
    def share(self) -> float:
        """Of the words with letters that carry a tone, 0 to 1."""
        return self.use.own.share if self.use.own else 0.0

    def __str__(self) -> str:
        if self.notation is None:
            return "tones: none found" if self.searched else "tones: none, as text.tones has it"
        return f"tones: {self.notation}, on {100 * self.share:.0f} % of the words"

    def to_dict(self) -> dict[str, Any]:
        """The notation and its share, and the marks with the proposed conventions."""
        notation = self.notation
        tones = {**asdict(notation), "share": round(self.share, 5)} if notation else None
        marks = [{**asdict(one), "examples": list(one.examples)} for one in self.marks]
        return {"tones": tones, "marks": marks}


def examine_writing(texts: Sequence[str], settings: TextConfig, found: FoundNotation | None) -> Writing:
    """How texts are written, and what becomes of them under the settings of a model's texts.

    Args:
        found: the notation that `settings` have from these texts; None where it was set.
    """
    tones = found or (FoundNotation(settings.notation, 1.0) if settings.notation else None)
    normalize, conventions = settings.normalize, settings.transcription
    plain = [conventions(text) for text in texts]
    marks = tuple(find_marks(texts, conventions, settings.word_signs))
    proposed = proposed_conventions(marks)
    left = [proposed.apply(text) for text in plain]
    bare = [one.text.replace(EVENT, " ") for one in left]
    # A hyphen before a word may be part of it, and then tells it from another.
    others = proposed_conventions([one for one in marks if one.mark != "-word"])
    notation = tones.notation if tones else None
    use = tone_use(bare if tones else (), notation, tones.doubtful if tones else ())
    lost = lost_signs(bare, normalize, notation)
    merged = merged_words(map(others, plain), normalize, lost.characters)
    digits = any(one.signs == "digits" for one in _reported(use, notation))
    rest = [text.translate(_NO_TONE_LETTERS) for text in bare]
    rest = [_TONE_DIGITS.sub("", text) for text in rest] if digits else rest
    kept = tuple(None if one.excluded else text for one, text in zip(left, rest, strict=True))
    return Writing(notation, tones is not None, use, marks, lost, merged, kept)


def check_writing(name: str, writing: Writing) -> Iterator[Finding]:
    """Findings about a whole corpus: its marks, its tones, and what normalising does."""
    for mark in writing.marks:
        yield Finding("marks of the transcriber", "warning", name, f"has {mark}")
    yield from _check_tones(name, writing)
    if writing.lost:
        yield Finding("lost tones or lengths", "warning", name, str(writing.lost))
    if writing.merged:
        yield Finding("words that fall together", "warning", name, str(writing.merged))


def _reported(use: ToneUse, notation: ToneNotation | None) -> list[Any]:
    """Other signs of tone that are reported: without a notation, digits behind a few words are not."""
    return [one for one in use.others if notation or one.signs != "digits" or one.share >= MIXED]


def _check_tones(name: str, writing: Writing) -> Iterator[Finding]:
    use, notation = writing.use, writing.notation
    others = _reported(use, notation)
    mixed = [one for one in others if use.own and one.notation and one.share >= MIXED and one.words >= FEWEST]
    if mixed:
        both = " and ".join(map(str, (use.own, *mixed)))
        yield Finding("mixed tone notations", "warning", name, f"writes tone as {both}; write all in one notation")
    if marks := [one for one in others if notation is None and not one.notation]:
        shown = ", ".join(map(str, marks))
        advice = "if they are, set text.tones diacritics and text.tone_marks; if not, text.tones none"
        yield Finding("looks like tone", "warning", name, f"has marks that may be tones: {shown}; {advice}")
    for one in others:
        if one in mixed or one in marks:
            continue
        if notation is None:
            advice = f"set text.tones {one.signs} if it is tone, else text.tones none"
            yield Finding("looks like tone", "warning", name, f"has {one}, which may be tone; {advice}")
        else:
            advice = "name them in text.tone_marks if they are tones"
            if one.notation:
                advice = "correct them, unless they are of another language"
            what = f"has {one}, which look like tone, and tones are {notation.kind}; {advice}"
            yield Finding("looks like tone", "warning", name, what)
    if use.rare:
        few = "; ".join(
            f"{show_tone(tone)} {count} of {use.syllables}: {', '.join(w)}" for tone, count, w in use.rare[:5]
        )
        more = f"; and {len(use.rare) - 5} more" if len(use.rare) > 5 else ""
        what = f"has tones that few syllables have ({few}{more}); correct them, if they are slips"
        yield Finding("rare tones", "warning", name, what)
