"""F0 contours of the syllables of texts, which are aligned with their recordings.

A text is given, or the recognised one. Its words are split into syllables by the tone notation of the model's texts,
and each syllable gets the times of its symbols. Its contour is measured in its voiced part, at points that are equally
spaced in time, the first and the last at the part's ends.

Shapes: `T` frames of 10 ms, frame `t` centred at `t / 100` seconds; `P` points. F0 in Hz.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from echo_asr.audio.convert import frames_to_seconds, seconds_to_frames
from echo_asr.decode.results import Token
from echo_asr.features.contours import SpeakerRange, two_decimals
from echo_asr.features.pitch import fill_track
from echo_asr.text.tones import Syllable, ToneNotation

POINTS = 11  # of a contour: 0, 10, ... 100 % of the voiced part
SHORTEST = 3  # voiced frames; a syllable with fewer has no contour
ENOUGH_VOICE = 5.0  # seconds of voice, below which a speaker's median and range are those of a few words
COLUMNS = ("file", "speaker", "utterance", "syllable", "base", "tone", "start", "end", "probability", "point", "time",
           "hertz", "semitones", "chao", "voiced")  # fmt: skip


@dataclass(frozen=True)
class AlignedSpeech:
    """F0 of a recording, or of an utterance within one, and the texts in it with their times.

    Attributes:
        file: path of the recording.
        start: seconds in the file at which `f0` and the times of the tokens begin.
        speaker: empty if unknown.
        f0: `(T,)`, 0 where unvoiced.
        texts: the symbols of each text, and what the text is called.
    """

    file: str
    start: float
    speaker: str
    f0: np.ndarray
    texts: tuple[tuple[str, tuple[Token, ...]], ...]

    @property
    def voice(self) -> str:
        """Whose range its contours are relative to: the speaker's, or the file's where that is unknown."""
        return self.speaker or self.file


@dataclass(frozen=True)
class TimedSyllable:
    """A syllable with its times in seconds, and the lowest probability of its symbols."""

    syllable: Syllable
    start: float
    end: float
    probability: float  # 0 to 1


@dataclass(frozen=True)
class SyllableContour:
    """The F0 of a syllable. Times are in seconds from the beginning of the file.

    Attributes:
        file, speaker, utterance, voice: as of `AlignedSpeech`.
        number: of the syllable in the utterance, from 1.
        base, tone: as of `echo_asr.text.tones.Syllable`.
        times: `(P,)`.
        f0: `(P,)`, NaN throughout where the syllable has no voiced part.
        voiced: `(P,)` bool, false where F0 is interpolated over unvoiced frames.
    """

    file: str
    speaker: str
    utterance: str
    voice: str
    number: int
    base: str
    tone: str
    start: float
    end: float
    probability: float
    times: np.ndarray
    f0: np.ndarray
    voiced: np.ndarray


def time_syllables(tokens: Sequence[Token], notation: ToneNotation | None) -> list[TimedSyllable]:
    """The syllables of a text with their times, in order.

    A token of several characters is divided between them evenly; combining marks have the time of what they stand on.

    Args:
        tokens: of a text, with their times.
        notation: of tone, which splits words into syllables; None takes each word as a whole.
    """
    characters = _time_characters(tokens)
    found: list[TimedSyllable] = []
    begun = 0
    for word in "".join(character for character, _, _, _ in characters).split():
        while characters[begun][0].isspace():
            begun += 1
        parts = notation.syllables(word) if notation else [Syllable(unicodedata.normalize("NFC", word), "", ())]
        for part in parts:
            own = characters[begun : begun + len(unicodedata.normalize("NFD", str(part)))]
            begun += len(own)
            found.append(TimedSyllable(part, own[0][1], own[-1][2], min(probability for *_, probability in own)))
    return found


def _time_characters(tokens: Sequence[Token]) -> list[tuple[str, float, float, float]]:
    """The characters of a text, decomposed, each with its start, end and probability."""
    found: list[tuple[str, float, float, float]] = []
    pending: list[Token] = []  # tokens without text, which are parts of the character to come
    for token in tokens:
        if not token.text:
            pending.append(token)
            continue
        start = pending[0].start if pending else token.start
        probability = min(one.probability for one in (*pending, token))
        pending.clear()
        characters = unicodedata.normalize("NFD", token.text)
        spaced = [not c.isspace() and not unicodedata.combining(c) for c in characters]
        edges = np.linspace(start, token.end, max(1, sum(spaced)) + 1).tolist()
        for character, place in zip(characters, np.cumsum(spaced).tolist(), strict=True):
            place = max(place, 1)
            found.append((character, edges[place - 1], edges[place], probability))
    return found


def voiced_part(f0: np.ndarray) -> tuple[int, int] | None:
    """The first voiced frame of the voiced part of F0 `(T,)`, and the first one after it; None where there is none.

    It is the longest run of voiced frames, with the runs beside it as long as the gap between is no longer than the
    shorter run. So creak within a vowel is bridged, and a few frames of another syllable, beyond a stop, are left out.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], f0 > 0, [False]))))
    runs = edges.reshape(-1, 2).tolist()
    if not runs:
        return None
    longest = max(range(len(runs)), key=lambda n: runs[n][1] - runs[n][0])
    (start, end), left, right = runs[longest], longest - 1, longest + 1
    while True:
        if left >= 0 and start - runs[left][1] <= min(end - start, runs[left][1] - runs[left][0]):
            start, left = runs[left][0], left - 1
        elif right < len(runs) and runs[right][0] - end <= min(end - start, runs[right][1] - runs[right][0]):
            end, right = runs[right][1], right + 1
        else:
            return (start, end) if np.count_nonzero(f0[start:end]) >= SHORTEST else None


