"""Writes a corpus in a form that other programs read (`echo-asr corpus export`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from echo_asr.audio.segment import AudioSegment
from echo_asr.console import counted, progress_bar
from echo_asr.data.corpus import Corpus, Utterance
from echo_asr.data.readers.records import file_of
from echo_asr.data.unreadable import leave_out_unreadable
from echo_asr.data.writers.audiofolder import write_audiofolder
from echo_asr.data.writers.kaldi import write_kaldi
from echo_asr.data.writers.manifests import write_manifests
from echo_asr.errors import EchoError
from echo_asr.storage import create_folder

Form = Literal["audiofolder", "kaldi", "lhotse"]
Write = Callable[[Path, str, Sequence[Utterance], Callable[[], None]], None]
WRITERS: dict[Form, Write] = {"audiofolder": write_audiofolder, "kaldi": write_kaldi, "lhotse": write_manifests}


def export_corpus(corpus: Corpus, form: Form, folder: Path, broken: Literal["refuse", "skip"] = "refuse") -> list[str]:
    """Write a corpus into a folder, which appears whole or not at all. Returns lines about what was written.

    Only `audiofolder` copies audio; the others name the files by their whole paths.

    Args:
        broken: how to treat recordings that prove to be unreadable, as in `load_corpus`.

    Raises:
        EchoError: the folder holds something already or cannot be written, a recording cannot be read, or it is
            computed (`@noise:10`) and the form names files.
    """
    if form not in WRITERS:
        raise EchoError(f"--to: expected one of {', '.join(get_args(Form))}; got {form!r}")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise EchoError(f"{folder}: exists and is not empty; choose another --out")
        if folder.is_dir():
            folder.rmdir()
    except OSError as error:
        raise EchoError(f"{folder}: cannot be made ({error.strerror}); choose another --out") from None
    if form != "audiofolder" and any(not isinstance(u.audio, Path | AudioSegment) for u in corpus.utterances):
        raise EchoError(f"corpus {corpus.name} has computed audio, which is in no file; export it --to audiofolder")
    if broken == "skip" and form != "kaldi":  # which does not open the audio
        corpus = replace(corpus, utterances=leave_out_unreadable(corpus.name, corpus.utterances))

    def fill(temporary: Path) -> None:
        count = 0

        def done() -> None:
            nonlocal count
            count += 1
            advance(count, "")

        with progress_bar("writing", len(corpus.utterances)) as advance:
            for split in corpus.splits:
                WRITERS[form](temporary, split, corpus.split(split), done)

    create_folder(folder, fill, folder, "choose another --out")
    return [
        *(f"{split}: {counted(len(corpus.split(split)), 'utterance')}" for split in corpus.splits),
        *_notes(corpus, form),
    ]


def _notes(corpus: Corpus, form: Form) -> list[str]:
    """What the other program will not do as Echo does."""
    if form != "kaldi":
        return []
    others = {path for u in corpus.utterances if (path := file_of(u.audio)).suffix.lower() != ".wav"}  # type: ignore[arg-type]
    if not others:
        return []
    what = f"{counted(len(others), 'recording')} that {'is' if len(others) == 1 else 'are'} not wav"
    return [f"Kaldi itself reads wav alone, and here are {what}, such as {min(others)}; ESPnet, k2 and Echo read them"]
