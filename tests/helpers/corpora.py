"""What tests ask of a corpus."""

from __future__ import annotations

import os

import pytest

from echo_asr.data.corpus import Corpus, load_corpus
from echo_asr.errors import EchoError


def rows(corpus: Corpus) -> list[tuple[str, str, str, str]]:
    """The id, text, speaker and split of each utterance."""
    return [(u.id, u.text, u.speaker, u.split) for u in corpus.utterances]


def load_without_broken(spec: str | os.PathLike[str], refused: str, left_out: str) -> Corpus:
    """What is left of a corpus with broken records. It is refused with one message, and where they are skipped there is
    a warning; both are patterns."""
    with pytest.raises(EchoError, match=refused):
        load_corpus(spec)
    with pytest.warns(UserWarning, match=left_out):
        return load_corpus(spec, "skip")
