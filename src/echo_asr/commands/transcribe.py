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
    add_overwrite,
    named_path,
    refuse_negative_channel,
    take_grammar,
    text_file,
)
from echo_asr.commands.inputs import refuse_to_replace
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.decode.transcribe import Recognizer

AUDIO = "wav, flac, ogg, opus, mp3, ..., or a folder: all in it and below"
# Of echo_asr.decode.formats, which is imported when it is needed.
FORMATS = ("txt", "json", "srt", "vtt", "tsv", "ctm", "eaf", "textgrid")


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    parser = add_command(commands, "transcribe", "transcribe audio files", run, options=True)
    parser.add_argument("audio", nargs="*", type=named_path, metavar="AUDIO", help=AUDIO)
    parser.add_argument("--files", metavar="LIST", help="a list of more of them, a path a line; - for standard input")
    parser.add_argument("--model", type=named_path, required=True, metavar="MODEL", help="folder of a model")
    parser.add_argument("--format", choices=FORMATS, default="txt", help="json: one object a line; default txt")
    parser.add_argument("--output-dir", type=named_path, metavar="D", help="write a file for each recording there")
    parser.add_argument("--skip-existing", action="store_true", help="leave out what is in the folder already")
    add_channel(parser)
    parser.add_argument("--one-speaker", action="store_true", help="the same person speaks in all recordings")
    parser.add_argument(
        "--segments", metavar="FILE[:TIER]", help="fill the empty segments: .eaf, .TextGrid, .csv, .srt"
    )
    parser.add_argument("--in-place", action="store_true", help="with --segments: change that file itself")
    parser.add_argument(
        "--into", type=named_path, metavar="FILE.eaf", help="add the transcription to that file, as a tier"
    )
    parser.add_argument("--tier", metavar="NAME", help="with --into: the name of the tier")
    add_overwrite(parser, "replace files that are there; with --into, the tier")
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.add_argument("--hotwords", type=text_file, metavar="FILE", help="words and phrases to expect, one a line")
    add_grammar(parser)
    parser.epilog = "Decoding options can follow, e.g. --decode.beam 8 --decode.lm my.arpa."


def run(arguments: argparse.Namespace) -> int:
    """Transcribe; 1 if a file or a segment could not be."""
    from echo_asr.decode.files import expand_folders, output_targets, read_list, transcribe_files
    from echo_asr.distributed.launch import barrier, find_rank

    _refuse_combinations(arguments)
    take_grammar(arguments)
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
    where = (arguments.format, arguments.output_dir, arguments.skip_existing, rank, above)
    targets = output_targets(paths, *where, overwrite=arguments.overwrite)  # refused before the model is loaded
    refuse_to_replace(list(targets.values()), arguments, paths)
    recognizer = _load(arguments, warn=rank.main)
    how = (arguments.channel, arguments.one_speaker, arguments.overwrite)
    status = transcribe_files(recognizer, paths, *where, *how)
    barrier(rank)  # the launcher would end the others if this process ended with an error first
    return status


def _refuse_combinations(arguments: argparse.Namespace) -> None:
    """Refuse options that belong to another way of writing, or of which one says what another does."""
    error = arguments.parser.error
    if arguments.hotwords and "decode.hotwords" in arguments.changes:
        error("--hotwords and --decode.hotwords both name words; give one of them")
    if arguments.segments and arguments.into:
        error("--segments and --into exclude each other; run them one after the other")
    if (arguments.segments or arguments.into) and (arguments.format != "txt" or arguments.skip_existing):
        error("--format and --skip-existing write files of their own; leave them out with --segments and --into")
    if (arguments.segments or arguments.into) and arguments.one_speaker:
        error("--one-speaker is for several recordings; leave it out with --segments and --into")
    if arguments.in_place and not arguments.segments:
        error("--in-place belongs to --segments FILE")
    if arguments.tier and not arguments.into:
        error("--tier belongs to --into FILE.eaf; a tier of segments is named by --segments FILE:TIER")
    if arguments.overwrite and not (arguments.into or arguments.output_dir):
        error("--overwrite goes with files that are written: --output-dir, or --into FILE.eaf")
    if arguments.overwrite and arguments.skip_existing:
        error("--overwrite replaces what is there, --skip-existing keeps it; give one of them")
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
    target = source
    if arguments.output_dir:
        target = filled_path(source, arguments.output_dir, arguments.overwrite)
        refuse_to_replace([target], arguments, [segmented.recording])
    else:
        refuse_read_only(source.resolve(), "make it writable, or give --output-dir instead of --in-place")
    return fill_segments(_load(arguments), segmented, target, arguments.channel)


def _load(arguments: argparse.Namespace, warn: bool = True) -> Recognizer:
    """The recogniser; what it cannot hear of a grammar is printed, if `warn`."""
    from echo_asr.commands.recognizer import load_model, warn_of_unwritable
    from echo_asr.decode.word_list import read_word_list

    changes = dict(arguments.changes)
    if arguments.hotwords:
        changes["decode.hotwords"] = read_word_list(arguments.hotwords)
    recognizer = load_model(arguments, changes)
    if warn:
        warn_of_unwritable(recognizer, arguments)
    return recognizer
