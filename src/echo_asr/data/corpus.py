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
from dataclasses import dataclass
from typing import Literal

from echo_asr.audio import SoundSource
from echo_asr.data.readers.forms import find_records
from echo_asr.data.readers.records import SPLITS, Broken, Problems, Record, Recording, usable
from echo_asr.errors import EchoError

Sound = Recording | SoundSource
BROKEN = ("refuse", "skip")  # what can be done about broken records


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
    return corpus


def read_corpus(spec: str | os.PathLike[str], problems: Problems | None = None) -> Corpus:
    """The corpus that ``spec`` names, without its broken records, of which nothing is said but in `Corpus.broken`.

    Raises:
        EchoError: there is no corpus, one of its files is unreadable, it lists nothing at all, or a suffix asks for
            what is not there.
    """
    spec = os.fspath(spec)
    problems = Problems() if problems is None else problems
    if "@" in spec:
        from echo_asr.data.variants import split_variant, with_suffix  # here, for it knows what a corpus is

        if found := split_variant(spec):
            inner, suffix = found
            return with_suffix(read_corpus(inner, problems), suffix)
    source, records = find_records(spec, problems)
    utterances = tuple(_utterances(usable(records, problems)))
    if not utterances and not problems.found:
        raise EchoError(f"{source} lists no recordings; add a line for each audio file")
    return Corpus(spec, utterances, tuple(problems.found))


def _utterances(records: Iterator[Record]) -> Iterator[Utterance]:
    for r in records:
        assert r.duration is not None
        yield Utterance(r.id, r.audio, r.text, r.speaker, r.split, r.duration)
