"""`echo-asr align`."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import TYPE_CHECKING

from echo_asr.commands.arguments import (
    CORPUS,
    DEVICE,
    Parser,
    Subparsers,
    add_broken,
    add_channel,
    add_command,
    add_overwrite,
    check_channel,
    named_path,
    refuse_grammar,
    text_file,
)
from echo_asr.commands.inputs import audio_files, refuse_in_corpus, refuse_to_replace
from echo_asr.commands.training import add_model, check_model, model_or_training
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.data.corpus import Audio, Utterance
    from echo_asr.decode.results import Segment, Transcription
    from echo_asr.decode.transcribe import Recognizer

FORMATS = ("json", "ctm", "textgrid", "eaf")  # of echo_asr.decode.formats, which is imported when it is needed
PRINTED = ("json", "ctm")  # of which several recordings can stand one after another


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "find when the words and symbols of given texts are spoken, in a corpus or in one recording"
    parser = add_command(commands, "align", text, run, options=True)
    parser.add_argument("corpus", metavar="CORPUS|FILE", help=f"{CORPUS}; or a recording, with --text or --text-file")
    add_model(parser, "the corpus itself")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--text", metavar="T", help="text of the recording")
    given.add_argument("--text-file", type=text_file, metavar="F", help="file with the text of the recording")
    parser.add_argument("--format", choices=FORMATS, default="json", help="json (default): one object a line")
    parser.add_argument("--output-dir", type=named_path, metavar="D", help="write a file for each recording there")
    add_overwrite(parser)
    parser.add_argument("--split", help="of the corpus (default: all of it)")
    add_channel(parser, "of the recording")
    add_broken(parser)
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "Options can follow: of decoding, e.g. --decode.times attention, and without --model of training."


def run(arguments: argparse.Namespace) -> int:
    """Align, and write or print the times; 1 if a text could not be aligned."""
    from echo_asr.decode.outputs import refuse_existing
    from echo_asr.storage import make_folder

    refuse_grammar(arguments)
    alone = arguments.text is not None or arguments.text_file is not None
    check_model(arguments, None if alone else arguments.corpus, ": one recording is too little to train on")
    if alone and arguments.split:
        raise EchoError("--split is of a corpus, and --text gives one recording its text; leave one out")
    if not alone and arguments.channel is not None:
        raise EchoError(f"--channel is of one recording; of a corpus it is {arguments.corpus}@channel:N")
    utterances = [_recording(arguments)] if alone else _utterances(arguments)
    files = _grouped(utterances)
    targets = _targets(list(files), arguments.output_dir, arguments.format)
    if arguments.output_dir:
        written = list(targets.values())
        refuse_to_replace(written, arguments, audio_files(utterances))
        refuse_in_corpus(written, arguments.corpus)
        refuse_existing(written, arguments.overwrite)
        make_folder(arguments.output_dir, "choose another --output-dir")
    elif len(files) > 1 and arguments.format not in PRINTED:
        what = f"{len(files)} recordings make {len(files)} {arguments.format} files"
        raise EchoError(f"{what}; name a folder for them: --output-dir")
    with model_or_training(arguments, arguments.corpus) as recognizer:
        return _align(arguments, recognizer, files, targets)


def _recording(arguments: argparse.Namespace) -> Utterance:
    """The recording whose text is given, or a channel of it."""
    from echo_asr.audio import audio_duration
    from echo_asr.audio.segment import AudioSegment
    from echo_asr.data.corpus import Utterance
    from echo_asr.text.textfile import read_text_file

    text = arguments.text
    if text is None:
        text = read_text_file(arguments.text_file).data.decode("utf-8", "replace")
    text = " ".join(text.split())
    if not text:
        where = "--text" if arguments.text_file is None else str(arguments.text_file)
        raise EchoError(f"{where}: is empty; give the text of the recording")
    path = Path(arguments.corpus)
    seconds, audio = audio_duration(path), AudioSegment(path, channel=arguments.channel)
    check_channel(audio)
    return Utterance(path.name, path if audio.channel is None else audio, text, "", "test", seconds)


def _utterances(arguments: argparse.Namespace) -> list[Utterance]:
    from echo_asr.audio import audio_duration
    from echo_asr.data.corpus import load_corpus
    from echo_asr.data.unreadable import leave_out_unreadable

    if Path(arguments.corpus).is_file():
        try:
            audio_duration(arguments.corpus)
        except EchoError:
            pass  # a table or a file of annotations, or nothing that Echo knows, as is said below
        else:
            raise EchoError(f"{arguments.corpus}: a recording; give its text with --text or --text-file")
    corpus = load_corpus(arguments.corpus, arguments.broken)
    utterances = corpus.split(arguments.split) if arguments.split else corpus.utterances
    if arguments.broken == "skip":
        utterances = leave_out_unreadable(arguments.corpus, utterances)
    return list(utterances)


Key = tuple[str, str]  # the path of a recording, and who speaks where a file of its own is written for each


def _grouped(utterances: Sequence[Utterance]) -> dict[Key, list[Utterance]]:
    """The utterances of each recording in the order of time. Where several people speak in one, who may do so at once,
    each has a file of their own."""
    recordings: dict[str, list[Utterance]] = {}
    for one in utterances:
        recordings.setdefault(str(_place(one)[0]), []).append(one)
    found: dict[Key, list[Utterance]] = {}
    for name, own in recordings.items():
        several = len({one.speaker for one in own}) > 1
        for one in sorted(own, key=lambda one: _place(one)[1]):
            found.setdefault((name, one.speaker if several else ""), []).append(one)
    return found


def _place(utterance: Utterance) -> tuple[Audio, float]:
    """The recording that an utterance is a part of, and where it begins there, in seconds."""
    from echo_asr.audio.segment import AudioSegment

    audio = utterance.audio
    return (audio.path, audio.start) if isinstance(audio, AudioSegment) else (audio, 0.0)


def _targets(keys: Sequence[Key], folder: Path | None, form: str) -> dict[Key, Path]:
    """The file that is written for each recording, in the folders below the one that all recordings lie in.

    Raises:
        EchoError: two would be written into one.
    """
    from echo_asr.decode.formats import ENDINGS

    if folder is None:
        return {}
    above = os.path.commonpath([os.path.abspath(os.path.dirname(name)) for name, _ in keys])
    found: dict[Key, Path] = {}
    for name, speaker in keys:
        inner = Path(os.path.relpath(os.path.abspath(name), above)).with_suffix("")
        own = f".{speaker.replace('/', '_')}" if speaker else ""
        found[name, speaker] = folder / inner.with_name(f"{inner.name}{own}.{ENDINGS.get(form, form)}")
    twice = [str(path) for path, count in Counter(found.values()).items() if count > 1]
    if twice:
        raise EchoError(f"{twice[0]}: several recordings would be written there; rename them, or align them apart")
    return found


def _align(
    arguments: argparse.Namespace,
    recognizer: Recognizer,
    files: dict[Key, list[Utterance]],
    targets: dict[Key, Path],
) -> int:
    from echo_asr.console import counted, progress_bar
    from echo_asr.data.excluded import apply_conventions
    from echo_asr.data.speakers import speaker_voices
    from echo_asr.decode.formats import render
    from echo_asr.decode.given_texts import align_phrases
    from echo_asr.storage import make_folder, replace_text

    conventions = recognizer.bundle.text.transcription
    transcribed = apply_conventions(arguments.corpus, [u for own in files.values() for u in own], conventions)
    if conventions:
        print(f"echo-asr align: {transcribed}", file=sys.stderr)
    kept = set(map(id, transcribed.utterances))
    todo = [(key, one) for key, own in files.items() for one in own if id(one) in kept]
    voices = speaker_voices([one for _, one in todo], recognizer.extractor, recognizer.pitch_by_speaker)
    before = [0.0, *accumulate(one.duration for _, one in todo)]  # seconds of the texts before
    failed = total = 0

    def aligned(advance: Callable[[int, str], None]) -> Iterator[tuple[Key, Utterance, Segment]]:
        nonlocal failed, total

        def read(number: int, seconds: float) -> None:
            advance(round(before[number] + seconds), "")

        each = align_phrases(recognizer, (u.audio for _, u in todo), (u.text for _, u in todo), None, voices, read)
        for number, ((key, one), results) in enumerate(zip(todo, each, strict=True), 1):
            for result in results:
                total += 1
                if isinstance(result, EchoError):
                    failed += 1
                    print(f"echo-asr align: {result}", file=sys.stderr)
                else:
                    yield key, one, result
            advance(round(before[number]), "")

    with progress_bar("seconds", round(before[-1])) as advance:
        for key, parts in groupby(aligned(advance), key=lambda part: part[0]):
            found = _transcription([(one, segment) for _, one, segment in parts])
            if arguments.output_dir is None:
                print(render(key[0], found, arguments.format, symbols=True), end="", flush=True)
                continue
            target = targets[key]
            make_folder(target.parent, "choose another --output-dir")
            replace_text(target, render(key[0], found, arguments.format, target.parent, True))
    if failed:
        left = f"could not be aligned and {'is' if failed == 1 else 'are'} left out"
        print(f"echo-asr align: {failed} of {counted(total, 'text')} {left}", file=sys.stderr)
    return 1 if failed else 0


def _transcription(parts: Sequence[tuple[Utterance, Segment]]) -> Transcription:
    """The utterances of a recording with their times in it."""
    from echo_asr.audio import audio_duration
    from echo_asr.decode.results import Transcription, placed
    from echo_asr.text.normalize import join_texts

    segments = [placed(segment, _place(one)[1], one.duration) for one, segment in parts]
    first = parts[0][0]
    path, _ = _place(first)
    duration = audio_duration(path) if isinstance(path, Path) else first.duration
    return Transcription(join_texts(s.text for s in segments), duration, tuple(segments))
