"""`echo-asr elan install` and `run`: a recogniser inside ELAN."""

from __future__ import annotations

import argparse
import re
import sys
import traceback
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from echo_asr.commands.arguments import Parser, Subparsers, add_command, named_path
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.decode.avatech import Annotation, Messages
    from echo_asr.decode.transcribe import Recognizer

READ, LOADED = 0.01, 0.05  # of the progress: when the parameters are read, and when the model is loaded


def add(commands: Subparsers[Parser]) -> None:
    """Add the command, its two actions and their arguments."""
    elan = add_command(commands, "elan", "transcribe inside ELAN, as one of its recognisers", install)
    actions = elan.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    parser = add_command(actions, "install", "add Echo to the recognisers of an installation of ELAN", install)
    parser.add_argument(
        "folder", type=named_path, metavar="DIR", help="ELAN's folder of extensions, or ELAN's own folder"
    )
    parser.add_argument(
        "--model", type=named_path, metavar="MODEL", help="folder of the model that ELAN shows at first"
    )
    add_command(actions, "run", "what ELAN starts: parameters on standard input, progress on standard output", run)


def install(arguments: argparse.Namespace) -> None:
    """Write the recogniser's folder, and print what to do in ELAN."""
    from echo_asr.commands.elan_extension import TITLE, find_extensions, write_extension

    if not sys.executable:
        raise EchoError("this Python does not know where it is; start echo-asr by its path")
    extensions = find_extensions(arguments.folder)
    if arguments.model:
        _load(arguments.model, "cpu")  # a folder without a usable model is refused now, not in ELAN
    folder = write_extension(extensions, sys.executable, arguments.model)
    print(f"{folder} is written; restart ELAN, open the tab Recognizers, and choose {TITLE!r}")
    if not arguments.model:
        print("enter the folder of a model there, or run this again with --model MODEL")


def run(arguments: argparse.Namespace) -> int:
    """Transcribe once for ELAN; 1 if it failed, with the reason in a line on standard error."""
    from echo_asr.decode.avatech import Messages, read_parameters

    messages, given = Messages(sys.stdout), dict[str, str]()
    with redirect_stdout(sys.stderr):  # nothing but the protocol may be printed there
        try:
            if sys.stdin is None or sys.stdin.isatty():
                usage = "with parameters on standard input; see echo-asr elan install --help"
                raise EchoError(f"this is what ELAN starts, {usage}")
            messages.progress(0, "reading the parameters")
            given = read_parameters(sys.stdin.buffer)
            _recognize(given, messages)
        except BrokenPipeError:  # ELAN has gone
            raise
        except Exception as error:
            if reason := _reason(error):
                print(f"echo-asr elan run: {' '.join(reason.split())}", file=sys.stderr, flush=True)
            else:
                traceback.print_exc()
            _remove_empty(given.get("output_tier", ""))
            messages.failed()  # the last line that ELAN reads
            return 1
    messages.done()
    return 0


def _remove_empty(target: str) -> None:
    """Remove the empty file that ELAN made for the tier, or it would try to load it after the failure."""
    with suppress(OSError):
        if target and Path(target).stat().st_size == 0:
            Path(target).unlink()


