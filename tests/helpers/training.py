"""Training as the command does it, from a file of configuration and words of a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from echo_asr.config import parse_words
from echo_asr.research.diagnose.monitor import look_inside
from echo_asr.train import run
from echo_asr.train.recipe import read_config
from echo_asr.train.state import Progress


def train(config: Path, corpus: str, out: Path, words: Sequence[str] = (), **options: Any) -> Progress:
    """`train` of `echo_asr.train.run`; options are its own."""
    return run.train(read_config(config, parse_words(words)), corpus, out, monitor=look_inside, **options)
