import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.audio import load_audio
from echo_asr.data.corpus import load_corpus
from echo_asr.data.writers import clips
from echo_asr.decode import cutting
from echo_asr.decode.cutting import Clip, CutRecording
from tests.helpers.commands import Place, run

TEXT = "The boat – came in.\nNobody there.\n\nIt rained.\n"


@pytest.fixture
def here(tmp_path: Path, corpus: Path, undisturbed: Path) -> Place:
    """A recording of 10 s and its text, and a model that does not know its language."""
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).normal(0, 0.1, 160_000)
    soundfile.write(tmp_path / "in" / "story.wav", noise, 16000)
    (tmp_path / "in" / "story.txt").write_text(TEXT, encoding="utf-8")
    return Place(tmp_path, model=undisturbed, corpus=corpus)


def cut_as(monkeypatch: pytest.MonkeyPatch, *found_clips: Clip, **more: Any) -> None:
    found = CutRecording(found_clips, more.get("unspoken", ()), more.get("unwritten", ()), 10.0)
    monkeypatch.setattr(cutting, "cut_recording", lambda *given: found)


COMMAND = "corpus cut {here}/in/story.wav {here}/in/story.txt --out {here}/out"


SURE = Clip(0.5, 2.25, (0, 1, 2, 3), "The boat – came in.", "the bot came in", 1.0, 0.9)
UNSURE = Clip(7.0, 8.0, (6, 7), "It rained.", "at ran", 0.9, 0.1, "the text is improbable")


