"""`echo-asr corpus cut`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from echo_asr.commands.arguments import (
    CORPUS,
    DEVICE,
    Parser,
    Subparsers,
    add_channel,
    add_command,
    check_channel,
    named_path,
)
from echo_asr.commands.training import add_model, check_model, model_or_training
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.audio.segment import AudioSegment
    from echo_asr.data.corpus import Utterance
    from echo_asr.decode.cutting import CutRecording
    from echo_asr.text.script import Script

REPORT = "report.tsv"  # in the folder of the corpus
COLUMNS = ("kind", "start", "end", "lines", "text", "recognised")
UNSPOKEN, UNWRITTEN, DOUBTFUL = "not spoken", "no text", "doubtful"
MOST = 10  # rows of a kind that are printed
WIDTH = 70  # characters of a text that are printed


def add(actions: Subparsers[Parser]) -> None:
    """Add the action and its arguments."""
    text = "make a corpus of a long recording and its text: cut it at its pauses, and find the text of each clip"
    parser = add_command(actions, "cut", text, cut, options=True)
    parser.add_argument(
        "recording", type=named_path, metavar="RECORDING", help="wav, flac, ogg, opus, mp3, ..., of any length"
    )
    parser.add_argument(
        "text", type=named_path, metavar="TEXT", help="its text in paragraphs, or its subtitles (.srt, .vtt)"
    )
    written = f"for the clips, a metadata.csv and {REPORT}"
    parser.add_argument("--out", type=named_path, required=True, metavar="FOLDER", help=written)
    less = "write no clips: metadata.csv refers to the recording where it lies"
    parser.add_argument("--no-copy", action="store_true", help=less)
    add_model(parser, "the corpus of --train-on")
    parser.add_argument("--train-on", metavar="CORPUS", help=f"train a model on this corpus first: {CORPUS}")
    parser.add_argument("--speaker", default="", metavar="NAME", help="who speaks, for the corpus")
    add_channel(parser, "of the recording")
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = (
        "Options can follow: of decoding, e.g. --decode.segments.longest 10, and with --train-on of training."
    )


def cut(arguments: argparse.Namespace) -> None:
    """Cut, write the corpus and the report, and print what it holds."""
    from echo_asr.audio import audio_duration
    from echo_asr.audio.segment import AudioSegment
    from echo_asr.console import progress_bar
    from echo_asr.data.partition import make_corpus_folder, write_corpus
    from echo_asr.data.script import read_script
    from echo_asr.decode.cutting import cut_recording
    from echo_asr.storage import replace_text
    from echo_asr.text.normalize import normalize_basic

    check_model(arguments, arguments.train_on, ", or a corpus to train one on with --train-on")
    if arguments.model is not None and arguments.train_on is not None:
        raise EchoError("--train-on is for training, and --model names a trained one; leave one out")
    seconds = audio_duration(arguments.recording)
    recording = AudioSegment(arguments.recording, channel=arguments.channel)
    check_channel(recording)
    read_script(arguments.text, normalize_basic)  # what is wrong with it is found before an hour of work
    make_corpus_folder(arguments.out)
    with model_or_training(arguments, arguments.train_on) as recognizer:
        script = read_script(arguments.text, recognizer.normalize)
        with progress_bar("seconds", max(1, round(seconds))) as advance:
            found = cut_recording(recognizer, recording, script, lambda done: advance(round(done), ""))
    if not found.clips:
        what = f"no part of {arguments.text} was recognised in {arguments.recording}"
        raise EchoError(f"{what}; is it the text of it, and the model one of its language?")
    utterances = _utterances(recording, arguments.speaker, found)
    written = write_corpus(arguments.out, utterances)  # complete, whatever happens while clips are written
    rows = list(_report(script, found))
    table = "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows])
    replace_text(arguments.out / REPORT, table)
    print(*_summary(script, found, rows), sep="\n")
    if not arguments.no_copy:
        _write_clips(arguments.out, recording, utterances)
    audio = "refers to the audio where it lies" if arguments.no_copy else "names the clips"
    print(f"{written} {audio}; {arguments.out / REPORT} lists all of this")


def _write_clips(folder: Path, recording: AudioSegment, utterances: list[Utterance]) -> None:
    from echo_asr.console import progress_bar
    from echo_asr.data.readers.metadata import METADATA
    from echo_asr.data.writers.clips import write_clips

    try:
        with progress_bar("clips", len(utterances)) as advance:
            write_clips(folder, recording, utterances, lambda done: advance(done, ""))
    except EchoError as error:
        kept = f"{folder / METADATA} is a corpus without them: it refers to the recording where it lies"
        raise EchoError(f"{error}; {kept}") from None


def _utterances(recording: AudioSegment, speaker: str, found: CutRecording) -> list[Utterance]:
    from echo_asr.data.corpus import Utterance

    name, digits = recording.path.stem, len(str(len(found.clips)))
    utterances = []
    for number, clip in enumerate(found.clips, 1):
        audio = replace(recording, start=clip.start, duration=clip.end - clip.start)
        own = f"{name}-{number:0{digits}d}"
        utterances.append(Utterance(own, audio, clip.text, speaker, "train", clip.end - clip.start))
    return utterances


def _report(script: Script, found: CutRecording) -> Iterator[tuple[str, ...]]:
    """The rows of the report: passages of the text that are not spoken, where they would be; speech without a text; and
    clips whose text is doubtful."""
    starts = {clip.words[0]: clip.start for clip in found.clips}
    for first, last in found.unspoken:
        after = min((word for word in starts if word > last), default=None)
        place = f"{found.duration if after is None else starts[after]:.2f}"
        yield UNSPOKEN, place, place, _lines(script, first, last), script.text(range(first, last + 1)), ""
    for start, end, recognized in found.unwritten:
        yield UNWRITTEN, f"{start:.2f}", f"{end:.2f}", "", "", recognized
    for clip in found.clips:
        if clip.doubt:
            times = f"{clip.start:.2f}", f"{clip.end:.2f}"
            lines = _lines(script, clip.words[0], clip.words[-1])
            yield f"{DOUBTFUL}: {clip.doubt}", *times, lines, clip.text, clip.recognized


def _lines(script: Script, first: int, last: int) -> str:
    from_line, to_line = script.lines[first], script.lines[last]
    return str(from_line) if from_line == to_line else f"{from_line}-{to_line}"


def _summary(script: Script, found: CutRecording, rows: list[tuple[str, ...]]) -> Iterator[str]:
    """What is printed: totals, and the first rows of each kind."""
    from echo_asr.console import counted, hours

    seconds = sum(clip.end - clip.start for clip in found.clips)
    words = sum(len(clip.words) for clip in found.clips)
    yield (
        f"{counted(len(found.clips), 'clip')}, {hours(seconds)} of {hours(found.duration)}, with {words} of "
        f"{counted(len(script.words), 'word')}"
    )
    titles = {
        UNSPOKEN: "in the text, not in the recording",
        UNWRITTEN: "in the recording, not in the text",
        DOUBTFUL: "clips with a doubtful text; compare them with the recording",
    }
    for kind, title in titles.items():
        own = [row for row in rows if row[0].startswith(kind)]
        if own:
            yield f"{title}: {len(own)}"
        for _, start, end, lines, text, recognized in own[:MOST]:
            times = f"at {start} s" if start == end else f"{start}-{end} s"
            where = f", line{'s' * ('-' in lines)} {lines}" if lines else ""
            said = f"{_short(text)}" if text else f"recognised as {_short(recognized)}"
            yield f"  {times}{where}: {said}"
        if len(own) > MOST:
            yield f"  ... and {len(own) - MOST} more, in {REPORT}"


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
