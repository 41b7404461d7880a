import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.commands.align import FORMATS
from echo_asr.decode import formats
from tests.helpers.commands import Place, run
from tests.helpers.tone_corpus import tone


@pytest.fixture
def here(tmp_path: Path, corpus: Path, config: Path, undisturbed: Path) -> Place:
    """A folder of the test's own, and the names of corpus, configuration and model for command lines."""
    return Place(tmp_path, corpus=corpus, config=config, model=undisturbed)


def test_formats_are_those_of_the_library() -> None:
    assert set(FORMATS) <= set(formats.FORMATS)


def test_a_corpus_is_aligned_as_lines_of_json(here: Place, capsys: Any) -> None:
    status, output, errors = run(here.fill("align {corpus} --split test --model {model}"), capsys)
    found = [json.loads(line) for line in output.splitlines()]
    assert status == 0 and errors == ""
    assert [one["text"] for one in found] == ["b", "a c", "c", "b c", "a b", "c a"]
    for one in found:
        (segment,) = one["segments"]
        assert [word["word"] for word in segment["words"]] == one["text"].split()
        assert "".join(symbol["symbol"] for symbol in segment["symbols"]) == one["text"]


@pytest.mark.parametrize(
    ("form", "ending"), [("textgrid", "TextGrid"), ("eaf", "eaf"), ("ctm", "ctm"), ("json", "json")]
)
def test_a_file_is_written_for_each_recording(form: str, ending: str, here: Place, capsys: Any) -> None:
    words = f"align {{corpus}} --split test --model {{model}} --format {form} --output-dir {{here}}/out"
    status, output, _ = run(here.fill(words), capsys)
    names = sorted(path.name for path in (here.folder / "out").iterdir())
    assert status == 0 and output == "" and names == [f"{number}.{ending}" for number in range(16, 22)]
    content = (here.folder / "out" / f"17.{ending}").read_text(encoding="utf-8")
    assert {"textgrid": '"symbols"', "eaf": "a", "ctm": "17 1 ", "json": '"symbols"'}[form] in content


