"""The command `echo-asr`: its parser, and errors in one line. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from echo_asr import __version__
from echo_asr.commands.arguments import Parser
from echo_asr.distributed.launch import find_rank, first_message
from echo_asr.errors import EchoError
from echo_asr.libraries import settle_libraries
from echo_asr.output import use_utf8_names, use_utf8_streams

# Modules of `echo_asr.commands`, in the order of the help.
COMMANDS = ("demo", "recipes", "probe", "prepare", "train", "evaluate", "study", "transcribe", "find", "listen",
            "serve", "grammar", "align", "retone", "pitch", "elan", "lm", "corpus", "diagnose", "plot",
            "doctor")  # fmt: skip
SHARED = ("prepare", "train", "transcribe")  # commands whose work several processes share
INTERRUPTED = 130  # exit status after Ctrl-C, as shells have it


def _parser() -> Parser:
    parser = Parser(
        prog="echo-asr",
        description="Echo, a pitch-aware speech recogniser: train it on your own recordings, measure it, use it.",
        epilog="echo-asr COMMAND --help describes a command.",
    )
    parser.add_argument("--version", action="version", version=f"echo-asr {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        import_module(f"echo_asr.commands.{command}").add(commands)
    return parser


def _split_options(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line without its `--section.key value` words, which may stand anywhere in it, and those."""
    own: list[str] = []
    options: list[str] = []
    value_follows = False
    for word in words:
        option = re.match(r"--\w+\.", word) is not None
        belongs = option or (value_follows and not word.startswith("--"))
        (options if belongs else own).append(word)
        value_follows = option and "=" not in word
    return own, options


def _refuse(parser: argparse.ArgumentParser, words: Sequence[str]) -> NoReturn:
    """Name the first of the words that a command does not know, and the option of it that comes nearest."""
    word = next((w for w in words if w.startswith("-")), words[0])
    known = re.findall(r"--[\w-]+", parser.format_usage())
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5) if word.startswith("-") else []
    parser.error(f"unknown argument {word!r}" + (f"; did you mean {close[0]}?" if close else ""))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status. What the user can mend ends in one line on standard error."""
    if argv is None:
        use_utf8_names()
    use_utf8_streams()
    settle_libraries()
    own, options = _split_options(sys.argv[1:] if argv is None else argv)
    arguments, rest = _parser().parse_known_args(own)
    if not arguments.takes_options:
        rest += options
    if rest:
        _refuse(arguments.parser, rest)
    name = " ".join(word for word in (arguments.command, getattr(arguments, "action", "")) if word)
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"  # for people, without a line of code
    try:
        if find_rank().count > 1 and arguments.command not in SHARED:
            raise EchoError(f"one process does this; start it without torchrun, which is for {', '.join(SHARED)}")
        if arguments.takes_options:
            from echo_asr.config import parse_words  # which needs YAML, and a command without options does not

            arguments.changes = parse_words(options)
        status = int(arguments.run(arguments) or 0)
        sys.stdout.flush()
        return status
    except EchoError as error:
        return _print_error(name, str(error))
    except KeyboardInterrupt as error:  # with a message where something was saved
        return _print_error(name, str(error) or "interrupted", INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:  # of the machine, not of Echo: a full disk, a folder that went away
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        return _print_error(name, f"{where}{error.strerror or error}")
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not re.search("out of memory|can't allocate memory", str(error)):
            raise
        return _print_error(name, "out of memory; take a smaller train.batch_seconds or a smaller model")


def _print_error(command: str, message: str, status: int = 1) -> int:
    """Print a line; of several processes that would print the same one does. Returns the exit status."""
    try:
        first = first_message(message, find_rank())
    except EchoError:
        first = True
    if first:
        print(f"echo-asr {command}: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return status


def _drop_output() -> None:
    """If standard output takes no more, let nobody try again, as Python does when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
