"""How text becomes tokens: the settings of a model's texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from echo_asr.text.conventions import Action, Conventions
from echo_asr.text.find_tones import FoundNotation, find_notation
from echo_asr.text.normalize import Normalizer, make_normalizer
from echo_asr.text.numbers import NUMBERS
from echo_asr.text.orthography import LostSigns, lost_signs
from echo_asr.text.tones import Kind, ToneNotation, Unit

MOST_LOST = 0.05  # share of the words with tones that may lose some in normalising where tone errors are counted


@dataclass(frozen=True)
class TextConfig:
    """How text becomes tokens."""

    normalizer: Literal["basic", "none", "whisper"] = "basic"  # applied to the texts, and part of the model
    tokenizer: str = "character"  # or bpe; or the path of an orthography profile (.tsv) or of a ready tokenizer.json
    vocabulary: int = 500  # symbols of a BPE tokenizer at most, zero included; characters ignore it
    letters: str = ""  # punctuation that is part of words in this orthography, such as ":'-!"; `basic` leaves it alone
    conventions: dict[str, Action] = field(default_factory=dict)  # effects of a transcriber's marks: {"[...]": drop}
    tones: Literal["auto", "none", Kind] = "auto"  # where tone is written; auto: found in the training texts
    tone_marks: str = ""  # the marks, or letters, that write tone; all that `tones` knows unless named
    tone_unit: Unit = "nucleus"  # what carries one tone where diacritics write it
    tone_unmarked: bool = True  # whether a syllable without a mark has a tone of its own
    written: Literal["none", "de", "en", "es", "fr", "vi", "zh", "zh-pinyin"] = "none"  # digits for number words, too

    def __post_init__(self) -> None:
        if self.tokenizer not in ("character", "bpe") and not (self.ready or self.profile):
            known = "character, bpe, or the path of a tokenizer.json or of an orthography profile (.tsv, .csv, .txt)"
            raise ValueError(f"text.tokenizer must be {known}, got {self.tokenizer!r}")
        if self.vocabulary < 2:
            raise ValueError(f"text.vocabulary must be at least 2, got {self.vocabulary}")
        if any(c.isspace() or not c.isprintable() for c in self.letters):
            raise ValueError(f"text.letters must be characters without spaces between, got {self.letters!r}")
        if self.letters and self.normalizer != "basic":
            raise ValueError(f"text.letters goes with text.normalizer basic, got {self.normalizer}")
        if self.tone_marks and self.tones in ("auto", "none"):
            raise ValueError(f"text.tone_marks needs text.tones, such as diacritics or letters, got {self.tones}")
        if self.written not in ("none", *NUMBERS):
            raise ValueError(f"text.written must be one of none, {', '.join(NUMBERS)}, got {self.written!r}")
        try:
            _ = self.transcription, self.notation
        except ValueError as error:
            raise ValueError(f"text: {error}") from None
        if "event" in self.conventions.values() and self.normalizer == "whisper":
            raise ValueError("text.conventions: the normaliser whisper removes the symbol of an event; take drop")

    @property
    def normalize(self) -> Normalizer:
        """What the texts pass through: conventions first, if there are any."""
        normalize = make_normalizer(self.normalizer, self.word_signs, self.tones in ("digits", "superscripts"))
        return partial(_normalize_transcribed, self.transcription, normalize) if self.conventions else normalize

    @property
    def transcription(self) -> Conventions:
        """What becomes of a transcriber's marks."""
        return Conventions(self.conventions)

    @property
    def word_signs(self) -> str:
        """The punctuation that is part of words: `letters`, and under `tones: letters` the signs that write tone."""
        return self.letters + (self.notation.letters_and_signs[1] if self.tones == "letters" and self.notation else "")

    @property
    def notation(self) -> ToneNotation | None:
        """Where tone is written; None where it is not, or not yet found."""
        if self.tones == "auto" or self.tones == "none":
            return None
        return ToneNotation(self.tones, self.tone_marks, self.tone_unit, self.tone_unmarked)

    def find_tones(self, texts: Iterable[str]) -> tuple[TextConfig, FoundNotation | None]:
        """The settings with the tone notation that texts, not normalised, are written in, and how it was found.

        Settings that name a notation, or none, are returned as they are, with None. Where none is found they stay auto.
        """
        if self.tones != "auto":
            return self, None
        plain = replace(self, normalizer="basic").normalize  # none other leaves all tones in place
        found = find_notation(map(plain, texts))
        if found.notation is None:
            return self, found
        one = found.notation
        own = replace(self, tones=one.kind, tone_marks=one.marks, tone_unit=one.unit, tone_unmarked=one.unmarked)
        return own, found

    def lost_signs(self, texts: Iterable[str]) -> LostSigns:
        """Signs of tone and length that normalising removes from texts, or splits off, once conventions are applied."""
        return lost_signs(map(self.transcription, texts), self.normalize, self.notation)

    def measured_notation(self, texts: Sequence[str]) -> ToneNotation | None:
        """The notation in which the tones of normalised texts can be compared; None where texts have none, or where
        normalising removes more than a twentieth of them."""
        settled, _ = self.find_tones(texts)
        lost = settled.lost_signs(texts) if settled.notation else None
        return None if lost is None or lost.tone_words > MOST_LOST * lost.toned else settled.notation

    @property
    def ready(self) -> bool:
        """Whether the tokenizer is a file rather than learnt."""
        return self.tokenizer.endswith(".json")

    @property
    def profile(self) -> bool:
        """Whether the tokenizer splits texts by an orthography profile."""
        return self.tokenizer.endswith((".tsv", ".csv", ".txt"))


def _normalize_transcribed(conventions: Conventions, normalize: Normalizer, text: str) -> str:
    return normalize(conventions(text))
