"""A corpus: recordings, their texts, and which of them are for training, validation and test.

A corpus is named by one string, the *spec*: the path of a folder or a file in one of the forms that people have,
``synth:NAME``, speech made by `echo_asr.data.synth`, or ``hf:REPO:CONFIG``, a data set of the Hugging Face hub. The
forms are described in docs/corpora.md and read in `echo_asr.data.readers`. A suffix such as ``@noise:10`` names a
variant (`echo_asr.data.variants`), one such as ``@part:0.25`` a selection (`echo_asr.data.selections`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from echo_asr.audio import SoundSource
from echo_asr.data.readers.forms import find_records
from echo_asr.data.readers.records import SPLITS, Broken, Doubt, Problems, Record, Recording, usable
from echo_asr.errors import EchoError
from echo_asr.text.normalize import is_blank

Sound = Recording | SoundSource
BROKEN = ("refuse", "skip")  # what can be done about broken records
EmptyTexts = Literal["silence", "skip"]  # what an empty text means: nobody speaks, or it is not yet written


@dataclass(frozen=True)
class Utterance:
    """One recording and its text."""

    id: str  # the name that the corpus has for it, unique there: of a folder with metadata.csv, the file name
    audio: Sound  # the audio file, the stretch of one, or what stands for one
    text: str  # as transcribed, not normalised; empty for a recording without speech
    speaker: str  # empty if unknown
    split: str  # one of SPLITS
    duration: float  # seconds


@dataclass(frozen=True)
class Corpus:
    """Utterances in the order of the corpus, and the spec that named them."""

    name: str  # the spec, such as "synth:tones" or the path of a folder
    utterances: tuple[Utterance, ...]
    broken: tuple[Broken, ...] = ()  # records that were left out
    doubts: tuple[Doubt, ...] = ()  # what a person should look at

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have utterances, in the order train, validation, test."""
        present = {utterance.split for utterance in self.utterances}
        return tuple(split for split in SPLITS if split in present)

    def split(self, name: str) -> tuple[Utterance, ...]:
        """The utterances of one split. Raises EchoError, naming the splits there are, if it has none."""
        chosen = tuple(utterance for utterance in self.utterances if utterance.split == name)
        if not chosen:
            mend = "; echo-asr corpus split makes one" if name in SPLITS and self.utterances else ""
            raise EchoError(f"corpus {self.name} has no split {name!r}; choose from: {', '.join(self.splits)}{mend}")
        return chosen


def load_corpus(spec: str | os.PathLike[str], broken: Literal["refuse", "skip"] = "refuse") -> Corpus:
    """The corpus that ``spec`` names.

    Args:
        spec: a folder or file, ``synth:NAME`` or ``hf:REPO:CONFIG``; see docs/corpora.md for the forms.
        broken: what becomes of records that cannot be used (no audio file, bad times, no id, text that is not UTF-8,
            too few fields): ``refuse`` the corpus, or ``skip`` them with one warning that counts them.

    Raises:
        EchoError: there is no corpus in a known form, one of its files is unreadable, it is empty, or has broken
            records; with file and line.
    """
    if broken not in BROKEN:
        raise EchoError(f"broken: expected one of {', '.join(BROKEN)}; got {broken!r}")
    problems = Problems()
    corpus = read_corpus(spec, problems)
    if broken == "refuse":
        problems.refuse()
    if corpus.broken:
        total = len(corpus.utterances) + len(corpus.broken)
        told = f"{len(corpus.broken)} of {total} records are left out, first: {corpus.broken[0].message}"
        if not corpus.utterances:
            raise EchoError(f"{corpus.name}: {told}")
        warnings.warn(f"{corpus.name}: {told}", stacklevel=2)
    for doubt in corpus.doubts:
        warnings.warn(f"{doubt.where} {doubt.message}", stacklevel=2)
    return corpus


def read_corpus(
    spec: str | os.PathLike[str], problems: Problems | None = None, empty: EmptyTexts | None = None
) -> Corpus:
    """The corpus that ``spec`` names, without its broken records, of which nothing is said but in `Corpus.broken`.

    Args:
        empty: what an empty text means, as the suffix ``@empty`` says: ``silence`` (nobody speaks) or ``skip`` (not yet
            written: it is left out); None for ``skip`` in ELAN, and ``silence`` in every other form.

    Raises:
        EchoError: there is no corpus, one of its files is unreadable, it lists nothing at all, or a suffix asks for
            what is not there.
    """
    spec = os.fspath(spec)
    problems = Problems() if problems is None else problems
    if "@" in spec:
        # here, for these know what a corpus is
        from echo_asr.data.selections import Empty
        from echo_asr.data.variants import split_variant, with_suffix

        if found := split_variant(spec):
            inner, suffix = found
            if isinstance(suffix, Empty):
                return replace(read_corpus(inner, problems, empty or suffix.meaning), name=spec)
            return with_suffix(read_corpus(inner, problems, empty), suffix)
    source, records = find_records(spec, problems)
    texts = _EmptyTexts(empty)
    utterances = tuple(_utterances(usable(texts.settle(records), problems)))
    if not utterances and not problems.found:
        if texts.left_out:
            raise EchoError(f"{source} {texts}")
        raise EchoError(f"{source} lists no recordings; add a line for each audio file")
    doubts = [Doubt("empty texts", spec, str(texts))] if texts.left_out or texts.kept else []
    return Corpus(spec, utterances, tuple(problems.found), (*doubts, *problems.doubts))


def _line(text: str) -> str:
    """A text without line breaks, which some forms allow."""
    lines = text.splitlines()
    return text if len(lines) < 2 else " ".join(lines)


class _EmptyTexts:
    """Takes empty texts for silence, or leaves them out as not yet written, and counts them."""

    def __init__(self, meaning: EmptyTexts | None) -> None:
        self.meaning = meaning
        self.records = self.left_out = self.kept = 0

    def settle(self, records: Iterator[Record]) -> Iterator[Record]:
        """The records without those that are left out."""
        for record in records:
            self.records += 1
            if record.unwritten or is_blank(record.text):
                if self.meaning == "skip" or (record.unwritten and self.meaning is None):
                    self.left_out += 1
                    continue
                self.kept += 1
            yield record

    def __str__(self) -> str:
        count = self.left_out or self.kept
        what = "left out as not yet written" if self.left_out else "taken for silence"
        other = "@empty:silence takes them for silence" if self.left_out else "@empty:skip leaves them out"
        mend = "" if self.meaning else f"; {other}"
        return f"has {count} of {self.records} texts empty, which {'is' if count == 1 else 'are'} {what}{mend}"


def _utterances(records: Iterator[Record]) -> Iterator[Utterance]:
    for r in records:
        assert r.duration is not None
        yield Utterance(r.id, r.audio, _line(r.text), _line(r.speaker), r.split, r.duration)
