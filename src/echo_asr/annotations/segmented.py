"""Files that segment a recording, and their segments without a text: ``.eaf``, TextGrid, tables, subtitles."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from echo_asr.annotations import elan, spreadsheet, subrip, textgrid
from echo_asr.annotations.blanks import Blank, elan_blanks, textgrid_blanks
from echo_asr.audio import audio_duration
from echo_asr.audio.tree import find_recording
from echo_asr.errors import EchoError
from echo_asr.text.textfile import Change, TextFile, read_text_file


@dataclass(frozen=True)
class SegmentedFile:
    """A file with segments of a recording.

    Attributes:
        blanks: the segments without a text.
        heading: changes that go with the first text, such as the name of a column.
    """

    file: TextFile
    recording: Path
    blanks: Sequence[Blank]
    heading: Sequence[Change] = ()

    def filled(self, texts: Mapping[int, str]) -> bytes:
        """The file with texts in some of its blanks, by their places in `blanks`; all else as it is, byte for byte.

        Raises:
            EchoError: the encoding of the file does not have a character.
        """
        changes = [self.blanks[place].write(text) for place, text in texts.items()]
        in_xml = self.file.path.suffix.lower() == elan.SUFFIX
        return self.file.changed(
            [*(self.heading if changes else ()), *changes], "xmlcharrefreplace" if in_xml else "strict"
        )


def open_segmented(spec: str, recording: Path | None = None) -> SegmentedFile:
    """The file that `FILE` or `FILE:TIER` names.

    Args:
        recording: None for the one that an ``.eaf`` file names, or that lies beside the file under the same name.

    Raises:
        EchoError: the file cannot be read, has no such tier, or its recording is not found or cannot be
            read.
    """
    path, tier = _split_tier(spec)
    suffix = path.suffix.lower()
    if suffix == elan.SUFFIX:
        document = elan.read_elan_document(path)
        if recording is None:
            recording, offset = elan.find_recording(path, document.root)
        else:
            offset = elan.media_offset(document.root, recording)
        audio_duration(recording)
        return SegmentedFile(document.file, recording, list(elan_blanks(document, tier, offset)))
    if suffix not in (textgrid.SUFFIX, subrip.SUFFIX, spreadsheet.SUFFIX):
        raise EchoError(f"{path}: segments are read from .eaf, .TextGrid, .csv and .srt; give one of these")
    if tier and suffix != textgrid.SUFFIX:
        raise EchoError(f"{path} has no tiers; leave out :{tier}")
    file = read_text_file(path)
    heading: list[Change] = []
    if suffix == textgrid.SUFFIX:
        blanks = list(textgrid_blanks(file, tier))
    elif suffix == subrip.SUFFIX:
        blanks = list(subrip.srt_blanks(file))
    else:
        blanks, heading = spreadsheet.csv_blanks(file)
    recording = recording or find_recording(path, path.stem)
    audio_duration(recording)
    return SegmentedFile(file, recording, blanks, heading)


def _split_tier(spec: str) -> tuple[Path, str]:
    path = Path(spec).expanduser()
    if not path.exists() and (named := re.fullmatch(r"(?s)(.+?\.(?:eaf|textgrid|csv|srt)):(.+)", spec, re.IGNORECASE)):
        return Path(named[1]).expanduser(), named[2]
    return path, ""
