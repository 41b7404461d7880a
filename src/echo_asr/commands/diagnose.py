"""`echo-asr diagnose`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from echo_asr.commands.arguments import DEVICE, Parser, Subparsers, add_command, named_path
from echo_asr.errors import EchoError


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "look inside a model: gradients, activations, what vRoPE learnt, and whether pitch is used"
    parser = add_command(commands, "diagnose", text, run, options=True)
    parser.add_argument("model", type=named_path, metavar="MODEL", help="folder of a model")
    parser.add_argument("corpus", metavar="CORPUS", help="folder with metadata.csv, or synth:NAME")
    parser.add_argument("--split", help="split to look at (default validation, or what there is)")
    parser.add_argument("--utterances", type=int, default=50, metavar="N", help="of all its parts (default 50)")
    parser.add_argument("--out", type=named_path, metavar="DIR", help="also write report.json and report.html there")
    parser.add_argument("--no-what-if", action="store_true", help="leave out the counterfactuals, the slowest part")
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "Decoding options can follow, e.g. --decode.beam 1; docs/diagnostics.md defines the figures."


def run(arguments: argparse.Namespace) -> None:
    """Print the figures, and write the report."""
    from echo_asr.audio.convert import frames_to_seconds
    from echo_asr.commands.recognizer import load_model
    from echo_asr.console import print_table, progress_bar
    from echo_asr.data.corpus import load_corpus
    from echo_asr.data.excluded import apply_conventions
    from echo_asr.data.partition import stratified_sample
    from echo_asr.evaluate.evaluate import evaluate
    from echo_asr.research.diagnose.counterfactuals import changes
    from echo_asr.research.diagnose.report import cells, diagnose, gather, headline, plain, remarks
    from echo_asr.storage import make_folder

    if arguments.utterances < 1:
        raise EchoError(f"--utterances: expected at least 1, got {arguments.utterances}")
    recognizer = load_model(arguments)
    corpus = load_corpus(arguments.corpus)
    conventions = recognizer.bundle.text.transcription
    split = arguments.split or next(s for s in ("validation", "test", "train") if s in corpus.splits)
    transcribed = apply_conventions(arguments.corpus, corpus.split(split), conventions).utterances
    utterances = stratified_sample(transcribed, arguments.utterances)
    model = recognizer.bundle.model
    if arguments.out:
        make_folder(arguments.out)
    with progress_bar("features", len(utterances)) as advance:
        material = gather(recognizer, utterances, advance)
    about = {
        "model": arguments.model.resolve().name,
        "corpus": Path(arguments.corpus).name,
        "split": split,
        "utterances": len(utterances),
        "seconds": round(frames_to_seconds(sum(c.frames for c in material.clips)), 2),
        "parameters": model.parameter_count,
    }
    asked = 0 if arguments.no_what_if else len(changes(model, material.clips, recognizer.features))
    evaluated = evaluate(recognizer, "", "", utterances).wer.percent if not arguments.no_what_if else None
    with progress_bar("counterfactuals", asked) as advance:
        report = diagnose(recognizer, material, about, arguments.model, not arguments.no_what_if, advance, evaluated)
    if arguments.out:
        from echo_asr.research.diagnose.page import save_page

        report.save(arguments.out / "report.json")
        save_page(report, model, material, arguments.out / "report.html")
    if not sys.stdout.isatty():
        print(plain(report))
    else:
        print(f"{headline(report)}\n")
        emoji = (sys.stdout.encoding or "").lower().startswith("utf")
        for group in report.groups:
            if group.rows:
                print_table(group.title, *cells(group, emoji), group.remark)
            else:
                print(f"{group.title}: {group.remark}\n")
        print(remarks(report))
    if arguments.out:
        print(f"{arguments.out / 'report.json'}\n{arguments.out / 'report.html'}")