def sample_contour(
    f0: np.ndarray, start: float, end: float, points: int = POINTS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, F0 and voicing of the contour between two times of F0 `(T,)`: `(P,)` each.

    F0 is interpolated in octaves between voiced frames. Without a voiced part of 30 ms or more the times are spread
    over the whole syllable, and F0 is NaN.
    """
    first = max(0, int(np.ceil(seconds_to_frames(start) - 1e-6)))
    after = min(len(f0), int(np.floor(seconds_to_frames(end) + 1e-6)) + 1)
    part = voiced_part(f0[first:after]) if first < after else None
    if part is None:
        return np.linspace(start, end, points), np.full(points, np.nan), np.zeros(points, bool)
    inside = f0[first + part[0] : first + part[1]]
    at = np.linspace(0, len(inside) - 1, points)
    octaves = np.log2(fill_track(inside).astype(np.float64))
    found = np.exp2(np.interp(at, np.arange(len(inside)), octaves))
    return frames_to_seconds(first + part[0] + at), found, inside[np.rint(at).astype(int)] > 0


def syllable_contours(
    speech: Iterable[AlignedSpeech], notation: ToneNotation | None, points: int = POINTS
) -> list[SyllableContour]:
    """The contours of all syllables of aligned texts, in order.

    Args:
        notation: of tone; None takes each word as a whole.
        points: of a contour, at least 2.
    """
    found: list[SyllableContour] = []
    for one in speech:
        for utterance, tokens in one.texts:
            for number, timed in enumerate(time_syllables(tokens, notation), 1):
                times, f0, voiced = sample_contour(one.f0, timed.start, timed.end, points)
                own = (one.file, one.speaker, utterance, one.voice, number, timed.syllable.base, timed.syllable.tone)
                edges = (one.start + timed.start, one.start + timed.end, timed.probability)
                found.append(SyllableContour(*own, *edges, one.start + times, f0, voiced))
    return found


def speaker_ranges(speech: Iterable[AlignedSpeech]) -> dict[str, SpeakerRange]:
    """The range of each voice (`AlignedSpeech.voice`), over all of its voiced frames; voices without any are left
    out."""
    voiced: dict[str, list[np.ndarray]] = {}
    for one in speech:
        voiced.setdefault(one.voice, []).append(one.f0[one.f0 > 0])
    ranges = {voice: SpeakerRange.of(np.concatenate(parts)) for voice, parts in voiced.items()}
    return {voice: found for voice, found in ranges.items() if found}


def short_voices(speech: Iterable[AlignedSpeech]) -> list[str]:
    """The voices with a range that is of less than `ENOUGH_VOICE` seconds of voiced frames."""
    frames: Counter[str] = Counter()
    for one in speech:
        frames[one.voice] += int(np.count_nonzero(one.f0 > 0))
    return [voice for voice, count in frames.items() if 0 < count < seconds_to_frames(ENOUGH_VOICE)]


def contours_to_csv(contours: Iterable[SyllableContour], ranges: Mapping[str, SpeakerRange]) -> str:
    """A row for each point of each syllable, with `COLUMNS`; what is not voiced is empty.

    Points are numbered from 0; times are in seconds in the file, semitones about the median of the speaker's F0, and
    levels between the 5 and the 95 % of it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in contours:
        own = (one.file, one.speaker, one.utterance, one.number, one.base, one.tone, f"{one.start:.3f}",
               f"{one.end:.3f}", f"{one.probability:.3f}")  # fmt: skip
        speaker = ranges.get(one.voice)
        for point, (time, hertz) in enumerate(zip(one.times, one.f0, strict=True)):
            values: tuple[str, ...] = ("", "", "")
            if hertz > 0 and speaker:
                values = tuple(map(two_decimals, (hertz, speaker.semitones(hertz), speaker.levels(hertz))))
            writer.writerow((*own, point, f"{time:.3f}", *values, int(one.voiced[point])))
    return out.getvalue()