def test_utterances_of_one_recording_are_in_one_file_and_those_of_several_people_apart(
    here: Place, capsys: Any
) -> None:
    clips = [tone("a b"), tone("c"), tone("b")]
    starts = np.cumsum([0, *map(len, clips)]) / 16000
    (here.folder / "s").mkdir()
    soundfile.write(here.folder / "s" / "long.wav", np.concatenate(clips), 16000)
    rows = ["file_name,transcription,speaker,excerpt_start,duration"]
    for text, speaker, start, clip in zip(("a b", "c", "B!"), ("ann", "bo", "ann"), starts, clips, strict=False):
        rows.append(f"long.wav,{text},{speaker},{start},{len(clip) / 16000}")
    (here.folder / "s" / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    words = "align {here}/s --model {model} --format ctm --output-dir {here}/out"
    assert run(here.fill(words), capsys)[0] == 0
    lines = (here.folder / "out" / "long.ann.ctm").read_text(encoding="utf-8").splitlines()
    assert [line.split()[4] for line in lines] == ["a", "b", "B!"]
    assert float(lines[2].split()[2]) >= starts[2]
    assert (here.folder / "out" / "long.bo.ctm").is_file()


def test_what_cannot_be_aligned_is_reported_and_the_rest_is_there(here: Place, capsys: Any) -> None:
    soundfile.write(here.folder / "a.wav", tone("a b"), 16000)
    soundfile.write(here.folder / "b.wav", tone("a"), 16000)
    soundfile.write(here.folder / "c.wav", tone("c"), 16000)
    rows = ["file_name,transcription", "a.wav,a b", "b.wav,x", f"c.wav,{'a b ' * 20}"]
    (here.folder / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    status, output, errors = run(here.fill("align {here} --model {model}"), capsys)
    assert status == 1 and [json.loads(line)["text"] for line in output.splitlines()] == ["a b"]
    first, second, last = errors.splitlines()
    assert "b.wav: text 'x': the tokenizer has no symbol for 'x'" in first
    assert "c.wav: its text is too long" in second
    assert last == "echo-asr align: 2 of 3 texts could not be aligned and are left out"


def test_one_recording_is_aligned_with_its_text(here: Place, capsys: Any) -> None:
    (here.folder / "text.txt").write_bytes("a\r\nB.\r\n".encode("utf-16"))
    words = "align {corpus}/03.wav --text-file {here}/text.txt --model {model} --format ctm"
    status, output, _ = run(here.fill(words), capsys)
    assert status == 0 and [line.split()[4] for line in output.splitlines()] == ["a", "B."]


@pytest.mark.parametrize("channel", ["", " --channel 1"])
def test_a_long_recording_is_aligned_with_its_whole_text(
    channel: str, here: Place, learnt: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each word is found in the segment in which it is spoken."""
    monkeypatch.setattr("echo_asr.decode.given_texts.LONGEST", 5.0)
    spoken = ["a b", "c", "b c", "a", "c a", "b", "b a", "c b"]
    clips = [tone(text) for text in spoken]
    pause = np.zeros(12_800)
    ends = np.cumsum([len(clip) + len(pause) for clip in clips]) / 16000
    samples = np.concatenate([part for clip in clips for part in (pause, clip)])
    if channel:
        samples = np.stack([np.random.default_rng(0).normal(0, 0.1, len(samples)), samples], axis=1)
    soundfile.write(here.folder / "lông story.wav", samples, 16000)
    (here.folder / "text.txt").write_text("\n\n".join(spoken), encoding="utf-8")
    words = ["align", f"{here.folder}/lông story.wav", "--text-file", f"{here.folder}/text.txt", "--model", str(learnt)]
    status, output, errors = run([*words, *channel.split()], capsys)
    (found,) = map(json.loads, output.splitlines())
    assert (status, errors, found["text"]) == (0, "", " ".join(spoken))
    assert [segment["text"] for segment in found["segments"]] == spoken
    for segment, before, end in zip(found["segments"], [0.0, *ends], ends, strict=False):
        assert before + 0.4 < segment["start"] < before + 0.8 < end < segment["end"] + 0.1
        times = [time for word in segment["words"] for time in (word["start"], word["end"])]
        assert times == sorted(times) and segment["start"] <= times[0] and times[-1] <= segment["end"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("align {corpus} --model {model} --channel 0", "--channel is of one recording; of a corpus it is"),
        ("align {corpus}/03.wav --text a --model {model} --channel 1", "has 1 channel, counted from 0"),
        ("align {corpus}/03.wav --model {model}", "a recording; give its text with --text or --text-file"),
        ("align {corpus}/03.wav --text a", "no model; name one with --model: one recording is too little"),
        ("align {corpus}/03.wav --text a --model {model} --split test", "--split is of a corpus"),
        ("align {corpus} --model {model} --recipe demo", "--recipe is for training, and --model names a trained one"),
        ("align {corpus} --model {model} --format eaf", "22 recordings make 22 eaf files; name a folder for them"),
        ("align {corpus}/none.wav --text a --model {model}", "none.wav"),
        ("align {here}/none --model {model}", "does not exist"),
        ("align {corpus}/03.wav --text-file {here}/none.txt --model {model}", "none.txt cannot be read"),
        ("align {corpus} --recipe none", "no recipe of that name"),
        ("align {corpus} --model {here}", "not a complete model"),
    ],
)
def test_mistakes_are_one_line(words: str, message: str, here: Place, capsys: Any) -> None:
    status, output, errors = run(here.fill(words), capsys)
    assert status == 1 and output == "" and message in errors and errors.count("\n") == 1
    assert here.contents() == {}


def test_without_a_model_one_is_trained_on_the_corpus(here: Place, capsys: Any) -> None:
    words = "align {corpus} --split test --recipe {config} --train-into {here}/run --device cpu --format ctm"
    status, output, errors = run(here.fill(f"{words} --train.max_steps 1 --decode.times attention"), capsys)
    assert status == 0 and len(output.splitlines()) == 10
    assert "no --model, so one is trained on" in errors and "(1 updates; --train.max_steps" in errors
    assert "trained for 1 updates in" in errors
    again = run(
        here.fill("align {corpus} --split test --model {here}/run --format ctm --decode.times attention"), capsys
    )
    assert again[0] == 0 and again[1] == output


def test_files_that_are_there_are_replaced_only_if_asked(here: Place, capsys: Any) -> None:
    (here.folder / "03.json").write_text("corrected by hand", encoding="utf-8")
    words = here.fill("align {corpus}/03.wav --text a --model {model} --output-dir {here}")
    status, _, errors = run(words, capsys)
    assert status == 1 and "03.json: is there already; choose another place, or give --overwrite" in errors
    assert (here.folder / "03.json").read_text(encoding="utf-8") == "corrected by hand"
    assert run([*words, "--overwrite"], capsys)[0] == 0
    status, _, errors = run([*words, "--decode.grammar", "g.txt"], capsys)
    assert status == 1 and "--decode.grammar: align takes no grammar" in errors


def test_annotations_of_the_corpus_are_never_replaced(here: Place, capsys: Any) -> None:
    soundfile.write(here.folder / "a.wav", tone("a"), 16000)
    (here.folder / "metadata.csv").write_text("file_name,transcription\na.wav,a\n", encoding="utf-8")
    (here.folder / "a.eaf").write_text("made by hand", encoding="utf-8")
    before = here.contents()
    words = "align {here} --model {model} --format eaf --output-dir {here} --overwrite"
    status, output, errors = run(here.fill(words), capsys)
    assert (status, output, errors.count("\n")) == (1, "", 1) and "a.eaf" in errors
    assert here.contents() == before
