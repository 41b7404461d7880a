"""Output formats of a transcription: text, JSON, subtitles, a table, or a file of ELAN or Praat."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from echo_asr.annotations.elan_writer import render_elan
from echo_asr.annotations.textgrid_writer import render_textgrid
from echo_asr.decode.phrases import make_phrases
from echo_asr.decode.results import Segment, Sentence, Token, Transcription, Word
from echo_asr.decode.subtitles import Cue, duration_ms, make_cues, segment_spans
from echo_asr.errors import EchoError
from echo_asr.text.linebreak import clean_text

FORMATS = ("txt", "json", "srt", "vtt", "tsv", "ctm", "eaf", "textgrid")
ENDINGS = {"textgrid": "TextGrid"}  # of file names, where they are not the format

# Python and JavaScript take these for line ends; JSON does not, and does not escape them.
_LINE_ENDS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def render(name: str, found: Transcription, form: str, folder: Path | None = None, symbols: bool = False) -> str:
    """The whole content of a recording's output file; every line of it ends in a line feed.

    Args:
        name: the recording's file name; bytes that are not UTF-8 become question marks.
        form: one of `FORMATS`:
            txt: a line for each segment with a text.
            json: one object on one line: `file, duration, text, segments`. A segment has `start, end, text, words`,
                `alternatives` where there are more than one, and `spoken` where it is written otherwise; of a grammar
                also `slots`, `intent` and `probability`, and segments that are no sentence of it stand under
                `rejected`, each with the `nearest`. A word has `word, start, end, probability`. Times are in seconds. A
                number that is not finite is null.
            srt: SubRip, with the cues of `make_cues`. It has no escapes, so that `-->` becomes an arrow.
            vtt: WebVTT, the same cues (https://www.w3.org/TR/webvtt1/).
            tsv: `start, end, text` of each segment with a text, in ms, as Whisper writes it.
            ctm: NIST's, a line for each word: the recording's name without its ending, the channel (1), start and
                duration in seconds, the word, and its probability.
            eaf: ELAN 3.0, with tiers of phrases, their words, and the confidences of these.
            textgrid: a TextGrid of Praat, in its long form, with the same tiers.
        folder: where the file will lie, from which an eaf file names its recording; None for the working directory.
        symbols: write the times of symbols, too, where the format has a place for them: json, eaf and textgrid.

    Raises:
        EchoError: there is no such format.
    """
    if form == "txt":
        return "".join(f"{text}\n" for _, _, text, _ in segment_spans(found))
    if form == "json":
        return _json(name, found, symbols) + "\n"
    if form == "srt":
        cues = [_cue(cue, ",", [line.replace("-->", "→") for line in cue.lines]) for cue in make_cues(found)]
        return "\n".join(f"{number}\n{cue}" for number, cue in enumerate(cues, 1))
    if form == "vtt":
        cues = [_cue(cue, ".", [line.translate(_ENTITIES) for line in cue.lines]) for cue in make_cues(found)]
        return "\n".join(["WEBVTT\n", *cues])
    if form == "tsv":
        rows = [f"{start}\t{end}\t{text}\n" for start, end, text, _ in segment_spans(found)]
        return "".join(["start\tend\ttext\n", *rows])
    if form == "ctm":
        return "".join(_ctm_lines(Path(name).stem, found))
    if form == "eaf":
        return render_elan(make_phrases(found, symbols), Path(name), folder or Path())
    if form == "textgrid":
        return render_textgrid(make_phrases(found, symbols), duration_ms(found))
    raise EchoError(f"format {form!r}: there is no such format; choose one of {', '.join(FORMATS)}")


def render_line(name: str, found: Transcription, form: str) -> str:
    """The output of a recording for standard output, without the last line feed.

    All of its text on one line (`txt`), its object on one line (`json`), or else the lines of its file.

    Raises:
        EchoError: as `render`.
    """
    return clean_text(found.text) if form == "txt" else render(name, found, form).removesuffix("\n")


def _ctm_lines(name: str, found: Transcription) -> Iterator[str]:
    """The lines of NIST's time-marked conversation file, in the order of time; blanks in fields become `_`."""
    words = sorted((word for segment in found.segments for word in segment.words), key=lambda word: word.start)
    for word in words:
        recording, text = ("_".join(clean_text(part).split()) for part in (name, word.word))
        if text:
            times = f"{word.start:.3f} {max(word.end - word.start, 0.0):.3f}"
            yield f"{recording or '-'} 1 {times} {text} {word.probability:.4f}\n"


def _json(name: str, found: Transcription, symbols: bool) -> str:
    fields = {
        "file": name,
        "duration": _rounded(found.duration, 3),
        "text": found.text,
        "segments": [_segment_fields(segment, symbols) for segment in found.segments],
        **({"rejected": [_rejected_fields(segment) for segment in found.rejected]} if found.rejected else {}),
    }
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False).translate(_LINE_ENDS)
    return text.encode("utf-8", "replace").decode("utf-8")


def _segment_fields(segment: Segment, symbols: bool) -> dict[str, Any]:
    words = [{"word": w.word, **_times(w), "probability": _rounded(w.probability, 4)} for w in segment.words]
    fields: dict[str, Any] = {**_times(segment), "text": segment.text, "words": words}
    if segment.spoken:
        fields["spoken"] = segment.spoken
    if segment.sentence:
        fields |= sentence_fields(segment.sentence)
    if symbols:
        own = [{"symbol": t.text, **_times(t), "probability": _rounded(t.probability, 4)} for t in segment.tokens]
        fields["symbols"] = own
    if len(segment.alternatives) > 1:
        fields["alternatives"] = [{"text": text, "score": _rounded(score, 3)} for text, score in segment.alternatives]
    return fields


def sentence_fields(sentence: Sentence) -> dict[str, Any]:
    """What JSON has of a sentence of a grammar, besides its text."""
    named = {"intent": sentence.intent} if sentence.intent else {}
    return {**named, "slots": dict(sentence.slots), "probability": _rounded(sentence.probability, 4)}


def _rejected_fields(segment: Segment) -> dict[str, Any]:
    nearest = segment.sentence
    return {**_times(segment), **({"nearest": nearest.text, **sentence_fields(nearest)} if nearest else {})}


def _times(part: Segment | Word | Token) -> dict[str, Any]:
    return {"start": _rounded(part.start, 3), "end": _rounded(part.end, 3)}


def _rounded(value: float, decimals: int) -> float | None:
    """A number as JSON can have it; never `-0.0`."""
    return round(float(value), decimals) + 0.0 if math.isfinite(value) else None


def _cue(cue: Cue, mark: str, lines: Sequence[str]) -> str:
    """The times and the lines of a cue, each with its line feed."""
    return "".join(f"{line}\n" for line in (f"{_clock(cue.start, mark)} --> {_clock(cue.end, mark)}", *lines))


def _clock(milliseconds: int, mark: str) -> str:
    """`HH:MM:SS,mmm`, with more digits from 100 hours on."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{rest:03d}"
