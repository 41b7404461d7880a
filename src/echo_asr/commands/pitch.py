"""`echo-asr pitch`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from echo_asr.commands.arguments import (
    CORPUS,
    DEVICE,
    Parser,
    Subparsers,
    add_broken,
    add_command,
    add_overwrite,
    named_path,
)
from echo_asr.commands.inputs import refuse_in_corpus, refuse_to_replace
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.decode.syllables import AlignedSpeech
    from echo_asr.decode.transcribe import Recognizer

FORMATS = ("csv", "pitchtier", "pitch")  # of echo_asr.decode.recording_pitch, which is imported when it is needed
TRACKERS = ("echo", "swiftf0", "autocorrelation")  # of echo_asr.features.pitch
SCALES = ("semitones", "chao")
TABLE = "syllables.csv"  # in the folder


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "measure the F0 of recordings, or with a model the contours of the syllables of texts"
    parser = add_command(commands, "pitch", text, run, options=True)
    parser.add_argument("audio", nargs="*", type=named_path, metavar="AUDIO", help="wav, flac, ogg, opus, mp3, ...")
    parser.add_argument("--format", choices=FORMATS, default="csv", help="csv, or Praat's PitchTier or Pitch")
    parser.add_argument(
        "--output-dir", type=named_path, metavar="D", help=f"write files there: NAME.csv, ..., or {TABLE}"
    )
    parser.add_argument("--skip-existing", action="store_true", help="leave out what is in the folder already")
    add_overwrite(parser)
    parser.add_argument("--tracker", choices=TRACKERS, help="measures F0 (default echo; with a model, its own)")
    parser.add_argument(
        "--model", type=named_path, metavar="MODEL", help="folder of a model: contours of syllables, as csv"
    )
    parser.add_argument("--text", metavar="T", help="text of one recording (default: the recognised text)")
    parser.add_argument("--corpus", metavar="CORPUS", help=f"recordings with their texts and speakers: {CORPUS}")
    parser.add_argument("--split", help="of the corpus (default: all of it)")
    add_broken(parser)
    parser.add_argument("--picture", type=named_path, metavar="FILE", help="draw all contours by tone: png, svg or pdf")
    parser.add_argument("--scale", choices=SCALES, default="semitones", help="of the picture (default semitones)")
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "With a model decoding options can follow, e.g. --decode.times attention."


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write or print the result; 1 if a recording could not be read."""
    if bool(arguments.audio) == bool(arguments.corpus):
        arguments.parser.error("name recordings, or a corpus with --corpus" + (", not both" * bool(arguments.audio)))
    return _syllables(arguments) if arguments.model else _frames(arguments)


def _frames(arguments: argparse.Namespace) -> int:
    """F0 and voicing of recordings."""
    from echo_asr.decode.recording_pitch import pitch_targets, write_pitch
    from echo_asr.features import FeatureConfig, FeatureExtractor

    for name in ("corpus", "text", "picture", "split", "changes"):
        if getattr(arguments, name):
            word = next(iter(arguments.changes)) if name == "changes" else name
            raise EchoError(f"--{word} goes with the contours of syllables; name a model: --model")
    if arguments.skip_existing and arguments.overwrite:
        raise EchoError("--overwrite replaces what is there, --skip-existing keeps it; give one of them")
    extractor = FeatureExtractor(FeatureConfig(tracker=arguments.tracker or FeatureConfig.tracker))
    where = (arguments.format, arguments.output_dir)
    targets = pitch_targets(arguments.audio, *where, arguments.skip_existing, arguments.overwrite)
    refuse_to_replace(list(targets.values()), arguments, arguments.audio)
    return write_pitch(arguments.audio, *where, arguments.skip_existing, extractor, arguments.overwrite)


