"""`echo-asr study`."""

from __future__ import annotations

import argparse

from echo_asr.commands.arguments import Parser, Subparsers, add_command, named_path


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "train arms that differ in what a question is about, on several seeds, and compare them"
    parser = add_command(commands, "study", text, run)
    parser.add_argument("study", type=named_path, metavar="STUDY.yaml", help="what is asked; examples are in studies/")
    parser.add_argument("--out", type=named_path, metavar="DIR", help="folder of the study (default runs/studies/NAME)")
    parser.add_argument("--jobs", type=int, metavar="N", help="trainings at once (default: as many as cores or GPUs)")
    parser.add_argument("--corpus", metavar="SPEC", help="in place of the corpus that the file names")
    devices = "auto (all GPUs of CUDA, else cpu), cpu, cuda, cuda:1, mps, ..."
    parser.add_argument("--device", default="auto", help=devices)
    parser.add_argument("--keep-checkpoints", action="store_true", help="leave the checkpoints of finished jobs")
    parser.add_argument(
        "--trained", type=named_path, action="append", default=[], metavar="DIR",
        help="take the trainings of another study, where they are the same; may be given again",
    )  # fmt: skip
    parser.epilog = "Interrupted at any moment, the same command goes on where it was."


def run(arguments: argparse.Namespace) -> int:
    """Run a study, and print its verdicts; 1 if a job failed."""
    from echo_asr.research.study.run import run_study, summary

    outcome = run_study(
        arguments.study, arguments.out, arguments.jobs, arguments.device, arguments.corpus,
        arguments.keep_checkpoints, arguments.trained,
    )  # fmt: skip
    print(summary(outcome))
    return 0 if outcome.complete else 1
