"""The folder of a run: whether one can be started or resumed there."""

from __future__ import annotations

import os
from pathlib import Path

from echo_asr.errors import EchoError
from echo_asr.model.checkpoint import CONFIG, TOKENIZER, WEIGHTS
from echo_asr.train.state import CHECKPOINT


def check_folder(run: Path, resume: bool) -> None:
    """Make sure that a run can be started (or resumed) in a folder, without making it.

    Raises:
        EchoError: there is something else, nothing to resume, or the folder could not be made.
    """
    above = next(path for path in (run.absolute(), *run.absolute().parents) if path.exists())
    if above != run.absolute() and not (above.is_dir() and os.access(above, os.W_OK)):
        raise EchoError(f"{run}: cannot be written, {above} is no folder that you may write to; choose another --out")
    if resume:
        if not (run / CHECKPOINT).is_file():
            raise EchoError(f"{run}: no run to resume there, no {CHECKPOINT}; leave out --resume to start one")
    elif run.exists() and (not run.is_dir() or any(p.is_file() and p.suffix != ".part" for p in run.rglob("*"))):
        remedy = "go on with --resume, or " if (run / CHECKPOINT).is_file() else ""
        raise EchoError(f"{run}: exists and is not empty; {remedy}choose another --out")


def is_model(run: Path) -> bool:
    """Whether all files of a model are in a folder."""
    return all((run / name).is_file() for name in (CONFIG, TOKENIZER, WEIGHTS))
