"""A recording is transcribed into the empty segments of a file, or into a tier of one, with a trained model."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.annotations.elan_writer import render_elan
from echo_asr.annotations.phrases import Phrase
from echo_asr.annotations.segmented import open_segmented
from echo_asr.annotations.textgrid_writer import render_textgrid
from echo_asr.audio.segment import AudioSegment
from echo_asr.decode.annotate import TierFile, fill_segments, filled_path
from echo_asr.decode.load import load
from echo_asr.decode.results import Segment, Transcription
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features.voice import UNKNOWN, Voice
from tests.helpers.commands import Place, run
from tests.helpers.eaf import assert_rules, canonical, without_tier
from tests.helpers.tone_corpus import tone

SPOKEN = ("a b", "c", "", "b", "a c", "c a")  # the third is a pause
GAP = 0.9  # seconds before each, and at the end
Write = Callable[[str], Path]


@pytest.fixture(scope="module")
def recognizer(learnt: Path) -> Recognizer:
    return load(learnt, "cpu")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, int]]]:
    """A recording of the texts with pauses, and where each is spoken, in ms."""
    parts, spans = [], []
    for text in SPOKEN:
        parts += [np.zeros(round(GAP * 16_000)), tone(text) if text else np.zeros(8_000)]
        end = sum(map(len, parts)) / 16
        spans.append((round(end - len(parts[-1]) / 16), round(end)))
    samples = np.concatenate([*parts, np.zeros(16_000)])
    samples += np.random.default_rng(0).normal(0, 1e-4, len(samples))
    path = tmp_path_factory.mktemp("audio") / "my rec.wav"
    soundfile.write(path, samples, 16_000)
    return path, spans


@pytest.fixture
def write(tmp_path: Path, recording: tuple[Path, list[tuple[int, int]]]) -> Write:
    """`(ending)`: write a file of the segments of the recording, of which the second has a text; its path."""
    audio, spans = recording
    rows = [(start, end, "written" if number == 1 else "") for number, (start, end) in enumerate(spans)]

    def written(ending: str) -> Path:
        phrases = [Phrase(*row) for row in rows]
        path = tmp_path / f"my rec.{ending}"
        if ending == "eaf":
            text = render_elan(phrases, audio, tmp_path)
        elif ending == "TextGrid":
            text = render_textgrid(phrases, 8_700)
        elif ending == "csv":
            text = "".join(["start,end,text\n", *(f"{a / 1000},{b / 1000},{text}\n" for a, b, text in rows)])
        else:
            cues = (f"{n}\n{clock(a)} --> {clock(b)}\n{text}\n\n" for n, (a, b, text) in enumerate(rows, 1))
            text = "".join(cues)
        path.write_text(text, encoding="utf-8")
        return path

    return written


def clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"00:00:{seconds:02d},{rest:03d}"


@pytest.mark.parametrize("ending", ["eaf", "TextGrid", "csv", "srt"])
def test_texts_are_those_of_the_segments_decoded_alone(
    ending: str, write: Write, recognizer: Recognizer, recording: Any, tmp_path: Path, capsys: Any
) -> None:
    audio, spans = recording
    path = write(ending)
    before = path.read_bytes()
    spec = str(path) if ending in ("csv", "srt") else f"{path}:phrases"
    segmented = open_segmented(spec, audio)
    target = filled_path(path, tmp_path / "filled")
    assert fill_segments(recognizer, segmented, target) == 0
    assert path.read_bytes() == before and "empty segments are filled in" in capsys.readouterr().err
    starts = {round(blank.start * 1000) for blank in open_segmented(f"{target}{spec[len(str(path)) :]}", audio).blanks}
    alone = [recognizer.transcribe(AudioSegment(audio, a / 1000, b / 1000 - a / 1000)).text for a, b in spans]
    assert len(set(alone)) > 2 and "" in alone
    expected = before.decode()
    for number, text in enumerate(alone):
        if number != 1 and text:
            expected = with_text(expected, ending, number, spans[number], text)
    assert target.read_text(encoding="utf-8") == expected
    assert {a for (a, _), text in zip(spans, alone, strict=True) if not text} <= starts


def with_text(content: str, ending: str, number: int, span: tuple[int, int], text: str) -> str:
    """A file in which a segment has a text, made by plain replacement."""
    if ending == "eaf":
        inner = rf'(ANNOTATION_ID="a{number + 1}"[^>]*><ANNOTATION_VALUE>)(?=</ANNOTATION_VALUE>)'
    elif ending == "TextGrid":
        inner = rf'(xmin = {span[0] / 1000:g} \n\s*xmax = {span[1] / 1000:g} \n\s*text = ")(?=" \n)'
    elif ending == "csv":
        inner = rf"(?m)^({span[0] / 1000},{span[1] / 1000},)$"
    else:
        return content.replace(f"--> {clock(span[1])}\n", f"--> {clock(span[1])}\n{text}\n")
    changed, count = re.subn(inner, lambda found: found[1] + text, content, count=1)
    assert count == 1
    return changed


def test_segments_that_cannot_be_read_stay_empty(
    write: Write, recognizer: Recognizer, recording: Any, tmp_path: Path, capsys: Any
) -> None:
    path = write("csv")
    path.write_text(path.read_text() + "900,901,\n2,1,\n")
    assert fill_segments(recognizer, open_segmented(str(path), recording[0]), path) == 1
    rows = list(csv.reader(path.read_text().splitlines()))
    assert rows[-2:] == [["900", "901", ""], ["2", "1", ""]] and rows[1][2]
    lines = capsys.readouterr().err.splitlines()
    assert re.search(
        r"my rec\.csv line 8: .*is not within that file.* \(and 1 more segments cannot be read\)$", lines[0]
    )
    assert len(lines) == 2
    path.write_text("start,end,text\n900,901,\n")
    with pytest.raises(EchoError, match=r"my rec\.csv line 2: .*my rec\.wav.*is not within that file"):
        fill_segments(recognizer, open_segmented(str(path), recording[0]), path)
    assert path.read_text() == "start,end,text\n900,901,\n"


class Interrupted:
    """A recogniser that is interrupted after two segments, and calls something before."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None, letters: str = "a") -> None:
        self.meanwhile = meanwhile
        self.bundle = SimpleNamespace(tokenizer=SimpleNamespace(symbols=["<0>", *letters]))

    def transcribe_each(
        self, sources: list[Any], words: bool, voices: list[Voice]
    ) -> Iterator[tuple[int, Segment | Transcription | EchoError]]:
        assert voices == [UNKNOWN] * len(sources)
        for number in range(2):
            yield number, Segment(0.0, 1.0, f"text {number}")
            yield number, Transcription(f"text {number}", 1.0)
        self.meanwhile()
        raise KeyboardInterrupt

    def voice(self, sources: list[Any]) -> Voice:
        return UNKNOWN


