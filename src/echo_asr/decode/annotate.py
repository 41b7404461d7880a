"""Transcribes into files of annotations: the empty segments of one, or a new tier of one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from echo_asr.annotations.elan import find_recording, media_offset, read_elan_document
from echo_asr.annotations.elan_tier import add_tier, existing_tier
from echo_asr.annotations.phrases import Phrase
from echo_asr.annotations.segmented import SegmentedFile
from echo_asr.audio import audio_duration
from echo_asr.audio.segment import AudioSegment
from echo_asr.console import progress_bar
from echo_asr.decode.outputs import refuse_existing
from echo_asr.decode.phrases import make_phrases
from echo_asr.decode.results import Segment, Transcription
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.storage import make_folder, refuse_read_only, replace_file
from echo_asr.text.linebreak import clean_text
from echo_asr.text.textfile import TextFile


def filled_path(source: Path, folder: Path, overwrite: bool = False) -> Path:
    """Where a file with filled segments is written, in a folder, which is made.

    Args:
        overwrite: a file that is there may be replaced.

    Raises:
        EchoError: the folder cannot be made, a file is there already, or the file would replace the source.
    """
    make_folder(folder, "choose another --output-dir")
    target = folder / source.name
    if target.exists() and target.samefile(source):
        raise EchoError(f"{target} is the file with the segments; choose another --output-dir, or give --in-place")
    refuse_existing([target], overwrite)
    refuse_read_only(target, "choose another --output-dir")
    return target


def segment_texts(recognizer: Recognizer, sources: Sequence[AudioSegment]) -> Iterator[tuple[int, str | EchoError]]:
    """The number and the text of each segment of a recording, in one line, or why it cannot be read. They are taken for
    those of one person, as the segments of a tier are."""
    voices = [recognizer.voice(sources)] * len(sources)
    for number, found in recognizer.transcribe_each(sources, words=False, voices=voices):
        if isinstance(found, EchoError):
            yield number, found
        elif not isinstance(found, Segment):
            yield number, clean_text(found.text)


def fill_segments(recognizer: Recognizer, segmented: SegmentedFile, target: Path, channel: int | None = None) -> int:
    """Transcribe the segments without a text, each by itself, and write the file with their texts; returns the exit
    status.

    A segment that cannot be read stays without a text, and so does one without speech; the former are reported, and the
    status is then 1. Ctrl-C writes what was recognised so far.

    Args:
        channel: of the recording, from 0; None for the mean of all.

    Raises:
        EchoError: the file cannot be written, its encoding lacks a letter of the model, or no segment can be read;
            nothing is written then.
        KeyboardInterrupt: Ctrl-C; its message states what was written.
    """
    blanks, texts, failed = segmented.blanks, dict[int, str](), list[str]()
    if not blanks:
        _write(segmented.file, target, segmented.filled({}))
        print(f"echo-asr transcribe: {segmented.file.path} has no empty segments", file=sys.stderr)
        return 0
    segmented.filled(
        {0: "".join(recognizer.bundle.tokenizer.symbols[1:])}
    )  # raises now if the file cannot have a letter
    audio = segmented.recording
    sources = [AudioSegment(audio, blank.start, blank.end - blank.start, channel) for blank in blanks]

    def write() -> str:
        _write(segmented.file, target, segmented.filled(texts))
        return f"{len(texts)} of {len(blanks)} empty segments are filled in {target}"

    done = 0
    with progress_bar("segments", len(sources)) as advance:
        try:
            for place, found in segment_texts(recognizer, sources):
                if isinstance(found, EchoError):
                    failed.append(f"{blanks[place].where}: {found}")
                elif found:
                    texts[place] = found
                done += 1
                advance(done, "")
        except KeyboardInterrupt:
            kept = write() if texts else "nothing is written"
            raise KeyboardInterrupt(f"interrupted; {kept}") from None
    more = f" (and {len(failed) - 1} more segments cannot be read)" if len(failed) > 1 else ""
    if failed and len(failed) == len(blanks):
        raise EchoError(failed[0] + more)
    if failed:
        print(f"echo-asr transcribe: {failed[0]}{more}", file=sys.stderr)
    silent = len(blanks) - len(texts) - len(failed)
    rest = f"; there is no speech in {silent}" if silent else ""
    print(f"echo-asr transcribe: {write()}{rest}", file=sys.stderr)
    return 1 if failed else 0


class TierFile:
    """An ``.eaf`` file that gets a tier.

    Args:
        recording: None for the one that the file names.
        overwrite: replace the annotations of a tier of that name.

    Raises:
        EchoError: the file or its recording cannot be read, or is not found; or the file has the tier and must not
            lose it.
    """

    def __init__(self, path: Path, tier: str, recording: Path | None, overwrite: bool = False) -> None:
        self.document = read_elan_document(path)
        self.tier, self.overwrite = tier, overwrite
        existing_tier(self.document, tier, overwrite)
        refuse_read_only(path.resolve(), "make it writable, or give a copy that is")
        if recording is None:
            self.recording, self.offset = find_recording(path, self.document.root)
        else:
            self.recording, self.offset = recording, media_offset(self.document.root, recording)
        self.seconds = audio_duration(self.recording)

    def transcribe(self, recognizer: Recognizer, channel: int | None = None) -> None:
        """Transcribe the recording into the tier, and write the file. Ctrl-C writes what was recognised so far.

        Args:
            channel: of the recording, from 0; None for the mean of all.

        Raises:
            EchoError: the recording cannot be read, or the file cannot be written; it is unchanged then.
            KeyboardInterrupt: Ctrl-C; its message states what was written.
        """
        segments: list[Segment] = []
        source = AudioSegment(self.recording, channel=channel)
        with progress_bar("seconds", max(1, round(self.seconds))) as advance:
            try:
                for _, found in recognizer.transcribe_each([source], words=False):
                    if isinstance(found, EchoError):
                        raise found
                    if isinstance(found, Segment):
                        segments.append(found)
                        advance(round(found.end), "")
            except KeyboardInterrupt:
                kept = self._write(segments) + "; --overwrite replaces them" if segments else "nothing is written"
                raise KeyboardInterrupt(f"interrupted; {kept}") from None
        print(f"echo-asr transcribe: {self._write(segments)}", file=sys.stderr)

    def _write(self, segments: list[Segment]) -> str:
        offset = round(self.offset * 1000)  # ms
        phrases = [
            Phrase(max(0, phrase.start - offset), phrase.end - offset, phrase.text)
            for phrase in make_phrases(Transcription("", self.seconds, tuple(segments)))
            if phrase.end > offset
        ]
        path = self.document.file.path
        _write(self.document.file, path, add_tier(self.document, self.tier, phrases, self.overwrite))
        return f"{len(phrases)} annotations are in tier {self.tier!r} of {path}"


def _write(file: TextFile, target: Path, data: bytes) -> None:
    """Write a changed file, but not over what someone has saved in it since it was read."""
    target = target.resolve()  # a link stays one
    if target == file.path.resolve() and not file.is_unchanged:
        other = target.with_name(f"{target.stem}.transcribed{target.suffix}")
        replace_file(other, lambda part: part.write_bytes(data))
        what = "was changed by another program in the meantime, and is left as it is"
        raise EchoError(f"{file.path} {what}; what was recognised is in {other}, copy it over")
    replace_file(target, lambda part: part.write_bytes(data))
