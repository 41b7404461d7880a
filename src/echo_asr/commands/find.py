"""`echo-asr find`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from echo_asr.commands.arguments import (
    DEVICE,
    Parser,
    Subparsers,
    add_channel,
    add_command,
    add_overwrite,
    named_path,
    printed_or_path,
    refuse_grammar,
    refuse_negative_channel,
    text_file,
)
from echo_asr.commands.inputs import refuse_to_replace
from echo_asr.errors import EchoError

FORMATS = ("csv", "json", "eaf", "textgrid")  # of echo_asr.decode.place_formats, which is imported when it is needed
ENDINGS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".eaf": "eaf", ".textgrid": "textgrid"}
THRESHOLD = 0.5
NAMED = 10  # words that a line names


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, "find", "find where words are spoken in recordings", run, options=True)
    text = "a word, unless --word, --words or --like is given; then recordings, or folders: all in them and below"
    parser.add_argument("given", nargs="*", metavar="AUDIO", help=text)
    parser.add_argument("--files", metavar="LIST", help="a list of more of them, a path a line; - for standard input")
    parser.add_argument("--model", type=named_path, required=True, metavar="MODEL", help="folder of a model")
    parser.add_argument("--word", action="append", default=[], metavar="W", help="a word or phrase; may be repeated")
    parser.add_argument("--words", type=text_file, metavar="FILE", help="a list of words and phrases, one a line")
    parser.add_argument(
        "--like", nargs="+", type=named_path, metavar="AUDIO", help="recordings of one word, up to 10 s each"
    )
    parser.add_argument("--name", metavar="NAME", help="with --like: what the word is called in the output")
    parser.add_argument("--within-words", action="store_true", help="find words inside longer ones, too")
    text = f"least probability of a place, 0 to 1 (default {THRESHOLD}; with --most 0)"
    parser.add_argument("--threshold", type=float, metavar="P", help=text)
    text = "up to N places of each word, the most probable ones; places that are nothing like it are none"
    parser.add_argument("--most", type=int, metavar="N", help=text)
    text = "json: an object a line (default: by the ending of --out, else csv)"
    parser.add_argument("--format", choices=FORMATS, help=text)
    text = "write the places there, instead of printing them; - prints them"
    parser.add_argument("--out", type=printed_or_path, metavar="FILE", help=text)
    parser.add_argument("--output-dir", type=named_path, metavar="D", help="write a file for each recording there")
    add_overwrite(parser)
    add_channel(parser)
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "Decoding options can follow, e.g. --decode.segments.longest 10."


def run(arguments: argparse.Namespace) -> int:
    """Find, and print or write the places; 1 if a recording could not be read."""
    from echo_asr.commands.recognizer import load_model
    from echo_asr.decode.files import expand_folders, read_list
    from echo_asr.decode.find import make_search
    from echo_asr.decode.find_files import Output, find_in_files

    refuse_negative_channel(arguments.channel)
    refuse_grammar(arguments)
    words, given = _words(arguments)
    threshold, form = _threshold(arguments), _form(arguments)
    paths = [Path(name) for name in given]
    if arguments.files:
        paths += read_list(arguments.files)
    if not paths:
        arguments.parser.error("no recordings; name some, or a list of them with --files")
    paths, above = expand_folders(paths)
    names = words or [arguments.name or arguments.like[0].stem]
    where = (arguments.out, arguments.output_dir, above, arguments.overwrite)
    output = Output(form, names, arguments.most, *where, threshold)
    written = [arguments.out] if arguments.out else []
    refuse_to_replace(written, arguments, paths)
    targets = output.targets(paths)  # refused before the model is loaded
    refuse_to_replace(list(targets.values()), arguments, paths)
    recognizer = load_model(arguments)
    how = {"like": arguments.like or (), "least": threshold, "within_words": arguments.within_words}
    search = make_search(recognizer, words, name=names[0], **how)
    output = replace(output, words=_different(names, recognizer.normalize) if words else names)
    return find_in_files(recognizer, paths, search, output, targets, arguments.channel)


def _words(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The words to look for, none with `--like`; and the recordings."""
    from echo_asr.decode.word_list import read_word_list

    _refuse_combinations(arguments)
    if arguments.like:
        return [], arguments.given
    words = [*arguments.word, *(read_word_list(arguments.words) if arguments.words else ())]
    if words:
        return words, arguments.given
    if not arguments.given:
        arguments.parser.error("no word; give it first, then the recordings, or name words with --word or --words")
    return arguments.given[:1], arguments.given[1:]


def _refuse_combinations(arguments: argparse.Namespace) -> None:
    """Refuse arguments that do not go together."""
    error = arguments.parser.error
    if arguments.like and (arguments.word or arguments.words or arguments.within_words):
        error("--like is for a word without a spelling; leave out --word, --words and --within-words")
    if arguments.like and arguments.given and _is_word(arguments.given[0]):
        word = arguments.given[0]
        error(f"--like needs no word, and there is no recording {word!r}; leave it out, or call the word so: --name")
    if arguments.name is not None and not arguments.like:
        error("--name belongs to --like")
    if arguments.out and arguments.output_dir:
        error("--out is one file, --output-dir one for each recording; give one of these")


def _is_word(given: str) -> bool:
    """Whether what may be a recording looks like a word: it is there under no such name, and has no ending."""
    path = Path(given)
    return not path.suffix and path.name == given and not path.exists()


def _form(arguments: argparse.Namespace) -> str:
    """The format of what is written: that which is asked for, or else that of the ending of `--out`, or else csv.

    Raises:
        EchoError: they are two, or the file has the ending of a recording.
    """
    from echo_asr.audio.tree import AUDIO_SUFFIXES, VIDEO_SUFFIXES

    form: str | None = arguments.format
    if arguments.out is None:
        return form or "csv"
    ending = arguments.out.suffix.lower()
    if ending in (*AUDIO_SUFFIXES, *VIDEO_SUFFIXES):
        raise EchoError(f"--out {arguments.out}: has the name of a recording; take one that ends in .csv")
    own = ENDINGS.get(ending)
    if form and own and own != form:
        raise EchoError(f"--out {arguments.out}: --format {form} has another ending; change one of them")
    return form or own or "csv"


def _different(words: Sequence[str], normalize: Callable[[str], str]) -> list[str]:
    """The words that are not the same once normalised; a line on standard error names the others."""
    from echo_asr.console import counted
    from echo_asr.decode.word_list import different_words

    groups = different_words(words, normalize)
    same = [f"{other} ({first})" for first, others in groups.items() for other in others]
    if same:
        more = f", ... ({counted(len(same), 'word')} in all)" if len(same) > NAMED else ""
        print(f"echo-asr find: the same once normalised: {', '.join(same[:NAMED])}{more}", file=sys.stderr)
    return list(groups)


def _threshold(arguments: argparse.Namespace) -> float:
    """The least probability of a place.

    Raises:
        EchoError: it is none, or `--most` is no number of places.
    """
    if arguments.most is not None and arguments.most < 1:
        raise EchoError(f"--most: expected 1 or more, got {arguments.most}")
    if arguments.threshold is None:
        return THRESHOLD if arguments.most is None else 0.0
    if not 0.0 <= arguments.threshold <= 1.0:
        raise EchoError(f"--threshold: expected a probability from 0 to 1, got {arguments.threshold:g}")
    threshold: float = arguments.threshold
    return threshold
