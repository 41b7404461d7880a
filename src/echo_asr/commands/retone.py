"""`echo-asr retone`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echo_asr.commands.arguments import (
    CORPUS,
    DEVICE,
    Parser,
    Subparsers,
    add_broken,
    add_command,
    named_path,
    refuse_grammar,
)
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.data.corpus import Utterance
    from echo_asr.decode.results import Retoned
    from echo_asr.decode.transcribe import Recognizer
    from echo_asr.text.tones import ToneNotation

FORMATS = ("txt", "json")


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "write the tones into texts that have none, from their recordings"
    parser = add_command(commands, "retone", text, run, options=True)
    parser.add_argument("corpus", metavar="CORPUS", help=f"{CORPUS}; or a recording, with --text")
    parser.add_argument("--text", metavar="TEXT", help="what is spoken in the recording, without tones")
    parser.add_argument("--model", type=named_path, required=True, metavar="MODEL", help="folder of a model")
    parser.add_argument("--split", default="all", help="split of the corpus (default all)")
    shown = "txt: name and text, with a tab between; json: one object a line, with probabilities (default txt)"
    parser.add_argument("--format", choices=FORMATS, default="txt", help=shown)
    parser.add_argument(
        "--out", type=named_path, metavar="FOLDER", help="write a corpus there instead; audio stays put"
    )
    add_broken(parser)
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "Options can follow, e.g. --decode.beam 16, or --text.tones digits for models that do not note it."


def run(arguments: argparse.Namespace) -> int:
    """Print or write texts with tones; 1 if some have none."""
    from echo_asr.commands.recognizer import load_model
    from echo_asr.decode.retone import model_notation

    refuse_grammar(arguments)
    own = {name: value for name, value in arguments.changes.items() if name.startswith("text.tone")}
    others = {name: value for name, value in arguments.changes.items() if name not in own}
    if arguments.text is not None and arguments.out:
        raise EchoError("--out writes a corpus, and --text goes with one recording; take one of them")
    utterances = [] if arguments.text is not None else _utterances(arguments)
    recognizer = load_model(arguments, others)
    notation = _notation(recognizer, own) if own else model_notation(recognizer.bundle.text)
    if arguments.text is not None:
        found = recognizer.retone(arguments.corpus, arguments.text, notation=notation)
        fields = {"file": arguments.corpus, **_fields(found)}
        print(json.dumps(fields, ensure_ascii=False) if arguments.format == "json" else found.written)
        return 0 if found.found else 1
    return _retone_corpus(arguments, recognizer, utterances, notation)


def _notation(recognizer: Recognizer, changes: dict[str, Any]) -> ToneNotation:
    """The notation of a model, with settings of it changed."""
    from echo_asr.config import build_sections
    from echo_asr.decode.retone import model_notation
    from echo_asr.text.config import TextConfig

    data = {"text": asdict(recognizer.bundle.text)}
    return model_notation(build_sections(data, {"text": TextConfig}, changes)["text"])


def _utterances(arguments: argparse.Namespace) -> list[Utterance]:
    from echo_asr.data.corpus import load_corpus
    from echo_asr.data.unreadable import leave_out_unreadable

    try:
        corpus = load_corpus(arguments.corpus, arguments.broken)
    except EchoError as error:
        if Path(arguments.corpus).is_file():
            raise EchoError(f"{error}; of a recording, give its text with --text") from None
        raise
    utterances = corpus.utterances if arguments.split == "all" else corpus.split(arguments.split)
    if arguments.broken == "skip":
        utterances = tuple(leave_out_unreadable(arguments.corpus, utterances))
    return list(utterances)


def _retone_corpus(
    arguments: argparse.Namespace, recognizer: Recognizer, utterances: list[Utterance], notation: ToneNotation
) -> int:
    """Print each text, or write all as a corpus; a text without tones stays as it is, and is counted."""
    from echo_asr.console import counted, progress_bar
    from echo_asr.data.partition import make_corpus_folder, write_corpus
    from echo_asr.data.speakers import speaker_voices
    from echo_asr.decode.results import Retoned
    from echo_asr.decode.retone import retone_each

    if arguments.out:
        make_corpus_folder(arguments.out)  # now, since the search takes long
    conventions = recognizer.bundle.text.transcription
    known = [u for u in utterances if not conventions.apply(u.text).excluded]
    voices = speaker_voices(known, recognizer.extractor, recognizer.pitch_by_speaker)
    each = retone_each(recognizer, (u.audio for u in known), (u.text for u in known), None, notation, voices)
    texts: dict[str, str] = {}
    failed = normalised = 0
    used = {u.id for u in known}
    with progress_bar("retoning", len(utterances)) as advance:
        for number, utterance in enumerate(utterances, 1):
            found = next(each) if utterance.id in used else Retoned(utterance.text, utterance.text)
            advance(number, "")
            if isinstance(found, EchoError):
                print(f"echo-asr retone: {utterance.id}: {found}", file=sys.stderr)
                found = Retoned(utterance.text, utterance.text, found=False)
            failed += not found.found
            normalised += not found.matched
            texts[utterance.id] = found.written
            if not arguments.out:
                as_json = json.dumps({"id": utterance.id, **_fields(found)}, ensure_ascii=False)
                print(as_json if arguments.format == "json" else f"{utterance.id}\t{found.written}", flush=True)
    if arguments.out:
        written = write_corpus(arguments.out, [replace(u, text=texts[u.id]) for u in utterances])
        print(f"{written}: {counted(len(utterances), 'text')}")
    for count, what in (
        (failed, "stay as they are, since no tones were found"),
        (len(utterances) - len(known), "stay as they are, since text.conventions exclude them"),
        (normalised, "are normalised: their words as written do not correspond to those of the model"),
    ):
        if count:
            print(f"echo-asr retone: {count} of {counted(len(utterances), 'text')} {what}", file=sys.stderr)
    return 1 if failed else 0


def _fields(found: Retoned) -> dict[str, Any]:
    words = zip(found.text.split(), found.probabilities, strict=False)
    return {"text": found.written, "words": [{"word": word, "probability": round(p, 4)} for word, p in words]}
