"""Error rates of each speaker, with intervals about other utterances of that speaker.

Speakers differ by more than chance. The error rate of several together, and its interval, hold for these speakers in
these proportions, those of one speaker for that one. From few speakers nothing follows for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from echo_asr.evaluate.metrics import ErrorRate, count_errors, rate_of_counts
from echo_asr.evaluate.tone_errors import count_tone_errors
from echo_asr.text.linebreak import display_width
from echo_asr.text.tones import ToneNotation

MOST_PRINTED = 20  # speakers
UNKNOWN = "(unknown)"


@dataclass(frozen=True)
class SpeakerErrors:
    """Error rates of one speaker.

    Attributes:
        speaker: empty where nobody names one.
        wer, cer: of words and characters.
        tone, base: of tones and base syllables (see `tone_errors`); None where the texts have no tones.
    """

    speaker: str
    utterances: int
    wer: ErrorRate
    cer: ErrorRate
    tone: ErrorRate | None = None
    base: ErrorRate | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them, without those that are None."""
        rates = {name: getattr(self, name) for name in ("wer", "cer", "tone", "base")}
        found = {name: rate.to_dict() for name, rate in rates.items() if rate is not None}
        return {"speaker": self.speaker, "utterances": self.utterances, **found}


def errors_by_speaker(
    speakers: Sequence[str],
    references: Sequence[str],
    hypotheses: Sequence[str],
    notation: ToneNotation | None = None,
) -> list[SpeakerErrors]:
    """The errors of each speaker, by name; utterances without one come last, as a speaker with an empty name. Nothing
    where there are not two.

    Args:
        speakers: of each utterance.
        references, hypotheses: texts, compared as they come.
        notation: of the tones; None for texts without.
    """
    names = sorted(set(speakers), key=lambda name: (not name, name))
    if len(names) < 2:
        return []
    counts = {"wer": count_errors(references, hypotheses, "word")}
    counts["cer"] = count_errors(references, hypotheses, "character")
    if notation is not None:
        counts["tone"], counts["base"], _ = count_tone_errors(references, hypotheses, notation)
    found = []
    for name in names:
        own = np.array([speaker == name for speaker in speakers])
        rates = {unit: rate_of_counts(of_all[own]) for unit, of_all in counts.items()}
        found.append(SpeakerErrors(name, int(own.sum()), **rates))
    return found


def speaker_lines(found: Sequence[SpeakerErrors]) -> list[str]:
    """The table as it is printed: a row for each speaker, of many those with the highest word error; none without."""
    if not found:
        return []
    shown, title = found, "by speaker"
    if len(found) > MOST_PRINTED:
        shown = sorted(found, key=lambda row: -row.wer.percent)[:MOST_PRINTED]
        title = f"of {len(found)} speakers the {MOST_PRINTED} with the highest word error (--json has all)"
    rates = {
        "words": "wer",
        "characters": "cer",
        **({"tones": "tone", "base syllables": "base"} if found[0].tone else {}),
    }
    cells = [["", "utterances", *(f"{name}, %" for name in rates)]]
    for row in shown:
        name = " ".join(row.speaker.split()) or UNKNOWN
        cells.append([name, str(row.utterances), *(_short(getattr(row, rate)) for rate in rates.values())])
    widths = [max(display_width(line[column]) for line in cells) for column in range(len(cells[0]))]
    return [
        f"{title}; an interval is about other utterances of that speaker, not about other speakers",
        *("  " + "  ".join(_padded(c, w, left=not n) for n, (c, w) in enumerate(zip(line, widths, strict=True)))
          for line in cells),
    ]  # fmt: skip


def _short(rate: ErrorRate) -> str:
    return f"{rate.percent:.2f} ({rate.ci95[0]:.2f} to {rate.ci95[1]:.2f})"


def _padded(cell: str, width: int, left: bool) -> str:
    space = " " * (width - display_width(cell))
    return cell + space if left else space + cell