def _syllables(arguments: argparse.Namespace) -> int:
    """The contours of the syllables of texts."""
    from echo_asr.commands.recognizer import load_model
    from echo_asr.decode.syllables import (
        ENOUGH_VOICE,
        contours_to_csv,
        short_voices,
        speaker_ranges,
        syllable_contours,
    )
    from echo_asr.storage import make_folder, replace_text

    _check(arguments)
    recognizer = load_model(arguments)
    folder = arguments.output_dir
    if folder:
        make_folder(folder, "choose another --output-dir")
    speech, texts, failed = _corpus(arguments, recognizer) if arguments.corpus else _recordings(arguments, recognizer)
    if not speech:
        return 1
    # A model of before its notation was part of it, has that of the texts.
    notation = recognizer.bundle.text.find_tones(texts)[0].notation
    if notation is None:
        print("echo-asr pitch: the texts have no tone notation; a contour is that of a whole word", file=sys.stderr)
    contours, ranges = syllable_contours(speech, notation), speaker_ranges(speech)
    lacking = sum(not one.f0[0] > 0 for one in contours)
    if lacking:
        print(f"echo-asr pitch: {lacking} of {len(contours)} syllables have no voiced part, and no F0", file=sys.stderr)
    if few := short_voices(speech):
        what = f"less than {ENOUGH_VOICE:g} s of voice, too little for a median and levels"
        remedy = "take more of each speaker, as of a corpus that names speakers"
        print(f"echo-asr pitch: {len(few)} of {len(ranges)} voices have {what}; {remedy}", file=sys.stderr)
    table = contours_to_csv(contours, ranges)
    if folder:
        replace_text(folder / TABLE, table)
    else:
        print(table, end="", flush=True)
    if arguments.picture:
        from echo_asr.research.diagnose.contours import plot_contours

        paths = [Path(arguments.corpus)] if arguments.corpus else arguments.audio
        title = paths[0].name if len(paths) == 1 else ""
        plot_contours(contours, ranges, arguments.picture, arguments.scale, title)
    return 1 if failed else 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what does not go together, and files that must not be written, before anything is loaded."""
    from echo_asr.decode.outputs import PICTURES, check_output, refuse_existing

    if arguments.format != "csv":
        raise EchoError(f"--format {arguments.format} is for whole recordings; contours of syllables are csv")
    if arguments.tracker:
        raise EchoError("--tracker: a model has its own; leave it out")
    if arguments.skip_existing:
        raise EchoError("--skip-existing is for whole recordings; contours of syllables are one table")
    if arguments.text is not None and (arguments.corpus or len(arguments.audio) != 1):
        raise EchoError("--text is the text of one recording; for several make a corpus, docs/corpora.md has the forms")
    if arguments.split and not arguments.corpus:
        raise EchoError("--split is of a corpus; name one: --corpus")
    table = arguments.output_dir and arguments.output_dir / TABLE
    targets = [path for path in (arguments.picture, table) if path]
    refuse_to_replace(targets, arguments, arguments.audio)
    if arguments.corpus:
        refuse_in_corpus(targets, arguments.corpus)
    if arguments.picture:
        check_output(arguments.picture, "--picture", arguments.overwrite, PICTURES)
    if table:
        refuse_existing([table], arguments.overwrite)


def _corpus(arguments: argparse.Namespace, recognizer: Recognizer) -> tuple[list[AlignedSpeech], list[str], int]:
    """The texts of a corpus, aligned; those that could be, and how many could not."""
    from echo_asr.console import progress_bar
    from echo_asr.data.corpus import load_corpus
    from echo_asr.data.excluded import apply_conventions
    from echo_asr.data.speakers import speaker_voices
    from echo_asr.data.unreadable import leave_out_unreadable
    from echo_asr.decode.forced_alignment import GivenText, align_given

    corpus = load_corpus(arguments.corpus, arguments.broken)
    utterances = corpus.split(arguments.split) if arguments.split else corpus.utterances
    if arguments.broken == "skip":
        utterances = leave_out_unreadable(arguments.corpus, utterances)
    conventions = recognizer.bundle.text.transcription
    transcribed = apply_conventions(arguments.corpus, utterances, conventions)
    if conventions:
        print(f"echo-asr pitch: {transcribed}", file=sys.stderr)
    rows = transcribed.utterances
    voices = speaker_voices(rows, recognizer.extractor, recognizer.pitch_by_speaker)
    given = [GivenText(u.audio, u.text, u.speaker, u.id, voice) for u, voice in zip(rows, voices, strict=True)]
    speech: list[AlignedSpeech] = []
    left_out: list[EchoError] = []
    with progress_bar("aligning", len(given)) as advance:
        for found in align_given(recognizer, given, lambda done: advance(done, "")):
            if isinstance(found, EchoError):
                left_out.append(found)
            else:
                speech.append(found)
    if left_out:
        message = f"{len(left_out)} of {len(given)} texts cannot be aligned"
        if not speech:
            raise EchoError(f"{arguments.corpus}: {message}, first: {left_out[0]}")
        print(f"echo-asr pitch: {message} and are left out, first: {left_out[0]}", file=sys.stderr)
    return speech, [one.text for one in given], 0


def _recordings(arguments: argparse.Namespace, recognizer: Recognizer) -> tuple[list[AlignedSpeech], list[str], int]:
    """Recordings, aligned with the text that is given, or else with the recognised ones."""
    from echo_asr.console import progress_bar
    from echo_asr.decode.forced_alignment import GivenText, align_given, align_recognized

    if arguments.text is not None:
        found = next(align_given(recognizer, [GivenText(arguments.audio[0], arguments.text)]))
        if isinstance(found, EchoError):
            raise found
        if not found.texts[0][1]:
            raise EchoError(f"--text {arguments.text!r}: nothing is left of it once it is normalised")
        return [found], [arguments.text], 0
    print("echo-asr pitch: no --text is given; the contours are of the recognised text", file=sys.stderr)
    speech, failed = [], 0
    with progress_bar("recordings", len(arguments.audio)) as advance:
        for found in align_recognized(recognizer, arguments.audio, lambda done: advance(done, "")):
            if isinstance(found, EchoError):
                failed += 1
                print(f"echo-asr pitch: {found}", file=sys.stderr)
            else:
                speech.append(found)
    texts = ["".join(token.text for token in tokens) for one in speech for _, tokens in one.texts]
    return speech, texts, failed
