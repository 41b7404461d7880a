"""`echo-asr retone`: tones for a recording and for a corpus, by a random model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echo_asr.data.corpus import load_corpus
from echo_asr.features import FeatureConfig
from echo_asr.model.checkpoint import Bundle
from echo_asr.text.config import TextConfig
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import ToneNotation
from tests.helpers.commands import Place, run

TEXTS = {"a.wav": "Nihao, ma!", "b.wav": "ma", "c.wav": "", "d.wav": "[cough] ma3"}
DIGITS = ToneNotation("digits")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, make_model: Callable[..., Any]) -> dict[str, Path]:
    """A model that notes its notation, one that does not, and a corpus without tones."""
    folder = tmp_path_factory.mktemp("retone")
    tokenizer = Tokenizer.train(["ni3hao3 ma1", "ma2 ni4"])
    network = make_model(vocabulary=tokenizer.vocabulary_size, subsampling=2)
    features = FeatureConfig(mels=8, tracker="autocorrelation")
    text = TextConfig(tones="digits", conventions={"[...]": "drop", "xxx": "exclude"})
    Bundle(network, tokenizer, features, text).save(folder / "model")
    Bundle(network, tokenizer, features).save(folder / "earlier")
    corpus = folder / "corpus"
    corpus.mkdir()
    time = np.arange(6_400) / 16_000
    for number, name in enumerate(TEXTS):
        soundfile.write(corpus / name, 0.3 * np.sin(2 * np.pi * (130 + 20 * number) * time), 16_000)
    rows = ["file_name,transcription,speaker", *(f'{name},"{text}",s' for name, text in TEXTS.items())]
    (corpus / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    return {"model": folder / "model", "earlier": folder / "earlier", "corpus": corpus}


@pytest.fixture
def place(tmp_path: Path, made: dict[str, Path]) -> Place:
    return Place(tmp_path, **made)


def bare(text: str) -> str:
    return re.sub(r"\d", "", text)


@pytest.mark.filterwarnings("ignore:.*texts empty")
def test_a_line_for_each_text_of_a_corpus(place: Place, capsys: Any) -> None:
    status, output, errors = run(place.fill("retone {corpus} --model {model}"), capsys)
    assert status == 0, errors
    lines = dict(line.split("\t") for line in output.splitlines())
    assert {name: bare(text) for name, text in lines.items()} == {name: bare(text) for name, text in TEXTS.items()}
    assert lines["a.wav"] != TEXTS["a.wav"]
    status, output, _ = run(place.fill("retone {corpus} --model {model} --format json"), capsys)
    found = [json.loads(line) for line in output.splitlines()]
    assert status == 0 and {one["id"]: one["text"] for one in found} == lines
    assert [len(one["words"]) for one in found] == [2, 1, 0, 1]
    assert all(0 < word["probability"] <= 1 for one in found for word in one["words"])


@pytest.mark.filterwarnings("ignore:.*texts empty")
def test_a_corpus_with_tones_is_written(place: Place, capsys: Any) -> None:
    status, output, errors = run(place.fill("retone {corpus} --model {model} --out {here}/new"), capsys)
    assert status == 0, errors
    assert output == f"{place.folder}/new/metadata.csv: 4 texts\n"
    before, after = load_corpus(place.named["corpus"]).utterances, load_corpus(place.folder / "new").utterances
    assert [(u.speaker, u.split, u.duration) for u in after] == [(u.speaker, u.split, u.duration) for u in before]
    assert [Path(u.audio).resolve() for u in after] == [Path(u.audio).resolve() for u in before]  # type: ignore[arg-type]
    assert [bare(u.text) for u in after] == [bare(u.text) for u in before]


def test_one_recording(place: Place, capsys: Any) -> None:
    status, output, errors = run([*place.fill("retone {corpus}/a.wav --model {model} --text"), "Ni, hao!"], capsys)
    assert (status, bare(output)) == (0, "Ni, hao!\n"), errors
    words = [*place.fill("retone {corpus}/a.wav --model {model} --format json --text"), "Ni, hao!"]
    assert json.loads(run(words, capsys)[1])["text"] == output.rstrip()
    words = [*place.fill("retone {corpus}/a.wav --model {earlier} --text.tones digits --text"), "Ni, hao!"]
    assert run(words, capsys)[1] == output


@pytest.mark.filterwarnings("ignore:.*silent, or too short")
def test_texts_without_tones_stay_and_are_counted(place: Place, capsys: Any) -> None:
    rows = ["file_name,transcription", "a.wav,ma q!", "b.wav,ma xxx", "d.wav,Ma", f"e.wav,{'ma ' * 30}"]
    for name in "abde":
        (place.folder / f"{name}.wav").write_bytes((place.named["corpus"] / "a.wav").read_bytes())
    (place.folder / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    status, output, errors = run(place.fill("retone {here} --model {model} --out {here}/new"), capsys)
    assert status == 1 and output == f"{place.folder}/new/metadata.csv: 4 texts\n"
    texts = [u.text for u in load_corpus(place.folder / "new").utterances]
    assert texts[:2] == ["ma q!", "ma xxx"] and bare(texts[2]) == "Ma" and texts[3] == ("ma " * 30).strip()
    printed = run(place.fill("retone {here} --model {model}"), capsys)[1]
    assert [line.split("\t")[1] for line in printed.splitlines()] == texts
    lines = [line for line in errors.splitlines() if line.startswith("echo-asr retone: ")]
    assert "a.wav: text 'ma q': the model's tokenizer has no symbol for 'q' (U+0071)" in lines[0]
    assert "echo-asr retone: 2 of 4 texts stay as they are, since no tones were found" in lines
    assert "echo-asr retone: 1 of 4 texts stay as they are, since text.conventions exclude them" in lines


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("retone {corpus}", 2, "the following arguments are required: --model"),
        ("retone {corpus} --model {here}/no", 1, "no such model folder"),
        ("retone {corpus} --model {earlier}", 1, "do not name where tone is written"),
        ("retone {corpus} --model {model} --text.tones none", 1, "its texts are without tone"),
        ("retone {corpus} --model {model} --text.tones chao_letters", 1, "no tone in the notation chao_letters"),
        ("retone {corpus} --model {model} --text.tones tune", 1, "text.tones"),
        ("retone {corpus} --model {model} --text.letters x", 1, "unknown option --text.letters"),
        ("retone {corpus} --model {model} --split tset", 1, "has no split 'tset'"),
        ("retone {corpus} --model {model} --out {corpus}", 1, "exists and is not empty; choose another --out"),
        ("retone {corpus}/a.wav --model {model}", 1, "give its text with --text"),
        ("retone {corpus} --model {model} --text ma", 1, "is a folder"),
        ("retone {corpus}/a.wav --model {model} --text ma --out {here}/new", 1, "--out writes a corpus"),
        ("retone {corpus}/no.wav --model {model} --text ma", 1, "no.wav: no such file"),
        ("retone {here} --model {model}", 1, "metadata.csv"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*texts empty")
def test_mistakes_are_named_in_one_line(words: str, status: int, message: str, place: Place, capsys: Any) -> None:
    code, output, errors = run(place.fill(words), capsys)
    assert (code, output) == (status, "")
    line = errors.splitlines()[-1]
    assert line.startswith("echo-asr retone: ") and message in line
    assert not any(place.folder.iterdir())
