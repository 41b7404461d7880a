"""`echo-asr train`."""

from __future__ import annotations

import argparse

from echo_asr.commands.arguments import CONFIG, CORPUS, DEVICE, Parser, Subparsers, add_broken, add_command, named_path


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, "train", "train a recogniser", run, options=True)
    parser.add_argument("config", metavar="CONFIG", help=CONFIG)
    parser.add_argument("--corpus", required=True, help=CORPUS)
    parser.add_argument(
        "--out", type=named_path, required=True, metavar="RUN", help="folder of the run, which is a model"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in RUN")
    parser.add_argument("--init", type=named_path, metavar="MODEL", help="start from this model; new symbols are added")
    parser.add_argument(
        "--slim", action="store_true", help="leave the weights of a pretrained encoder out of RUN, which names them"
    )
    add_broken(parser)
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "Any option of the configuration can follow as --section.key value, e.g. --train.max_steps 500."


def run(arguments: argparse.Namespace) -> None:
    """Train, and print where the model is."""
    from echo_asr.distributed.launch import find_rank
    from echo_asr.research.diagnose.monitor import look_inside
    from echo_asr.research.f0_controls import make_control
    from echo_asr.research.sections import SECTIONS
    from echo_asr.train.recipe import read_config
    from echo_asr.train.run import train

    sections = read_config(arguments.config, arguments.changes, SECTIONS)
    progress = train(
        sections, arguments.corpus, arguments.out, arguments.resume, arguments.init, arguments.device,
        arguments.broken, look_inside, make_control(sections["study"].f0), arguments.slim,
    )  # fmt: skip
    if find_rank().main:
        print(f"{arguments.out}: trained for {progress.step} updates, best at {progress.best_step}")
