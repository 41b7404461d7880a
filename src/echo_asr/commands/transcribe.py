"""`echo-asr transcribe`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from echo_asr.commands.arguments import (
    DEVICE,
    Parser,
    Subparsers,
    add_channel,
    add_command,
    add_grammar,
    refuse_negative_channel,
    take_grammar,
)
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.decode.transcribe import Recognizer

AUDIO = "wav, flac, ogg, opus, mp3, ..., or a folder: all in it and below"
# Of echo_asr.decode.formats, which is imported when it is needed.
FORMATS = ("txt", "json", "srt", "vtt", "tsv", "ctm", "eaf", "textgrid")


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, "transcribe", "transcribe audio files", run, options=True)
    parser.add_argument("audio", nargs="*", type=Path, metavar="AUDIO", help=AUDIO)
    parser.add_argument("--files", metavar="LIST", help="a list of more of them, a path a line; - for standard input")
    parser.add_argument("--model", type=Path, required=True, metavar="MODEL", help="folder of a model")
    parser.add_argument("--format", choices=FORMATS, default="txt", help="json: one object a line; default txt")
    parser.add_argument("--output-dir", type=Path, metavar="D", help="write a file for each recording there")
    parser.add_argument("--skip-existing", action="store_true", help="leave out what is in the folder already")
    add_channel(parser)
    parser.add_argument("--one-speaker", action="store_true", help="the same person speaks in all recordings")
    parser.add_argument(
        "--segments", metavar="FILE[:TIER]", help="fill the empty segments: .eaf, .TextGrid, .csv, .srt"
    )
    parser.add_argument("--in-place", action="store_true", help="with --segments: change that file itself")
    parser.add_argument("--into", type=Path, metavar="FILE.eaf", help="add the transcription to that file, as a tier")
    parser.add_argument("--tier", metavar="NAME", help="with --into: the name of the tier")
    parser.add_argument("--overwrite", action="store_true", help="with --into: replace the tier if it is there")
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.add_argument("--hotwords", type=Path, metavar="FILE", help="words and phrases to expect, one a line")
    add_grammar(parser)
    parser.epilog = "Decoding options can follow, e.g. --decode.beam 8 --decode.lm my.arpa."


def run(arguments: argparse.Namespace) -> int:
    """Transcribe; 1 if a file or a segment could not be."""
    from echo_asr.decode.files import expand_folders, read_list, transcribe_files
    from echo_asr.distributed.launch import barrier, find_rank

    _refuse_combinations(arguments)
    refuse_negative_channel(arguments.channel)
    rank = find_rank()
    paths = list(arguments.audio)
    if arguments.files == "-" and rank.count > 1:
        raise EchoError("--files -: several processes have no standard input; put the list in a file")
    if arguments.files:
        paths += read_list(arguments.files)
    if arguments.segments or arguments.into:
        if rank.count > 1:
            raise EchoError("--segments and --into change one file; run them in one process")
        if len(paths) > 1:
            arguments.parser.error(f"--segments and --into are for one recording, not for {len(paths)}")
        return _transcribe_into(arguments, paths[0] if paths else None)
    if not paths:
        arguments.parser.error("no files; name some, or a list of them with --files")
    paths, above = expand_folders(paths)
    recognizer = _load(arguments)
    how = (arguments.format, arguments.output_dir, arguments.skip_existing, rank, above, arguments.channel)
    status = transcribe_files(recognizer, paths, *how, one_speaker=arguments.one_speaker)
    barrier(rank)  # the launcher would end the others if this process ended with an error first
    return status


def _refuse_combinations(arguments: argparse.Namespace) -> None:
    """Refuse options that belong to another way of writing."""
    error = arguments.parser.error
    if arguments.segments and arguments.into:
        error("--segments and --into exclude each other; run them one after the other")
    if (arguments.segments or arguments.into) and (arguments.format != "txt" or arguments.skip_existing):
        error("--format and --skip-existing write files of their own; leave them out with --segments and --into")
    if (arguments.segments or arguments.into) and arguments.one_speaker:
        error("--one-speaker is for several recordings; leave it out with --segments and --into")
    if arguments.in_place and not arguments.segments:
        error("--in-place belongs to --segments FILE")
    if (arguments.tier or arguments.overwrite) and not arguments.into:
        error("--tier and --overwrite belong to --into FILE.eaf; a tier of segments is named by --segments FILE:TIER")
    if arguments.into and (not arguments.tier or arguments.output_dir):
        error("--into changes FILE.eaf itself, and needs --tier NAME, without --output-dir")
    if arguments.segments and bool(arguments.in_place) == bool(arguments.output_dir):
        error("--segments writes its file to --output-dir D, or with --in-place over itself; give one of these")


def _transcribe_into(arguments: argparse.Namespace, recording: Path | None) -> int:
    """Fill segments, or add a tier."""
    from echo_asr.annotations.segmented import open_segmented
    from echo_asr.decode.annotate import TierFile, fill_segments, filled_path
    from echo_asr.storage import refuse_read_only

    if arguments.into:
        tier_file = TierFile(arguments.into, arguments.tier, recording, arguments.overwrite)
        tier_file.transcribe(_load(arguments), arguments.channel)
        return 0
    segmented = open_segmented(arguments.segments, recording)
    source = segmented.file.path
    target = source if arguments.in_place else filled_path(source, arguments.output_dir)
    if arguments.in_place:
        refuse_read_only(source.resolve(), "make it writable, or give --output-dir instead of --in-place")
    return fill_segments(_load(arguments), segmented, target, arguments.channel)


def _load(arguments: argparse.Namespace) -> Recognizer:
    from echo_asr.decode.ngram import read_lines
    from echo_asr.research.f0_controls import load_recognizer

    take_grammar(arguments)
    changes = dict(arguments.changes)
    if arguments.hotwords:
        changes["decode.hotwords"] = list(read_lines([arguments.hotwords]))
    return load_recognizer(arguments.model, arguments.device, changes)
