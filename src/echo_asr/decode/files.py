"""Transcribing lists of files: one bad file does not stop the others."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from echo_asr.console import progress_bar
from echo_asr.decode.transcribe import Recognizer, Transcription
from echo_asr.errors import EchoError
from echo_asr.storage import replace_text


def render(path: Path, found: Transcription, form: str) -> str:
    """One transcription as a line of text: the text itself (`txt`), or `file, duration, text` (`json`)."""
    if form == "txt":
        return found.text
    fields = {"file": printable(path), "duration": round(found.duration, 3), "text": found.text}
    return json.dumps(fields, ensure_ascii=False)


def printable(path: Path) -> str:
    """The name of a file; what is no UTF-8 in it, as in names from old systems, becomes a question mark."""
    return str(path).encode("utf-8", "replace").decode("utf-8")


def transcribe_files(recognizer: Recognizer, paths: Sequence[Path], form: str, folder: Path | None = None) -> int:
    """Transcribe files to standard output, or to `folder/NAME.txt` (`.json`); returns the exit status.

    A file that cannot be read is told on standard error, the others go on, and the status is then 1.

    Raises:
        EchoError: the folder cannot be written, or two files would be written to one place.
    """
    targets = {path: folder / f"{path.stem}.{form}" for path in paths} if folder else {}
    twice = [str(target) for target, count in Counter(targets.values()).items() if count > 1]
    if twice:
        raise EchoError(f"{twice[0]}: several recordings would be written there; rename them, or run them apart")
    if folder:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EchoError(f"{folder}: cannot be made ({error.strerror}); choose another --output-dir") from None
    failed = 0
    with progress_bar("transcribing", len(paths)) as advance:
        for done, path in enumerate(paths, 1):
            try:
                line = render(path, recognizer.transcribe(path), form)
            except EchoError as error:
                failed += 1
                print(f"echo-asr transcribe: {error}", file=sys.stderr)
                continue
            if folder:
                replace_text(targets[path], line + "\n")
            else:
                print(line if form == "json" or len(paths) == 1 else f"{printable(path)}: {line}", flush=True)
            advance(done, "")
    if failed and len(paths) > 1:
        print(f"echo-asr transcribe: {failed} of {len(paths)} files could not be transcribed", file=sys.stderr)
    return 1 if failed else 0