def test_an_interruption_keeps_what_was_recognised(write: Write, recording: Any) -> None:
    path, recognizer = write("csv"), Interrupted()
    with pytest.raises(KeyboardInterrupt, match=r"interrupted; 2 of 5 empty segments are filled in .*my rec\.csv"):
        fill_segments(recognizer, open_segmented(str(path), recording[0]), path)  # type: ignore[arg-type]
    assert [line.rpartition(",")[2] for line in path.read_text().splitlines()[1:4]] == ["text 0", "written", "text 1"]


def test_a_file_whose_encoding_lacks_letters_of_the_model_is_refused_before_any_work(
    write: Write, recording: Any
) -> None:
    path = write("csv")
    path.write_bytes(path.read_text().replace("written", "dicté").encode("latin-1"))
    segmented = open_segmented(str(path), recording[0])
    with pytest.raises(EchoError, match=r"is in an encoding \(cp1252\) that does not have 'ộ'; save it as UTF-8"):
        fill_segments(Interrupted(letters="aộ"), segmented, path)  # type: ignore[arg-type]


def test_what_someone_saved_in_the_meantime_is_not_lost(write: Write, recording: Any, tmp_path: Path) -> None:
    path = write("csv")
    saved = path.read_text() + "20,21,mine\n"
    recognizer: Any = Interrupted(lambda: path.write_text(saved))
    with pytest.raises(EchoError, match=r"was changed by another program in the meantime, and is left as it is; .*"):
        fill_segments(recognizer, open_segmented(str(path), recording[0]), path)
    assert path.read_text() == saved
    assert "text 1" in (tmp_path / "my rec.transcribed.csv").read_text()
    recognizer = Interrupted(path.unlink)
    with pytest.raises(EchoError, match="was changed by another program in the meantime"):
        fill_segments(recognizer, open_segmented(str(path), recording[0]), path)


def test_a_tier_is_added(write: Write, recognizer: Recognizer, recording: Any, capsys: Any) -> None:
    """The recording is that of the file; its phrases are those of the whole."""
    path = write("eaf")
    before = path.read_bytes()
    TierFile(path, "echo", None).transcribe(recognizer)
    found = recognizer.transcribe(recording[0], words=False)
    assert f"{len(found.segments)} annotations are in tier 'echo'" in capsys.readouterr().err
    assert_rules(path)
    assert canonical(without_tier(path.read_bytes(), before, "echo")) == canonical(before)
    values = re.findall("<ANNOTATION_VALUE>(.*?)<", path.read_text(encoding="utf-8").split('TIER_ID="echo"')[1])
    assert values == [segment.text for segment in found.segments] and values
    with pytest.raises(EchoError, match="has a tier 'echo' already"):
        TierFile(path, "echo", None)
    TierFile(path, "echo", recording[0], overwrite=True).transcribe(recognizer)
    assert_rules(path)


