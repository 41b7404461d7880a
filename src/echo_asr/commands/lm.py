"""`echo-asr lm`."""

from __future__ import annotations

import argparse

from echo_asr.commands.arguments import (
    Parser,
    Subparsers,
    add_command,
    add_overwrite,
    named_path,
    output_file,
    text_file,
)
from echo_asr.commands.inputs import refuse_to_replace


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, "lm", "make a language model of your own texts, to transcribe with --decode.lm", run)
    parser.add_argument("texts", nargs="+", type=text_file, metavar="TEXT", help="text files, a sentence a line, UTF-8")
    parser.add_argument(
        "--model", type=named_path, required=True, metavar="MODEL", help="folder of the model it is for"
    )
    parser.add_argument("--out", type=output_file, required=True, metavar="FILE", help="ARPA file to write")
    add_overwrite(parser, "replace a file that is there")
    parser.add_argument("--order", type=int, default=6, help="symbols of the longest n-grams, 2 to 6 (default 6)")


def run(arguments: argparse.Namespace) -> None:
    """Make the language model, and print what it holds and what was left out."""
    from echo_asr.decode.ngram import build_language_model, read_lines
    from echo_asr.decode.outputs import check_output
    from echo_asr.model.checkpoint import load_bundle

    refuse_to_replace([arguments.out], arguments, arguments.texts)
    check_output(arguments.out, "--out", arguments.overwrite)
    bundle = load_bundle(arguments.model)
    made = build_language_model(
        read_lines(arguments.texts), bundle.tokenizer, bundle.text.normalize, arguments.order, arguments.out
    )
    print(f"{arguments.out}: {made.sentences} texts, {made.tokens} symbols, n-grams {' '.join(map(str, made.grams))}")
    if made.skipped:
        left_out = ", ".join(f"{character!r} {count} times" for character, count in list(made.skipped.items())[:8])
        print(f"left out, since the model cannot write it: {left_out}")
