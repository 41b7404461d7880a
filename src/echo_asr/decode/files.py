"""Transcribes lists of files. A file that cannot be read does not stop the others; an interruption loses no text."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from echo_asr.audio import audio_duration
from echo_asr.audio.segment import AudioSegment
from echo_asr.audio.tree import recordings_below
from echo_asr.config import text_encoding
from echo_asr.console import progress_bar
from echo_asr.decode.formats import ENDINGS, render, render_line
from echo_asr.decode.outputs import refuse_existing
from echo_asr.decode.results import Segment, Transcription
from echo_asr.decode.transcribe import Recognizer
from echo_asr.distributed.launch import ProcessRank
from echo_asr.errors import EchoError
from echo_asr.features.voice import UNKNOWN
from echo_asr.storage import make_folder, replace_text
from echo_asr.text.normalize import join_texts

BYTE_ORDER_MARK = "\ufeff"


def printable(path: Path) -> str:
    """The name of a file; bytes that are not UTF-8 become question marks."""
    return str(path).encode("utf-8", "replace").decode("utf-8")


def read_list(name: str) -> list[Path]:
    """The files that a list names, one a line; `-` for standard input. Lists are in UTF-8, or in UTF-16 with its mark,
    as PowerShell writes them.

    Raises:
        EchoError: the list cannot be read, or is empty.
    """
    try:
        text = sys.stdin.read() if name == "-" else _decoded(Path(name).read_bytes())
    except OSError as error:
        raise EchoError(f"--files {name}: cannot be read ({error.strerror}); give a text file, a path a line") from None
    # Lines end at line breaks alone: names may hold what `splitlines` takes for one, too.
    paths = [Path(line) for line in re.split("\r\n|\r|\n", text.removeprefix(BYTE_ORDER_MARK)) if line.strip()]
    if not paths:
        raise EchoError(f"--files {name}: names no file; expected a path a line")
    return paths


def _decoded(data: bytes) -> str:
    encoding = text_encoding(data)
    return data.decode(encoding, "replace" if encoding == "utf-16" else "surrogateescape")


def expand_folders(paths: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """The recordings that files and folders stand for, of a folder all in it and below; and, where there is a folder
    among them, the nearest one that all of them are in, from which outputs keep the tree.

    Raises:
        EchoError: a folder has no recordings.
    """
    folders = [path for path in paths if path.is_dir()]
    recordings = [file for path in paths for file in (recordings_below(path) if path in folders else [path])]
    return recordings, _above([path if path in folders else path.parent for path in paths]) if folders else None


def _above(folders: Sequence[Path]) -> Path | None:
    """The nearest folder that all are in, or are; None if they are on several drives."""
    try:
        return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))
    except ValueError:
        return None


def output_names(paths: Sequence[Path], above: Path | None = None) -> dict[Path, Path]:
    """The path of each recording's output in its folder, without its ending: the name of the recording; where `above`
    is given, or two have the same name, with the folders that it is in.

    Args:
        above: the folder from which these are counted; by default the nearest that all recordings are in.
    """
    names = {path: Path(path.stem) for path in paths}
    if above is None and len({os.path.normcase(name) for name in names.values()}) < len(names):
        above = _above([path.parent for path in paths])
    if above is None:
        return names
    return {path: Path(os.path.relpath(path, above)).with_name(path.stem) for path in names}


def output_files(paths: Sequence[Path], folder: Path, ending: str, above: Path | None = None) -> dict[Path, Path]:
    """The file that is written for each recording, as of `output_names`; the folders of these are made.

    Raises:
        EchoError: two recordings would have one output, or a folder cannot be made or written.
    """
    targets = {path: folder / f"{name}.{ending}" for path, name in output_names(paths, above).items()}
    twice = [str(target) for target, count in Counter(targets.values()).items() if count > 1]
    if twice:
        raise EchoError(f"{twice[0]}: several recordings would be written there; rename them, or run them apart")
    for made in {target.parent for target in targets.values()}:
        make_folder(made, "choose another --output-dir")
    return targets


def output_targets(
    paths: Sequence[Path],
    form: str,
    folder: Path | None = None,
    skip_existing: bool = False,
    place: ProcessRank | None = None,
    above: Path | None = None,
    overwrite: bool = False,
) -> dict[Path, Path]:
    """The file that is written for each recording, none without a folder; the arguments are those of
    `transcribe_files`.

    Raises:
        EchoError: as of `transcribe_files`.
    """
    place = place or ProcessRank()
    if not folder and place.count > 1:
        raise EchoError(f"{place.count} processes cannot print together; name a folder for the texts: --output-dir")
    if not folder and skip_existing:
        raise EchoError("--skip-existing looks into the folder of the texts; name it: --output-dir")
    if not folder and len(paths) > 1 and form not in ("txt", "json"):
        raise EchoError(f"{len(paths)} recordings make {len(paths)} {form} files; name a folder for them: --output-dir")
    targets = output_files(paths, folder, ENDINGS.get(form, form), above) if folder else {}
    written = [targets[path] for path in place.share(paths)] if targets else []
    refuse_existing(written, overwrite or skip_existing, "or give --skip-existing or --overwrite")
    return targets


def _sources(paths: Sequence[Path], channel: int | None) -> list[Path | AudioSegment]:
    return [path if channel is None else AudioSegment(path, channel=channel) for path in paths]


def transcribe_files(
    recognizer: Recognizer,
    paths: Sequence[Path],
    form: str,
    folder: Path | None = None,
    skip_existing: bool = False,
    place: ProcessRank | None = None,
    above: Path | None = None,
    channel: int | None = None,
    one_speaker: bool = False,
    overwrite: bool = False,
) -> int:
    """Transcribe files to standard output, or to `folder/NAME.txt` (`.json`, ...); returns the exit status. Outputs of
    recordings of the same name are told apart by their folders.

    Of several processes each takes its share of the files, and writes to the folder.

    A file that cannot be read is reported on standard error, and the status is then 1. Ctrl-C leaves the text of the
    current file so far in `folder/NAME.partial.txt`, or on standard output.

    Args:
        skip_existing: skip files whose output exists in the folder.
        place: rank of this process among several.
        above: outputs keep the tree of their recordings from there; see `output_names`.
        channel: of every recording, from 0; None for the mean of all.
        one_speaker: the same person speaks in all of them.
        overwrite: files that are there are replaced.

    Raises:
        EchoError: the folder cannot be written, a file is there already, two would have the same output, or several
            would be printed where a format has one recording a file, or by several processes.
        KeyboardInterrupt: Ctrl-C; its message states how far the transcription is and where it was written.
    """
    place = place or ProcessRank()
    ending = ENDINGS.get(form, form)
    targets = output_targets(paths, form, folder, skip_existing, place, above, overwrite)
    asked = len(paths)
    everything = _sources(paths, channel)
    paths = [path for path in place.share(paths) if not (skip_existing and targets[path].is_file())]
    if skip_existing and place.count == 1 and len(paths) < asked:
        print(f"echo-asr transcribe: {asked - len(paths)} of {asked} are there already", file=sys.stderr)
    failed, index = 0, 0
    segments: list[Segment] = []  # of the current file

    def write(path: Path, found: Transcription, partial: bool = False) -> Path | None:
        if not folder:
            line = render_line(printable(path), found, form)
            print(line if form != "txt" or len(paths) == 1 else f"{printable(path)}: {line}", flush=True)
            return None
        target, unfinished = targets[path], targets[path].with_suffix(f".partial.{ending}")
        replace_text(unfinished if partial else target, render(printable(path), found, form, target.parent))
        if not partial:
            unfinished.unlink(missing_ok=True)
        return unfinished

    voice = recognizer.voice(everything) if one_speaker and paths else UNKNOWN
    seconds = [header_seconds(path) for path in paths]
    with progress_bar("seconds", max(1, round(sum(seconds))) if place.main else 0) as advance:
        try:
            for index, found in recognizer.transcribe_each(
                _sources(paths, channel), words=form != "txt", voices=[voice] * len(paths)
            ):
                before = sum(seconds[:index])
                if isinstance(found, Segment):
                    segments.append(found)
                    advance(round(before + found.end), "")
                    continue
                segments = []
                if isinstance(found, Transcription):
                    write(paths[index], found)
                else:
                    failed += 1
                    print(f"echo-asr transcribe: {found}", file=sys.stderr)
                advance(round(before + seconds[index]), "")
                index += 1
        except KeyboardInterrupt:
            if not segments:
                raise KeyboardInterrupt(f"interrupted; {index} of {len(paths)} files are done") from None
            end = segments[-1].end
            partial = Transcription(join_texts(s.text for s in segments), end, tuple(segments))
            where = write(paths[index], partial, partial=True) or "above"
            done = f"{printable(paths[index])} is transcribed up to {end:.1f} s"
            raise KeyboardInterrupt(f"interrupted; {done}, see {where}") from None
    if failed and len(paths) > 1:
        print(f"echo-asr transcribe: {failed} of {len(paths)} files could not be transcribed", file=sys.stderr)
    return 1 if failed else 0


def header_seconds(path: Path) -> float:
    """Seconds of a recording by its header, 0 for one that cannot be read."""
    try:
        return audio_duration(path)
    except EchoError:
        return 0.0
