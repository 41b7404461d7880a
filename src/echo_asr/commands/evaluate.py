"""`echo-asr evaluate`."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from echo_asr.commands.arguments import (
    CORPUS,
    DEVICE,
    Parser,
    Subparsers,
    add_broken,
    add_command,
    add_grammar,
    add_overwrite,
    named_path,
    output_file,
    take_grammar,
)
from echo_asr.commands.inputs import audio_files, refuse_in_corpus, refuse_to_replace
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.data.corpus import Utterance
    from echo_asr.decode.transcribe import Recognizer

FALSE_ACCEPTS = 1.0  # an hour


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "measure the free-running error of a model on a corpus"
    parser = add_command(commands, "evaluate", text, run, options=True)
    parser.add_argument("model", type=named_path, metavar="MODEL", help="folder of a model")
    parser.add_argument("corpus", metavar="CORPUS", help=CORPUS)
    parser.add_argument("--split", default="test", help="split to measure on (default test)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--texts", type=output_file, metavar="FILE", help="also write references and hypotheses there")
    add_grammar(parser, "listen for the sentences of this grammar; what is none of them should be rejected")
    text = f"with --grammar: find the threshold for at most so many an hour (default {FALSE_ACCEPTS:g})"
    parser.add_argument("--false-accepts", type=float, metavar="N", help=text)
    text = "with --grammar: draw false rejects against false accepts (png, svg or pdf)"
    parser.add_argument("--curve", type=output_file, metavar="PICTURE", help=text)
    add_overwrite(parser)
    add_broken(parser)
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "Decoding options can follow, e.g. --decode.beam 8."


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, and print the error rates."""
    from echo_asr.commands.recognizer import load_model, warn_of_unwritable
    from echo_asr.console import progress_bar
    from echo_asr.data.corpus import load_corpus
    from echo_asr.data.excluded import apply_conventions
    from echo_asr.data.unreadable import leave_out_unreadable
    from echo_asr.evaluate.evaluate import evaluate, summary, write_texts

    take_grammar(arguments)
    _check(arguments)
    utterances = load_corpus(arguments.corpus, arguments.broken).split(arguments.split)
    refuse_to_replace(_outputs(arguments), arguments, audio_files(utterances))
    if arguments.broken == "skip":
        utterances = leave_out_unreadable(arguments.corpus, utterances)
    recognizer = load_model(arguments)
    conventions = recognizer.bundle.text.transcription
    transcribed = apply_conventions(arguments.corpus, utterances, conventions)
    utterances = transcribed.utterances
    if recognizer.sentences:
        warn_of_unwritable(recognizer, arguments)
        return _evaluate_grammar(recognizer, utterances, arguments)
    with progress_bar("evaluating", len(utterances)) as advance:
        found = evaluate(recognizer, arguments.corpus, arguments.split, utterances, progress=lambda n: advance(n, ""))
    if arguments.json:
        print(json.dumps({**found.to_dict(), "excluded": transcribed.excluded}, ensure_ascii=False))
    else:
        print(summary(found), *([transcribed] if conventions else []), sep="\n")
    if arguments.texts:
        write_texts(arguments.texts, utterances, found)


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what does not go together, and files that could not be written or must not be, before anything is loaded.

    Raises:
        EchoError: a file cannot be written, or is one that is read.
    """
    from echo_asr.decode.outputs import PICTURES, check_output

    most = arguments.false_accepts
    if not arguments.changes.get("decode.grammar") and (arguments.curve or most is not None):
        arguments.parser.error("--false-accepts and --curve belong to --grammar FILE")
    if most is not None and not 0 <= most < math.inf:
        arguments.parser.error(f"--false-accepts: expected a number from 0 on, got {most:g}")
    targets = _outputs(arguments)
    if len({os.path.abspath(target) for target in targets}) < len(targets):
        arguments.parser.error(f"--texts and --curve are both {arguments.texts}; name two files")
    refuse_to_replace(targets, arguments)
    refuse_in_corpus(targets, arguments.corpus)
    if arguments.texts:
        check_output(arguments.texts, "--texts", arguments.overwrite)
    if arguments.curve:
        check_output(arguments.curve, "--curve", arguments.overwrite, PICTURES)


def _outputs(arguments: argparse.Namespace) -> list[Path]:
    """The files that are asked for."""
    return [path for path in (arguments.texts, arguments.curve) if path]


def _evaluate_grammar(recognizer: Recognizer, utterances: Sequence[Utterance], arguments: argparse.Namespace) -> None:
    from echo_asr.console import progress_bar
    from echo_asr.evaluate.evaluate import summary, write_texts
    from echo_asr.evaluate.grammar import NOISE_CLIPS, evaluate_grammar, split_by_grammar

    targets = _outputs(arguments)
    if targets and not split_by_grammar(recognizer, utterances)[0]:
        what = f"none of the {len(utterances)} texts of {arguments.corpus}, {arguments.split}, is a sentence of"
        mend = "take texts of the grammar, or leave it out"
        raise EchoError(f"{what} {arguments.changes['decode.grammar']}: nothing to write to {targets[0]}; {mend}")
    with progress_bar("evaluating", len(utterances) + NOISE_CLIPS) as advance:
        name, split = arguments.corpus, arguments.split
        found = evaluate_grammar(recognizer, name, split, utterances, lambda n: advance(n, ""))
    inside, most = found.inside, arguments.false_accepts
    most = FALSE_ACCEPTS if most is None else most
    if arguments.json:
        fields = {**(inside.to_dict() if inside else {}), **found.to_dict(most)}
        print(json.dumps(fields, ensure_ascii=False))
    else:
        print(*([summary(inside)] if inside else []), *found.lines(most), sep="\n")
    if arguments.texts and inside:
        write_texts(arguments.texts, found.within, inside)
    if arguments.curve:
        from echo_asr.research.diagnose.plots import plot_rejection

        plot_rejection(found.curve(), found.least, arguments.curve)
