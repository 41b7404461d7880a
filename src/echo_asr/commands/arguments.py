"""What the commands share: how one is added to the parser, and arguments that several take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.audio.segment import AudioSegment

CORPUS = "folder, file, synth:NAME or hf:REPO:CONFIG; docs/corpora.md has the forms"
CONFIG = "YAML file, or the name of a recipe (echo-asr recipes lists them)"
DEVICE = "auto, cpu, cuda, cuda:1, mps, ..."

Subparsers = argparse._SubParsersAction
Run = Callable[[argparse.Namespace], int | None]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print a line and exit with status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def named_path(text: str) -> Path:
    """The path of an argument.

    Raises:
        argparse.ArgumentTypeError: it is empty, as where a variable of the shell is not set.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty; give a file or a folder")
    return Path(text)


def text_file(text: str) -> Path:
    """The path of an argument that is a text file.

    Raises:
        argparse.ArgumentTypeError: it is empty, or stands for standard input.
    """
    return _file(text, "standard input is not read here")


def output_file(text: str) -> Path:
    """The path of an argument that is a file to write.

    Raises:
        argparse.ArgumentTypeError: it is empty, or stands for standard output.
    """
    return _file(text, "standard output is not written to here")


def _file(text: str, not_a_stream: str) -> Path:
    if text == "-":
        raise argparse.ArgumentTypeError(f"{not_a_stream}; give the name of a file")
    return named_path(text)


def printed_or_path(text: str) -> Path | None:
    """The path of an argument that is a file to write; None for `-`, which is standard output.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    return None if text == "-" else named_path(text)


def add_command(commands: Subparsers[Parser], name: str, text: str, run: Run, options: bool = False) -> Parser:
    """Add a command to those of a parser.

    Args:
        text: what it does, for the help.
        run: does it, and returns the exit status; None is 0.
        options: options of the configuration, `--section.key value`, can be given; `run` finds them in `changes`.
    """
    added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    added.set_defaults(parser=added, run=run, takes_options=options)
    return added


def add_broken(parser: Parser) -> None:
    """The argument `--broken`."""
    text = "records that cannot be used: refuse the corpus (default), or skip and count them"
    parser.add_argument("--broken", choices=("refuse", "skip"), default="refuse", help=text)


def add_channel(parser: Parser, of: str = "of the recordings") -> None:
    """The argument `--channel`."""
    text = f"a channel {of}, from 0; by default the mean of all"
    parser.add_argument("--channel", type=int, metavar="N", help=text)


def add_grammar(parser: Parser, text: str = "hear one of its sentences, or nothing") -> None:
    """The argument `--grammar`."""
    parser.add_argument("--grammar", type=text_file, metavar="FILE", help=text)


def add_overwrite(parser: Parser, text: str = "replace files that are there") -> None:
    """The argument `--overwrite`."""
    parser.add_argument("--overwrite", action="store_true", help=text)


def take_grammar(arguments: argparse.Namespace) -> None:
    """Add the grammar that was given to the changes of the configuration; an error if there are two."""
    if arguments.grammar:
        if "decode.grammar" in arguments.changes:
            arguments.parser.error("--grammar and --decode.grammar both name a grammar; give one of them")
        arguments.changes["decode.grammar"] = str(arguments.grammar)


def refuse_grammar(arguments: argparse.Namespace) -> None:
    """Refuse a grammar among the options of a command that does not go by one.

    Raises:
        EchoError: there is one.
    """
    if "decode.grammar" in arguments.changes:
        what = "takes no grammar, which is for transcribe, listen and evaluate"
        raise EchoError(f"--decode.grammar: {arguments.command} {what}; leave it out")


def check_channel(recording: AudioSegment) -> None:
    """Refuse a recording without the channel that is chosen, before any work.

    Raises:
        EchoError: it has no such channel, or cannot be read.
    """
    from echo_asr.audio import stream_audio

    refuse_negative_channel(recording.channel)
    if recording.channel is not None:
        next(stream_audio(recording))


def refuse_negative_channel(channel: int | None) -> None:
    """Refuse a number that no channel has.

    Raises:
        EchoError: it is under 0.
    """
    if channel is not None and channel < 0:
        raise EchoError(f"--channel: expected 0 or more, got {channel}")
