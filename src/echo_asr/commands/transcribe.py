"""`echo-asr transcribe`."""

from __future__ import annotations

import argparse
from pathlib import Path

from echo_asr.commands.arguments import DEVICE, Parser, Subparsers, add_command
from echo_asr.errors import EchoError

AUDIO = "wav, flac, ogg, opus, mp3, ..., or a folder: all in it and below"
FORMATS = ("txt", "json", "srt", "vtt", "tsv")  # of echo_asr.decode.formats, which is imported when it is needed


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, "transcribe", "transcribe audio files", run, options=True)
    parser.add_argument("audio", nargs="*", type=Path, metavar="AUDIO", help=AUDIO)
    parser.add_argument("--files", metavar="LIST", help="a list of more of them, a path a line; - for standard input")
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL", help="folder of a model")
    parser.add_argument("--format", choices=FORMATS, default="txt", help="json: one object a line; default txt")
    parser.add_argument("--output-dir", type=Path, metavar="D", help="write a file for each recording there")
    parser.add_argument("--skip-existing", action="store_true", help="leave out what is in the folder already")
    channel = "a channel of the recordings, from 0; by default the mean of all"
    parser.add_argument("--channel", type=int, metavar="N", help=channel)
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.add_argument("--hotwords", type=Path, metavar="FILE", help="words and phrases to expect, one a line")
    parser.epilog = "Decoding options can follow, e.g. --decode.beam 8 --decode.lm my.arpa."


def run(arguments: argparse.Namespace) -> int:
    """Transcribe; 1 if a file could not be."""
    from echo_asr.decode.files import expand_folders, read_list, transcribe_files
    from echo_asr.decode.ngram import read_lines
    from echo_asr.distributed.launch import barrier, find_rank
    from echo_asr.research.f0_controls import load_recognizer

    rank = find_rank()
    paths = list(arguments.audio)
    if arguments.files == "-" and rank.count > 1:
        raise EchoError("--files -: several processes have no standard input; put the list in a file")
    if arguments.files:
        paths += read_list(arguments.files)
    if not paths:
        arguments.parser.error("no files; name some, or a list of them with --files")
    paths, above = expand_folders(paths)
    if arguments.channel is not None and arguments.channel < 0:
        raise EchoError(f"--channel: expected 0 or more, got {arguments.channel}")
    changes = dict(arguments.changes)
    if arguments.hotwords:
        changes["decode.hotwords"] = list(read_lines([arguments.hotwords]))
    recognizer = load_recognizer(arguments.model, arguments.device, changes)
    how = (arguments.format, arguments.output_dir, arguments.skip_existing, rank, above, arguments.channel)
    status = transcribe_files(recognizer, paths, *how)
    barrier(rank)  # the launcher would end the others if this process ended with an error first
    return status
