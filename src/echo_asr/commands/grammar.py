"""`echo-asr grammar`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from echo_asr.commands.arguments import Parser, Subparsers, add_command, named_path, text_file
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.text.grammar.accepted import AcceptedSentences


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "check a grammar: the sentences that each line gives, and what is wrong with it"
    parser = add_command(commands, "grammar", text, run)
    parser.add_argument(
        "grammar", type=text_file, metavar="FILE", help="sentences, one a line; docs/grammar.md has the syntax"
    )
    parser.add_argument(
        "--model", type=named_path, metavar="MODEL", help="folder of the model that shall recognise them"
    )
    parser.add_argument("--sentences", type=int, metavar="N", help="print N of each line, drawn at random, and slots")
    parser.add_argument("--json", action="store_true", help="print the report, or each sentence, as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the report, or sentences; 1 if a line gives none."""
    from echo_asr.text.grammar.report import make_report

    if arguments.sentences is not None and arguments.sentences < 1:
        raise EchoError(f"--sentences: expected 1 or more, got {arguments.sentences}")
    accepted = _accepted(arguments.grammar, arguments.model)
    report = make_report(accepted)
    if arguments.sentences:
        _print_sentences(accepted, arguments.sentences, arguments.json)
    elif arguments.json:
        print(json.dumps(report.fields(), ensure_ascii=False))
    else:
        _print_table(accepted)
    for remark in report.remarks():
        print(f"echo-asr grammar: {remark}", file=sys.stderr)
    return 1 if report.void else 0


def _accepted(path: Path, model: Path | None) -> AcceptedSentences:
    from echo_asr.text.grammar import Grammar
    from echo_asr.text.grammar.accepted import AcceptedSentences
    from echo_asr.text.normalize import normalize_basic

    if model is None:
        return AcceptedSentences(Grammar.load(path), normalize_basic)
    from echo_asr.decode.grammar import model_sentences
    from echo_asr.model.checkpoint import load_bundle

    grammar = Grammar.load(path)  # before the model, which takes longer
    bundle = load_bundle(model)
    return model_sentences(grammar, bundle.tokenizer, bundle.text.normalize)


def _print_table(accepted: AcceptedSentences) -> None:
    from echo_asr.console import counted, print_table

    rows = [[str(a.template.line), f"{a.sentences:,}", a.template.text] for a in accepted.accounts]
    title = f"{accepted.grammar.name}: {accepted.count:,} different sentences of {counted(len(rows), 'line')}"
    print_table(title, ["line", "sentences", ""], rows)


def _print_sentences(accepted: AcceptedSentences, number: int, as_json: bool) -> None:
    """Sentences of each line as they are spoken, their written forms where these are others, and slots."""
    for template, start in accepted.each():
        for text in map("".join, accepted.automata.sample(start, number)):
            found = next(one for one in accepted.interpret(text) if one.line == template.line)
            if as_json:
                fields = {"line": found.line, "spoken": text, "written": found.written, "slots": found.slots}
                print(json.dumps(fields, ensure_ascii=False))
            else:
                slots = [f"{name}={value}" for name, value in found.slots.items()]
                print("\t".join([text, *([found.written] if found.written != text else []), *slots]))