def _reason(error: Exception) -> str:
    """One line for what the user can mend, nothing for a defect of Echo."""
    if isinstance(error, EchoError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if isinstance(error, MemoryError) or re.search("out of memory|can't allocate memory", str(error)):
        return "out of memory; close other programs, or take a smaller model"
    return ""


def _recognize(given: dict[str, str], messages: Messages) -> None:
    """Transcribe with the given parameters, and write the tier."""
    from echo_asr.audio import audio_duration
    from echo_asr.commands.elan_extension import ANNOTATIONS, TIER
    from echo_asr.decode.avatech import read_tier, write_tier

    for name, what in {"source": "recording", "output_tier": "file for the new tier"}.items():
        if not given.get(name):
            raise EchoError(f"ELAN named no {what}; choose one in the tab Recognizers")
    model = given.get("model", "").strip().strip('"')  # quotes are of Windows' "Copy as path"
    if not model:
        raise EchoError("there is no model; enter the folder of one in the tab Recognizers")
    which = given.get("annotations") or ANNOTATIONS[0]
    if which not in ANNOTATIONS:
        raise EchoError(f"annotations: expected {' or '.join(ANNOTATIONS)}, got {which!r}")
    tier = read_tier(Path(given["input_tier"])) if given.get("input_tier") else None
    if tier == []:
        raise EchoError("the input tier has no annotations; add some, or choose no tier for the whole recording")
    recording = Path(given["source"])
    seconds = audio_duration(recording)
    messages.progress(READ, "loading the model")
    recognizer = _load(Path(model), "auto")
    if tier is None:
        found = _transcribe_recording(recognizer, recording, seconds, messages)
    else:
        found = _transcribe_annotations(recognizer, recording, tier, which == "all", messages)
    messages.progress(1, "writing the tier")
    write_tier(Path(given["output_tier"]), given.get("tier_name", "").strip() or TIER, found)


def _load(model: Path, device: str) -> Recognizer:
    from echo_asr.research.f0_controls import load_recognizer

    return load_recognizer(model, device, {})


def _transcribe_recording(
    recognizer: Recognizer, recording: Path, seconds: float, messages: Messages
) -> list[Annotation]:
    """An annotation for each segment of speech of a recording of so many seconds.

    Raises:
        EchoError: the recording cannot be read.
    """
    from echo_asr.decode.avatech import Annotation
    from echo_asr.decode.results import Segment, Transcription
    from echo_asr.decode.subtitles import segment_spans

    found = Transcription("", seconds)
    messages.progress(LOADED, f"transcribing {seconds:.0f} s")
    for _, result in recognizer.transcribe_each([recording], words=False):
        if isinstance(result, EchoError):
            raise result
        if isinstance(result, Segment):
            done = result.end / max(seconds, result.end)
            messages.progress(LOADED + (1 - LOADED) * done, f"{result.end:.0f} of {seconds:.0f} s")
        else:
            found = result
    spans = segment_spans(found)
    if not spans:
        _warn("there is no speech in the recording; the new tier is empty")
    return [Annotation(start, end, text) for start, end, text, _ in spans]


def _transcribe_annotations(
    recognizer: Recognizer, recording: Path, tier: list[Annotation], every: bool, messages: Messages
) -> list[Annotation]:
    """The annotations of a tier with the text that is recognised in each; with `every` false, only where there is none.

    One that cannot be read, such as one after the end of the recording, keeps its text, and a warning is printed.

    Raises:
        EchoError: none of them can be read.
    """
    from echo_asr.audio.segment import AudioSegment
    from echo_asr.console import counted
    from echo_asr.decode.annotate import segment_texts
    from echo_asr.text.normalize import is_blank

    wanted = [number for number, annotation in enumerate(tier) if every or is_blank(annotation.text)]
    if not wanted:
        _warn("no annotation of the input tier is empty; choose 'all' to transcribe those with a text, too")
    spans = [(tier[number].start / 1000, tier[number].end / 1000) for number in wanted]  # seconds
    sources = [AudioSegment(recording, start, end - start) for start, end in spans]
    messages.progress(LOADED, f"transcribing {counted(len(sources), 'annotation')}")
    found, failed, done = list(tier), list[EchoError](), 0
    for index, result in segment_texts(recognizer, sources):
        if isinstance(result, EchoError):
            failed.append(result)
        else:
            found[wanted[index]] = tier[wanted[index]]._replace(text=result)
        done += 1
        messages.progress(
            LOADED + (1 - LOADED) * done / len(sources), f"{done} of {counted(len(sources), 'annotation')}"
        )
    if failed and len(failed) == len(sources):
        raise failed[0]
    for error in failed:
        _warn(f"{error}; the annotation stays as it is")
    return found


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)
