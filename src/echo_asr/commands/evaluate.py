"""`echo-asr evaluate`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from echo_asr.commands.arguments import CORPUS, DEVICE, Parser, Subparsers, add_broken, add_command


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "measure the free-running error of a model on a corpus"
    parser = add_command(commands, "evaluate", text, run, options=True)
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder of a model")
    parser.add_argument("corpus", metavar="CORPUS", help=CORPUS)
    parser.add_argument("--split", default="test", help="split to measure on (default test)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="also write references and hypotheses there")
    add_broken(parser)
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "Decoding options can follow, e.g. --decode.beam 8."


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, and print the error rates."""
    from echo_asr.console import progress_bar
    from echo_asr.data.corpus import load_corpus
    from echo_asr.data.excluded import apply_conventions
    from echo_asr.data.unreadable import leave_out_unreadable
    from echo_asr.evaluate.evaluate import evaluate, summary, write_texts
    from echo_asr.research.f0_controls import load_recognizer

    utterances = load_corpus(arguments.corpus, arguments.broken).split(arguments.split)
    if arguments.broken == "skip":
        utterances = leave_out_unreadable(arguments.corpus, utterances)
    recognizer = load_recognizer(arguments.model, arguments.device, arguments.changes)
    conventions = recognizer.bundle.text.transcription
    transcribed = apply_conventions(arguments.corpus, utterances, conventions)
    utterances = transcribed.utterances
    with progress_bar("evaluating", len(utterances)) as advance:
        found = evaluate(recognizer, arguments.corpus, arguments.split, utterances, progress=lambda n: advance(n, ""))
    if arguments.json:
        print(json.dumps({**found.to_dict(), "excluded": transcribed.excluded}, ensure_ascii=False))
    else:
        print(summary(found), *([transcribed] if conventions else []), sep="\n")
    if arguments.texts:
        write_texts(arguments.texts, utterances, found)
