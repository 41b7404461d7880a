"""A corpus: recordings with their texts, in splits for training, validation and test.

A corpus is named by one string, the *spec*: the path of a folder or a file in one of several forms, ``synth:NAME``,
synthetic speech of `echo_asr.data.synth`, or ``hf:REPO:CONFIG``, a data set of the Hugging Face hub. The
forms are described in docs/corpora.md and read in `echo_asr.data.readers`. A suffix such as ``@noise:10`` names a
variant (`echo_asr.data.variants`), one such as ``@part:0.25`` a selection (`echo_asr.data.selections`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from echo_asr.audio import AudioSource
from echo_asr.data.readers.forms import find_records
from echo_asr.data.readers.records import SPLITS, BrokenRecord, Notice, Problems, Record, Recording, valid_records
from echo_asr.errors import EchoError
from echo_asr.text.normalize import is_blank

Audio = Recording | AudioSource
BROKEN = ("refuse", "skip")  # ways to treat broken records
EmptyTexts = Literal["silence", "skip"]  # meaning of an empty text: no speech, or not yet transcribed


@dataclass(frozen=True)
class Utterance:
    """One recording and its text."""

    id: str  # unique in the corpus; in a folder with metadata.csv, the file name
    audio: Audio  # an audio file, a segment of one, or computed audio
    text: str  # as transcribed, not normalised; empty for a recording without speech
    speaker: str  # empty if unknown
    split: str  # one of SPLITS
    duration: float  # seconds


@dataclass(frozen=True)
class Corpus:
    """Utterances in the order of the corpus, and the spec that named them."""

    name: str  # the spec, such as "synth:tones" or the path of a folder
    utterances: tuple[Utterance, ...]
    broken: tuple[BrokenRecord, ...] = ()  # records that were left out
    notices: tuple[Notice, ...] = ()  # what its owner should check

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
        broken: how to treat records that cannot be used (no audio file, bad times, no id, text that is not UTF-8,
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
        message = f"{len(corpus.broken)} of {total} records are left out, first: {corpus.broken[0].message}"
        if not corpus.utterances:
            raise EchoError(f"{corpus.name}: {message}")
        warnings.warn(f"{corpus.name}: {message}", stacklevel=2)
    for notice in corpus.notices:
        warnings.warn(f"{notice.where} {notice.message}", stacklevel=2)
    return corpus


def read_corpus(
    spec: str | os.PathLike[str], problems: Problems | None = None, empty: EmptyTexts | None = None
) -> Corpus:
    """The corpus that ``spec`` names, without its broken records, which are listed in `Corpus.broken`.

    Args:
        empty: the meaning of an empty text, as in the suffix ``@empty``: ``silence`` (nobody speaks) or ``skip`` (not
            yet transcribed: left out); None for ``skip`` in ELAN, and ``silence`` in every other form.

    Raises:
        EchoError: there is no corpus, one of its files is unreadable, it lists nothing at all, or a suffix selects
            nothing.
    """
    spec = os.fspath(spec)
    problems = Problems() if problems is None else problems
    if "@" in spec:
        # imported here, since these modules import this one
        from echo_asr.data.selections import Empty
        from echo_asr.data.variants import split_variant, with_suffix

        if found := split_variant(spec):
            inner, suffix = found
            if isinstance(suffix, Empty):
                return replace(read_corpus(inner, problems, empty or suffix.meaning), name=spec)
            return with_suffix(read_corpus(inner, problems, empty), suffix)
    source, records = find_records(spec, problems)
    texts = _EmptyTexts(empty)
    utterances = tuple(_utterances(valid_records(texts.settle(records), problems)))
    if not utterances and not problems.found:
        if texts.left_out:
            raise EchoError(f"{source} {texts}")
        raise EchoError(f"{source} lists no recordings; add a line for each audio file")
    notices = [Notice("empty texts", spec, str(texts))] if texts.left_out or texts.kept else []
    return Corpus(spec, utterances, tuple(problems.found), (*notices, *problems.notices))


def _line(text: str) -> str:
    """A text with its line breaks, which some forms allow, replaced by spaces."""
    lines = text.splitlines()
    return text if len(lines) < 2 else " ".join(lines)


class _EmptyTexts:
    """Keeps empty texts as silence, or leaves them out as not yet transcribed, and counts them."""

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
        what = "left out as not yet transcribed" if self.left_out else "taken for silence"
        other = "@empty:silence takes them for silence" if self.left_out else "@empty:skip leaves them out"
        mend = "" if self.meaning else f"; {other}"
        return f"has {count} of {self.records} texts empty, which {'is' if count == 1 else 'are'} {what}{mend}"


def _utterances(records: Iterator[Record]) -> Iterator[Utterance]:
    for r in records:
        assert r.duration is not None
        yield Utterance(r.id, r.audio, _line(r.text), _line(r.speaker), r.split, r.duration)
