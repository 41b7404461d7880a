"""Sentences of a grammar: what is heard in clips, and what is better refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from echo_asr.audio import load_audio
from echo_asr.data.corpus import Utterance, load_corpus
from echo_asr.data.noise import noise_clip
from echo_asr.decode.constraint import sentence_graph
from echo_asr.decode.results import Segment, Transcription, Word
from echo_asr.decode.sentences import SURE, best_paths, hear
from echo_asr.decode.transcribe import Recognizer, load
from echo_asr.decode.written import with_written
from echo_asr.errors import EchoError
from echo_asr.evaluate.sentences import hear_clips
from echo_asr.features import collate_features
from echo_asr.text.grammar import Grammar
from echo_asr.text.written import WrittenSpan
from tests.helpers.commands import echo
from tests.helpers.run_here import run

LINES = ["(a:Alpha) (b|c){x}", "[c] a", "b c"]


def grammar_file(folder: Path, *lines: str) -> Path:
    path = folder / "said.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def recognizer(learnt: Path) -> Recognizer:
    return load(learnt, "cpu")


@pytest.fixture(scope="module")
def spoken(corpus: Path) -> list[Utterance]:
    return list(load_corpus(str(corpus)).split("test"))