def test_the_time_of_a_tier_begins_where_that_of_the_file_does(
    write: Write, recognizer: Recognizer, recording: Any
) -> None:
    path = write("eaf")
    path.write_text(path.read_text().replace("<MEDIA_DESCRIPTOR", '<MEDIA_DESCRIPTOR TIME_ORIGIN="3000"'))
    TierFile(path, "echo", None).transcribe(recognizer)
    segments = recognizer.transcribe(recording[0], words=False).segments
    tier = path.read_text(encoding="utf-8").split('TIER_ID="echo"')[1]
    slots = re.findall(r'TIME_SLOT_REF1="(\w+)"', tier)
    times = [int(re.search(rf'"{slot}" TIME_VALUE="(\d+)"', path.read_text())[1]) for slot in slots]  # type: ignore[index]
    assert times == [max(0, round(s.start * 1000) - 3000) for s in segments if s.end > 3.0]


# --- the command ---


def test_the_command_fills_and_adds(write: Write, place: Place, capsys: Any) -> None:
    path = write("eaf")
    here = place.folder / "out"
    words = ["transcribe", "--segments", f"{path}:phrases", "--output-dir", str(here), *place.fill("--model {model}")]
    status, output, errors = run(words, capsys)
    assert (status, output) == (0, "") and errors.count("\n") == 1
    assert "written" in (here / path.name).read_text(encoding="utf-8")
    status, output, errors = run(
        ["transcribe", "--into", str(path), "--tier", "x", *place.fill("--model {model}")], capsys
    )
    assert (status, output) == (0, "") and "annotations are in tier 'x'" in errors
    words = ["transcribe", "--segments", f"{path}:phrases", "--in-place", *place.fill("--model {model}")]
    assert run(words, capsys)[0] == 0
    again = run(words, capsys)
    assert again[0] == 0 and "0 of 1 empty segments are filled" in again[2]  # the pause


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("--segments {here}/x.csv", 2, "--segments writes its file to --output-dir D, or with --in-place over itself"),
        ("--segments {here}/x.csv --in-place --output-dir {here}", 2, "give one of these"),
        ("--segments {here}/x.csv --output-dir {here}", 1, "x.csv is the file with the segments; choose another --out"),
        ("--segments {here}/x.csv --in-place --format srt", 2, "--format and --skip-existing write files of their own"),
        ("--segments {here}/x.csv --into {here}/x.eaf", 2, "--segments and --into exclude each other"),
        ("--segments {here}/x.csv --in-place {corpus}/00.wav {corpus}/01.wav", 2, "are for one recording, not for 2"),
        ("--segments {here}/x.csv --in-place {here}/no.wav", 1, "no.wav: no such file"),
        ("--segments {here}/no.csv --in-place", 1, "no.csv cannot be read: No such file or directory"),
        ("--segments {here} --in-place", 1, "segments are read from .eaf, .TextGrid, .csv and .srt"),
        ("--in-place {corpus}/00.wav", 2, "--in-place belongs to --segments FILE"),
        ("--tier x {corpus}/00.wav", 2, "--tier belongs to --into FILE.eaf"),
        ("--overwrite {corpus}/00.wav", 2, "--overwrite goes with files that are written: --output-dir, or --into"),
        ("--overwrite --skip-existing --output-dir {here} {corpus}/00.wav", 2, "give one of them"),
        ("--segments {here}/x.csv --output-dir {here}/filled", 1, "filled/x.csv: is there already; choose another"),
        ("--into {here}/x.eaf", 2, "--into changes FILE.eaf itself, and needs --tier NAME"),
        ("--into {here}/no.eaf --tier x", 1, "no.eaf cannot be read: No such file or directory"),
        ("--into {here}/x.csv --tier x", 1, "x.csv is no legal ELAN file"),
    ],
)
def test_mistakes(words: str, status: int, message: str, place: Place, capsys: Any) -> None:
    """One line each, and nothing is changed."""
    (place.folder / "x.csv").write_text("start,end\n0,1\n")
    (place.folder / "filled").mkdir()
    (place.folder / "filled" / "x.csv").write_text("corrected by hand")
    soundfile.write(place.folder / "x.wav", np.zeros(16_000), 16_000)
    before = place.contents()
    found = run(["transcribe", *place.fill(f"--model {{model}} {words}")], capsys)
    assert found[:2] == (status, "") and message in found[2] and found[2].count("\n") == 1
    assert place.contents() == before


def test_a_channel_is_chosen(write: Write, place: Place, recording: Any, capsys: Any) -> None:
    """The other channel is silence."""
    samples, rate = soundfile.read(recording[0])
    soundfile.write(place.folder / "two.wav", np.stack([np.zeros(len(samples)), samples], axis=1), rate)
    path = write("csv")
    for channel, filled in ((0, "0 of 5"), (1, "of 5")):
        words = f"--model {{model}} --output-dir {{here}}/{channel} --channel {channel} {{here}}/two.wav"
        status, _, errors = run(["transcribe", "--segments", str(path), *place.fill(words)], capsys)
        assert status == 0 and filled in errors and (channel == 0 or "0 of 5" not in errors)
