"""A model for commands that need one: that of a folder, or one that is trained on the spot."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from echo_asr.commands.arguments import CONFIG, Parser, named_path
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.decode.transcribe import Recognizer

RECIPE = "arctic"  # characters at 20 ms with CTC to lead, which is what times come from


def add_model(parser: Parser, trained_on: str) -> None:
    """The arguments `--model`, `--recipe` and `--train-into`.

    Args:
        trained_on: the corpus of a model that is trained on the spot, for the help.
    """
    parser.add_argument(
        "--model", type=named_path, metavar="MODEL", help=f"folder of a model (default: train one on {trained_on})"
    )
    parser.add_argument("--recipe", metavar="CONFIG", help=f"to train with: {CONFIG} (default {RECIPE})")
    parser.add_argument("--train-into", type=named_path, metavar="RUN", help="keep the trained model in this folder")


def check_model(arguments: argparse.Namespace, corpus: str | None, mend: str = "") -> None:
    """Refuse arguments that do not go together, before anything is read.

    Raises:
        EchoError: neither a model nor a corpus to train on, or both.
    """
    if arguments.model is None and corpus is None:
        raise EchoError(f"no model; name one with --model{mend}")
    for option in ("recipe", "train_into"):
        if arguments.model is not None and getattr(arguments, option) is not None:
            raise EchoError(
                f"--{option.replace('_', '-')} is for training, and --model names a trained one; leave one out"
            )


@contextmanager
def model_or_training(arguments: argparse.Namespace, corpus: str | None) -> Iterator[Recognizer]:
    """The recogniser of `--model`, or of a model that is trained on a corpus first, into `--train-into`, or into a
    temporary folder, which is deleted in the end. Prints what is trained, and how long it took.

    Raises:
        EchoError: as `load_recognizer`, `read_config` and `train`.
    """
    from echo_asr.commands.recognizer import load_model
    from echo_asr.research.f0_controls import load_recognizer

    if arguments.model is not None:
        yield load_model(arguments)
        return
    from echo_asr.train.recipe import read_config
    from echo_asr.train.run import train

    assert corpus is not None
    recipe = arguments.recipe or RECIPE
    sections = read_config(recipe, arguments.changes)
    with tempfile.TemporaryDirectory(prefix="echo-asr-", ignore_cleanup_errors=True) as temporary:
        run = arguments.train_into or Path(temporary) / "model"
        kept = "" if arguments.train_into else ", which is deleted in the end; --train-into RUN keeps it"
        updates = f"{sections['train'].max_steps} updates; --train.max_steps sets another number"
        name = f"echo-asr {arguments.command}"
        print(
            f"{name}: no --model, so one is trained on {corpus} by {recipe} ({updates}) in {run}{kept}", file=sys.stderr
        )
        began = time.perf_counter()
        progress = train(sections, corpus, run, device=arguments.device, broken=getattr(arguments, "broken", "refuse"))
        minutes = (time.perf_counter() - began) / 60
        print(f"{name}: trained for {progress.step} updates in {minutes:.1f} minutes", file=sys.stderr)
        own = {option: value for option, value in arguments.changes.items() if option.startswith("decode.")}
        yield load_recognizer(run, arguments.device, own)