def test_clips_a_table_and_a_report_are_written(here: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_as(monkeypatch, SURE, UNSURE, unspoken=((4, 5),), unwritten=((3.0, 6.0, "hello"),))
    status, output, _ = run(here.fill(f"{COMMAND} --model {{model}} --speaker ann"), capsys)
    assert status == 0
    first, second = load_corpus(here.folder / "out").utterances
    assert (first.text, first.speaker, first.split) == ("The boat – came in.", "ann", "train")
    assert (first.audio, first.duration) == (here.folder / "out" / "story-1.flac", 1.75)
    assert (second.text, second.audio) == ("It rained.", here.folder / "out" / "story-2.flac")
    whole, rate = soundfile.read(here.folder / "in" / "story.wav", dtype="int16")
    for utterance, start, end in ((first, 0.5, 2.25), (second, 7.0, 8.0)):
        samples, own_rate = soundfile.read(utterance.audio, dtype="int16")
        assert own_rate == rate and (samples == whole[round(start * rate) : round(end * rate)]).all()
    with (here.folder / "out" / "metadata.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["recording"], row["start"], row["end"], row["channel"]) == ("story.wav", "0.500000", "2.250000", "")
    with (here.folder / "out" / "report.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows[1:] == [
        ["not spoken", "7.00", "7.00", "2", "Nobody there.", ""],
        ["no text", "3.00", "6.00", "", "", "hello"],
        ["doubtful: the text is improbable", "7.00", "8.00", "4", "It rained.", "at ran"],
    ]
    assert output.splitlines()[0] == "2 clips, 2.8 s of 10 s, with 6 of 8 words"
    assert "  at 7.00 s, line 2: Nobody there." in output and "  3.00-6.00 s: recognised as hello" in output


def test_without_copies_the_table_refers_to_the_recording(
    here: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_as(monkeypatch, SURE, UNSURE)
    status, output, _ = run(here.fill(f"{COMMAND} --model {{model}} --no-copy"), capsys)
    assert status == 0 and "refers to the audio where it lies" in output
    assert sorted(path.name for path in (here.folder / "out").iterdir()) == ["metadata.csv", "report.tsv"]
    first, second = load_corpus(here.folder / "out").utterances
    assert (first.audio.start, first.duration) == (0.5, 1.75)  # type: ignore[union-attr]
    assert second.text == "It rained." and (here.folder / "in" / "story.wav").samefile(second.audio.path)  # type: ignore[union-attr]


@pytest.mark.parametrize("more", ["", " --no-copy"])
def test_a_channel_is_what_is_recognised_and_written(
    more: str, here: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(1).integers(-9000, 9000, (160_000, 2)).astype(np.int16)
    soundfile.write(here.folder / "in" / "story.wav", noise, 16000)
    given: list[Any] = []
    monkeypatch.setattr(cutting, "cut_recording", lambda *all: given.append(all) or CutRecording((SURE,), (), (), 10.0))
    status, *_ = run(here.fill(f"{COMMAND} --model {{model}} --channel 1{more}"), capsys)
    assert status == 0 and given[0][1].channel == 1
    (clip,) = load_corpus(here.folder / "out").utterances
    assert (load_audio(clip.audio) * 2**15 == noise[8000:36000, 1]).all()


def test_clips_that_cannot_be_written_leave_a_corpus_that_refers_to_the_recording(
    here: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_as(monkeypatch, SURE, UNSURE)
    (here.folder / "out").mkdir()
    replace_file = clips.replace_file

    def full(path: Path, write: Any) -> None:
        def written(part: Path) -> None:
            write(part)
            if "story-2" in path.name:
                raise OSError(28, "No space left on device")

        replace_file(path, written)

    monkeypatch.setattr(clips, "replace_file", full)
    status, _, errors = run(here.fill(f"{COMMAND} --model {{model}}"), capsys)
    assert status == 1 and errors.count("\n") == 1
    assert "story-2.flac: could not be written (No space left on device)" in errors
    assert "metadata.csv is a corpus without them" in errors
    assert sorted(path.name for path in (here.folder / "out").iterdir()) == ["metadata.csv", "report.tsv"]
    assert [u.text for u in load_corpus(here.folder / "out").utterances] == ["The boat – came in.", "It rained."]


def test_only_the_first_of_many_are_printed(here: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple((float(number), number + 0.5, "hm") for number in range(14))
    cut_as(monkeypatch, Clip(0.5, 2.25, (0, 1), "The boat –", "the boat", 1.0, 0.9), unwritten=many)
    _, output, _ = run(here.fill(f"{COMMAND} --model {{model}}"), capsys)
    assert output.count("recognised as hm") == 10 and "and 4 more, in report.tsv" in output


def test_a_text_of_another_recording_is_refused(here: Place, capsys: Any) -> None:
    before = here.contents()
    status, output, errors = run(here.fill(f"{COMMAND} --model {{model}}"), capsys)
    assert status == 1 and output == ""
    assert "story.txt was recognised in" in errors and "is it the text of it" in errors
    assert here.contents() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (COMMAND, "no model; name one with --model, or a corpus to train one on with --train-on"),
        (f"{COMMAND} --model {{model}} --train-on {{corpus}}", "--train-on is for training"),
        (f"{COMMAND} --model {{model}} --train-into {{here}}/run", "--train-into is for training"),
        ("corpus cut {here}/in/none.wav {here}/in/story.txt --out {here}/out --model {model}", "none.wav"),
        (
            "corpus cut {here}/in/story.wav {here}/in/none.txt --out {here}/out --model {model}",
            "none.txt cannot be read",
        ),
        ("corpus cut {here}/in/story.txt {here}/in/story.wav --out {here}/out --model {model}", "story.txt"),
        ("corpus cut {here}/in/story.wav {here}/in/story.txt --out {here}/in --model {model}", "is not empty"),
        (f"{COMMAND} --model {{here}}/in", "not a complete model"),
        (f"{COMMAND} --model {{model}} --channel -1", "--channel: expected 0 or more, got -1"),
        (f"{COMMAND} --train-on {{corpus}} --channel 1", "has 1 channel, counted from 0; correct the channel"),
    ],
)
def test_mistakes_are_one_line(words: str, message: str, here: Place, capsys: Any) -> None:
    before = here.contents()
    status, output, errors = run(here.fill(words), capsys)
    assert status == 1 and output == "" and message in errors and errors.count("\n") == 1
    assert here.contents() == before
