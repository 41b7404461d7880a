"""Loads the model of a command with the options that were given; what is wrong with these names them."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.decode.transcribe import Recognizer

SHOWN = 80  # characters of a line of a grammar that a message has
_OPTION = re.compile(r"\bdecode(?:\.\w+)+")


def load_model(
    arguments: argparse.Namespace, changes: dict[str, Any] | None = None, folder: Path | None = None
) -> Recognizer:
    """The recogniser of a model with the options of the command line.

    Args:
        changes: these, where they are not those of the arguments.
        folder: of the model, where it is not that of the arguments.

    Raises:
        EchoError: the model cannot be loaded, or an option does not go with it: it is named as it was given.
    """
    from echo_asr.model.checkpoint import CONFIG
    from echo_asr.research.f0_controls import load_recognizer

    changes, folder = arguments.changes if changes is None else changes, folder or arguments.model
    try:
        return load_recognizer(folder, arguments.device, changes)
    except EchoError as error:
        config = Path(folder) / CONFIG
        given = {name: _given(name, arguments) for name in changes}
        raise EchoError(name_options(str(error), config, given)) from None


def _given(name: str, arguments: argparse.Namespace) -> str:
    """How an option was given on the command line: `--grammar` and `--hotwords` are short for two of decoding."""
    short = name.removeprefix("decode.")
    return f"--{short}" if short in ("grammar", "hotwords") and getattr(arguments, short, None) else f"--{name}"


def name_options(message: str, config: Path, given: dict[str, str]) -> str:
    """A message about settings of decoding that blames options of the command line, where it names some, instead of the
    model's file.

    Args:
        config: the model's file.
        given: by its name each option, as it stands on the command line.
    """
    prefix = f"{config}: "
    about = message.removeprefix(prefix)
    named = dict.fromkeys(_OPTION.findall(about))
    if not message.startswith(prefix) or not named.keys() & given.keys():
        return message
    own = [name for name in named if name not in given]
    of_model = f" ({', '.join(own)}: of {config}, unless an option changes it)" if own else ""
    return _OPTION.sub(lambda found: given.get(found[0], found[0]), about) + of_model


def warn_of_unwritable(recognizer: Recognizer, arguments: argparse.Namespace) -> None:
    """Print a line on standard error if sentences of the grammar cannot be recognised, since the model cannot write a
    word of them."""
    if recognizer.sentences is None:
        return
    accepted = recognizer.sentences.grammar.accepted
    lost = [account for account in accepted.accounts if account.unwritable]
    if not lost:
        return
    first, name = lost[0], accepted.grammar.name
    words = f", for want of {first.unwritable[0]!r}"
    some = f"{len(lost)} of {len(accepted.accounts)} lines have sentences that the model cannot write and never hears"
    text = shorten(first.template.text, SHOWN, placeholder=" ...")
    where = f"first line {first.template.line}: {text}{words}"
    see = f"see echo-asr grammar {name} --model {arguments.model}"
    print(f"echo-asr {arguments.command}: {name}: {some}, {where}; {see}", file=sys.stderr)
