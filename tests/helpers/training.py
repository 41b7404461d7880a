"""Training as the command does it, from a file of configuration and words of a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from echo_asr.config import parse_words
from echo_asr.research.diagnose.monitor import look_inside
from echo_asr.train import run
from echo_asr.train.recipe import read_config
from echo_asr.train.report import Reporter
from echo_asr.train.state import Progress


class Crash(BaseException):
    """The end of a process, as far as training is concerned."""


def train(config: Path, corpus: str, out: Path, words: Sequence[str] = (), **options: Any) -> Progress:
    """`train` of `echo_asr.train.run`; options are its own."""
    return run.train(read_config(config, parse_words(words)), corpus, out, monitor=look_inside, **options)


def train_until_crash(
    update: int, config: Path, corpus: str, out: Path, words: Sequence[str] = (), **options: Any
) -> None:
    """As `train`, which ends right after an update, before that is validated or kept."""
    advance = Reporter.advance

    def advance_or_crash(self: Reporter, step: int, measured: Any) -> None:
        advance(self, step, measured)
        if step == update:
            raise Crash

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        patch.setattr(Reporter, "advance", advance_or_crash)
        train(config, corpus, out, words, **options)
