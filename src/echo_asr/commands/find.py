"""`echo-asr find`."""

from __future__ import annotations

import argparse
from pathlib import Path

from echo_asr.commands.arguments import DEVICE, Parser, Subparsers, add_channel, add_command, refuse_negative_channel
from echo_asr.errors import EchoError

FORMATS = ("csv", "json", "eaf", "textgrid")  # of echo_asr.decode.place_formats, which is imported when it is needed
THRESHOLD = 0.5


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, "find", "find where words are spoken in recordings", run, options=True)
    text = "a word, unless --word, --words or --like is given; then recordings, or folders: all in them and below"
    parser.add_argument("given", nargs="*", metavar="AUDIO", help=text)
    parser.add_argument("--files", metavar="LIST", help="a list of more of them, a path a line; - for standard input")
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL", help="folder of a model")
    parser.add_argument("--word", action="append", default=[], metavar="W", help="a word or phrase; may be repeated")
    parser.add_argument("--words", type=Path, metavar="FILE", help="a list of words and phrases, one a line")
    parser.add_argument("--like", nargs="+", type=Path, metavar="AUDIO", help="recordings of one word, up to 10 s each")
    parser.add_argument("--name", metavar="NAME", help="with --like: what the word is called in the output")
    parser.add_argument("--within-words", action="store_true", help="find words inside longer ones, too")
    text = f"least probability of a place, 0 to 1 (default {THRESHOLD}; with --most 0)"
    parser.add_argument("--threshold", type=float, metavar="P", help=text)
    parser.add_argument("--most", type=int, metavar="N", help="only the N most probable places of each word")
    parser.add_argument("--format", choices=FORMATS, default="csv", help="json: an object a line; default csv")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the places there, instead of printing them")
    parser.add_argument("--output-dir", type=Path, metavar="D", help="write a file for each recording there")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    add_channel(parser)
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "Decoding options can follow, e.g. --decode.segments.longest 10."


def run(arguments: argparse.Namespace) -> int:
    """Find, and print or write the places; 1 if a recording could not be read."""
    from echo_asr.decode.files import expand_folders, read_list
    from echo_asr.decode.find import make_search
    from echo_asr.decode.find_files import Output, find_in_files
    from echo_asr.research.f0_controls import load_recognizer

    refuse_negative_channel(arguments.channel)
    words, given = _words(arguments)
    threshold = _threshold(arguments)
    paths = [Path(name) for name in given]
    if arguments.files:
        paths += read_list(arguments.files)
    if not paths:
        arguments.parser.error("no recordings; name some, or a list of them with --files")
    paths, above = expand_folders(paths)
    names = words or [arguments.name or arguments.like[0].stem]
    where = (arguments.out, arguments.output_dir, above, arguments.overwrite)
    output = Output(arguments.format, names, arguments.most, *where)
    targets = output.targets(paths)  # refused before the model is loaded
    recognizer = load_recognizer(arguments.model, arguments.device, arguments.changes)
    how = {"like": arguments.like or (), "least": threshold, "within_words": arguments.within_words}
    search = make_search(recognizer, words, name=names[0], **how)
    return find_in_files(recognizer, paths, search, output, targets, arguments.channel)


def _words(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The words to look for, none with `--like`; and the recordings."""
    from echo_asr.decode.ngram import read_lines

    error = arguments.parser.error
    if arguments.like and (arguments.word or arguments.words or arguments.within_words):
        error("--like is for a word without a spelling; leave out --word, --words and --within-words")
    if arguments.name is not None and not arguments.like:
        error("--name belongs to --like")
    if arguments.out and arguments.output_dir:
        error("--out is one file, --output-dir one for each recording; give one of these")
    if arguments.like:
        return [], arguments.given
    words = [*arguments.word, *(read_lines([arguments.words]) if arguments.words else ())]
    if arguments.words and not words:
        raise EchoError(f"{arguments.words}: has no word; give one a line")
    if words:
        return words, arguments.given
    if not arguments.given:
        error("no word; give it first, then the recordings, or name words with --word, --words or --like")
    return arguments.given[:1], arguments.given[1:]


def _threshold(arguments: argparse.Namespace) -> float:
    if arguments.most is not None and arguments.most < 1:
        raise EchoError(f"--most: expected 1 or more, got {arguments.most}")
    if arguments.threshold is None:
        return THRESHOLD if arguments.most is None else 0.0
    if not 0.0 <= arguments.threshold <= 1.0:
        raise EchoError(f"--threshold: expected a probability from 0 to 1, got {arguments.threshold:g}")
    return arguments.threshold
