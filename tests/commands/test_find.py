"""`echo-asr find`: what is written, in which form, and what cannot be."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pympi
import pytest
import soundfile
from praatio import textgrid

from echo_asr.decode import find as module
from echo_asr.decode.results import Place
from echo_asr.features import FeatureConfig
from echo_asr.model.checkpoint import Bundle
from echo_asr.text.tokenizer import Tokenizer
from tests.helpers.commands import Place as Folder
from tests.helpers.commands import run

WORD = 'ma3 "x" & <đẹp>'  # as it may be asked for


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, make_model: Callable[..., Any]) -> dict[str, Path]:
    """A random model, and recordings with noise in it."""
    folder = tmp_path_factory.mktemp("find")
    tokenizer = Tokenizer.train(["ma3 x đẹp ni3 hao"])
    network = make_model(vocabulary=tokenizer.vocabulary_size, subsampling=2)
    Bundle(network, tokenizer, FeatureConfig(mels=8, tracker="autocorrelation")).save(folder / "model")
    audio = folder / "audio"
    (audio / "b").mkdir(parents=True)
    for number, name in enumerate(("a.wav", "b/a.wav", "b/c, d.wav")):
        time = np.arange(16_000) / 16_000
        soundfile.write(audio / name, 0.3 * np.sin(2 * np.pi * (130 + 20 * number) * time), 16_000)
    soundfile.write(folder / "long.wav", np.ones(16_000 * 11) * 0.1, 16_000)
    soundfile.write(folder / "silent.wav", np.zeros(16_000), 16_000)
    (folder / "there.csv").write_text("mine", encoding="utf-8")
    (folder / "list").write_text("ni3\n", encoding="utf-8")
    for name in ("a", "a.csv"):
        (folder / name).write_bytes((folder / "long.wav").read_bytes())
    os.link(folder / "a", folder / "same")
    return {"model": folder / "model", "audio": audio, "made": folder}


@pytest.fixture
def place(tmp_path: Path, made: dict[str, Path]) -> Folder:
    return Folder(tmp_path, **made)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    """What is found in every segment, in place of what would be."""
    places = [Place(WORD, 0.1, 0.4, 0.9), Place("ni3", 0.3, 0.5, 0.61234), Place(WORD, 0.6, 0.8, 0.7)]

    class Known:
        def find(self, features: Any) -> list[list[Place]]:
            return [list(places) for _ in features]

    monkeypatch.setattr(module, "WordSearch", lambda *_: Known())
    return places


def asked(place: Folder, words: str, *more: str) -> list[str]:
    return ["find", *more, *place.fill(words), "--model", str(place.named["model"])]


BOTH = ("--word", WORD, "--word", "ni3", "--word", "hao")


def test_a_table_of_all_recordings_in_a_folder(place: Folder, found: list[Place], capsys: Any) -> None:
    status, output, errors = run(asked(place, "{audio}", *BOTH), capsys)
    rows = list(csv.DictReader(output.splitlines()))
    audio = place.named["audio"]
    assert status == 0 and [row["file"] for row in rows[::3]] == [
        str(audio / name) for name in ("a.wav", "b/a.wav", "b/c, d.wav")
    ]
    assert [tuple(row.values())[1:] for row in rows[:2]] == [
        ("0.1", "0.4", WORD, "0.9"),
        ("0.3", "0.5", "ni3", "0.6123"),
    ]
    assert errors.splitlines() == [
        "echo-asr find: 9 places in 3 recordings",
        "echo-asr find: not found: hao; a lower --threshold, or --most 10, shows less probable places",
    ]
    status, again, _ = run(asked(place, "{audio} --out {here}/new/places.csv", *BOTH), capsys)
    assert (status, again) == (0, "") and (place.folder / "new/places.csv").read_text(encoding="utf-8") == output
    _, output, _ = run(asked(place, "{audio} --format json", *BOTH), capsys)
    lines = [json.loads(line) for line in output.splitlines()]
    assert [{name: str(value) for name, value in line.items()} for line in lines] == rows


def test_the_most_probable_of_each_word(place: Folder, found: list[Place], capsys: Any) -> None:
    _, output, _ = run(asked(place, "{audio} --most 2", *BOTH), capsys)
    rows = list(csv.DictReader(output.splitlines()))
    assert [(row["word"], row["probability"]) for row in rows] == [
        (WORD, "0.9"), ("ni3", "0.6123"), (WORD, "0.9"), ("ni3", "0.6123"),
    ]  # fmt: skip


def test_files_of_elan_and_praat_have_a_tier_a_word(place: Folder, found: list[Place], capsys: Any) -> None:
    for form in ("eaf", "textgrid", "csv"):
        words = asked(place, f"{{audio}} --format {form} --output-dir {{here}}/out", *BOTH)
        status, output, errors = run(words, capsys)
        assert (status, output) == (0, ""), errors
    out = place.folder / "out"
    names = ("a.eaf", "a.TextGrid", "a.csv", "b/a.eaf", "b/a.TextGrid", "b/a.csv")
    assert all((out / name).is_file() for name in names)
    spans = [(100, 400, WORD), (600, 800, WORD)]
    read = pympi.Eaf(str(out / "b/c, d.eaf"))
    assert [one[:3] for one in sorted(read.get_annotation_data_for_tier(WORD))] == spans
    sure = read.get_annotation_data_for_tier(f"{WORD} (confidences)")
    assert [one[:3] for one in sorted(sure)] == [(100, 400, "0.90"), (600, 800, "0.70")]
    assert read.get_parent_aligned_annotation and read.tiers["hao"][0] == {}
    assert read.get_linked_files()[0]["MEDIA_URL"].endswith("b/c, d.wav")
    grid = textgrid.openTextgrid(str(out / "b/c, d.TextGrid"), includeEmptyIntervals=False)
    entries = [(round(1000 * start), round(1000 * end), text) for start, end, text in grid.getTier(WORD).entries]
    assert entries == spans and grid.maxTimestamp == 1.0
    assert [text for *_, text in grid.getTier("ni3 (confidences)").entries] == ["0.61"]


def test_a_word_comes_first_and_lists_of_words_and_recordings_are_read(place: Folder, capsys: Any) -> None:
    audio, here = place.named["audio"], place.folder
    (here / "words.txt").write_bytes("\ufeffni3\r\n\r\n  hao \r\n".encode())
    (here / "list.txt").write_text(f"{audio}/a.wav\n", encoding="utf-8")
    first = run(asked(place, "ni3 {audio}/a.wav --threshold 0"), capsys)
    assert first[0] == 0 and {row["word"] for row in csv.DictReader(first[1].splitlines())} <= {"ni3"}
    assert run(asked(place, "--word ni3 --files {here}/list.txt --threshold 0"), capsys) == first
    both = run(asked(place, "{audio}/a.wav --words {here}/words.txt --most 3"), capsys)
    assert both[0] == 0 and {row["word"] for row in csv.DictReader(both[1].splitlines())} <= {"ni3", "hao"}


def test_examples_are_looked_for_under_a_name(place: Folder, capsys: Any) -> None:
    status, output, errors = run(asked(place, "{audio} --most 1 --name wind --like {audio}/a.wav"), capsys)
    (row,) = csv.DictReader(output.splitlines())
    assert status == 0 and row["word"] == "wind" and row["file"].endswith("audio/a.wav"), errors
    _, output, _ = run(asked(place, "{audio} --most 1 --like {audio}/a.wav {audio}/b/a.wav"), capsys)
    assert [row["word"] for row in csv.DictReader(output.splitlines())] == ["a"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("", 2, "no word; give it first, then the recordings"),
        ("ni3", 2, "no recordings; name some, or a list of them with --files"),
        ("--word ni3", 2, "no recordings; name some"),
        ("--like {audio}/a.wav", 2, "no recordings; name some"),
        ("ni3 {made}/no.wav", 1, "no.wav: no such file"),
        ("ni3 {model}", 1, "has no recordings"),
        ("nǐ3 {audio}", 1, "word 'nǐ3' cannot be looked for: text 'nǐ3': the tokenizer has no symbol for 'ǐ' (U+01D0)"),
        ("? {audio}", 1, "word '?' is empty once normalised"),
        ("--words {made}/no.txt {audio}", 1, "no.txt cannot be read"),
        ("--words {made}/model {audio}", 1, "model cannot be read"),
        ("--like {audio}/a.wav --word ni3 --name x", 2, "--like is for a word without a spelling"),
        ("ni3 {audio} --name x", 2, "--name belongs to --like"),
        ("{audio} --like {made}/silent.wav", 1, "silent.wav: is silent"),
        ("{audio} --like {made}/long.wav", 1, "long.wav: an example of a word lasts 10 s at most, this one 11.0 s"),
        ("{audio} --like {made}/no.wav", 1, "no.wav: no such file"),
        ("ni3 {audio} --threshold 1.5", 1, "--threshold: expected a probability from 0 to 1, got 1.5"),
        ("ni3 {audio} --threshold nan", 1, "--threshold: expected a probability from 0 to 1, got nan"),
        ("ni3 {audio} --most 0", 1, "--most: expected 1 or more, got 0"),
        ("ni3 {audio} --format eaf", 1, "3 recordings make 3 eaf files; name a folder for them: --output-dir"),
        ("ni3 {audio} --out {made}/new.wav", 1, "new.wav: has the name of a recording; take one that ends in .csv"),
        ("ni3 {audio} --out {made}/there.csv", 1, "there.csv: is there already; choose another place"),
        ("ni3 {audio} --files {made}/list --out {made}/list --overwrite", 1, "list: is read here, and would be lost"),
        ("--words {made}/list {audio} --out {made}/list --overwrite", 1, "list: is read here, and would be lost"),
        ("ni3 {made}/a --out {made}/same --overwrite", 1, "same: is read here, and would be lost"),
        ("{audio} --like {made}/a --out {made}/a --overwrite", 1, "a: is read here, and would be lost"),
        ("ni3 {audio} --out {model}/config.yaml --overwrite", 1, "config.yaml: is read here, and would be lost"),
        ("ni3 {made}/a.csv --output-dir {made} --overwrite", 1, "a.csv: is read here, and would be lost"),
        ("ni3 {audio} --out /dev/null --overwrite", 1, "/dev/null: is no ordinary file, and cannot be replaced"),
        ("ni3 {audio} --format csv --out {here}/x.eaf", 1, "x.eaf: --format csv has another ending; change one"),
        ("ni3 {audio} --out {here}/x.eaf", 1, "3 recordings make 3 eaf files; name a folder for them"),
        ("ni3 {audio} --like {audio}/a.wav", 2, "--like needs no word, and there is no recording 'ni3'; leave it out"),
        ("ni3 {audio} --decode.grammar g.txt", 1, "--decode.grammar: find takes no grammar, which is for transcribe"),
        ("--words - {audio}", 2, "--words: standard input is not read here; give the name of a file"),
        ("--words {audio}/a.wav {audio}", 1, "a.wav: is not a text file; give a list of words, one a line"),
        ("ni3 {audio} --decode.reject 1.5", 1, "find: --decode.reject must lie in [0, 1], got 1.5"),
        ("ni3 {audio} --decode.lm x", 1, "--decode.lm needs decode.beam of at least 2, got 1 (decode.beam: of "),
        ("ni3 {audio} --out {made}", 1, "is a folder; name a file, or give --output-dir"),
        ("ni3 {audio} --out {here}/x --output-dir {here}/y", 2, "--out is one file, --output-dir one for each"),
        ("ni3 {audio} --channel -1", 1, "--channel: expected 0 or more, got -1"),
        ("ni3 {audio} --treshold 0.1", 2, "unknown argument '--treshold'; did you mean --threshold?"),
        ("ni3 {audio} --format srt", 2, "invalid choice: 'srt'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(words: str, status: int, message: str, place: Folder, capsys: Any) -> None:
    before, made = place.contents(), Folder(place.named["made"]).contents()
    found, _, errors = run(asked(place, words), capsys)
    lines = [line for line in errors.splitlines() if "could not be read" not in line and "place" not in line[:30]]
    assert found == status and message in lines[0] and place.contents() == before, errors
    assert errors.startswith("echo-asr find: ") and "Traceback" not in errors
    assert Folder(place.named["made"]).contents() == made


def test_words_that_are_one_once_normalised_are_one(place: Folder, found: list[Place], capsys: Any) -> None:
    words = ("--word", "ni3", "--word", "NI3", "--word", "ni3")
    status, output, errors = run(asked(place, "{audio}/a.wav --most 1 --threshold 0.1", *words), capsys)
    assert status == 0 and errors.splitlines()[0] == "echo-asr find: the same once normalised: NI3 (ni3)"
    assert "not found" not in errors


def test_the_ending_of_the_file_is_its_format_and_a_dash_prints(place: Folder, found: list[Place], capsys: Any) -> None:
    printed = run(asked(place, "{audio}/a.wav --out - --format json", *BOTH), capsys)[1]
    assert run(asked(place, "{audio}/a.wav --out {here}/x.JSONL", *BOTH), capsys)[0] == 0
    assert (place.folder / "x.JSONL").read_text(encoding="utf-8") == printed and printed.startswith("{")
    assert run(asked(place, "{audio}/a.wav --out {here}/x.eaf", *BOTH), capsys)[0] == 0
    assert (place.folder / "x.eaf").read_text(encoding="utf-8").startswith("<?xml")
    assert not Path("-").exists()


@pytest.mark.parametrize("form", ["csv", "json", "eaf", "textgrid"])
@pytest.mark.parametrize("where", ["--out {here}/x", "--output-dir {here}/d", ""])
def test_nothing_is_written_where_nothing_could_be_searched(
    form: str, where: str, place: Folder, found: list[Place], capsys: Any
) -> None:
    status, output, errors = run(asked(place, f"{{made}}/no.wav --format {form} {where}", *BOTH), capsys)
    assert (status, output, errors.count("\n")) == (1, "", 1) and "no.wav: no such file" in errors
    assert place.contents() == {}
    again = run(asked(place, f"{{audio}}/a.wav --format {form} {where}", *BOTH), capsys)
    assert again[0] == 0 and len(place.contents()) == bool(where)


def test_fewer_places_than_were_asked_for_are_explained(place: Folder, found: list[Place], capsys: Any) -> None:
    _, output, errors = run(asked(place, "{audio}/a.wav --most 2", *BOTH), capsys)
    assert errors.splitlines() == [
        "echo-asr find: 3 places in 1 recording",
        "echo-asr find: not found: hao; nothing is at all like them",
        "echo-asr find: fewer than 2 places of: ni3 (1); nothing else is at all like them",
    ]


def test_files_that_are_there_are_replaced_only_if_asked(place: Folder, capsys: Any) -> None:
    (place.folder / "a.csv").write_text("mine", encoding="utf-8")
    words = asked(place, "ni3 {audio}/a.wav --output-dir {here}")
    assert run(words, capsys)[0] == 1 and (place.folder / "a.csv").read_text(encoding="utf-8") == "mine"
    assert run([*words, "--overwrite"], capsys)[0] == 0
    assert (place.folder / "a.csv").read_text(encoding="utf-8").startswith("file,start,end,word,probability\n")


def test_a_recording_that_cannot_be_read_does_not_stop_the_others(
    place: Folder, found: list[Place], capsys: Any
) -> None:
    status, output, errors = run(asked(place, "{made}/no.wav {audio}/a.wav", *BOTH), capsys)
    assert status == 1 and output.count("\n") == 4
    assert "no.wav: no such file" in errors and "1 of 2 recordings could not be read" in errors


def raised() -> Callable[[], Any]:
    def interrupt() -> Any:
        raise KeyboardInterrupt

    return interrupt


def test_ctrl_c_keeps_what_was_found(
    place: Folder, found: list[Place], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_each = module.find_each

    def interrupted(*arguments: Any, **named: Any) -> Any:
        each = find_each(*arguments, **named)
        yield next(each)
        raise KeyboardInterrupt

    monkeypatch.setattr("echo_asr.decode.find_files.find_each", interrupted)
    status, _, errors = run(asked(place, "{audio} --out {here}/x.csv", *BOTH), capsys)
    assert status == 130 and "interrupted; 1 of 3 recordings are searched, whose places are in" in errors
    assert (place.folder / "x.csv").read_text(encoding="utf-8").count("\n") == 4
    status, output, errors = run(asked(place, "{audio}", *BOTH), capsys)
    assert status == 130 and output.count("\n") == 4 and "interrupted; 1 of 3 recordings are searched" in errors
    monkeypatch.setattr("echo_asr.decode.find_files.find_each", lambda *_, **__: iter(raised(), None))
    status, _, errors = run(asked(place, "{audio}", *BOTH), capsys)
    assert status == 130 and "interrupted; 0 of 3 recordings are searched" in errors
