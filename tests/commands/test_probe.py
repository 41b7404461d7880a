"""`echo-asr probe`, as a person calls it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from echo_asr.cli import _parser
from echo_asr.config import parse_words
from echo_asr.train.recipe import read_config
from tests.helpers.commands import Place, run
from tests.helpers.encoders import whisper

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def place(tmp_path: Path, encoder: Path, corpus: Path) -> Place:
    return Place(tmp_path, encoder=encoder, corpus=corpus)


def test_the_table_ends_in_a_command_that_trains_so(place: Place, capsys: Any) -> None:
    words = "probe {corpus} --encoder {encoder} --minutes 0.1 --updates 10 --text.letters -"
    status, output, errors = run(place.fill(words), capsys)
    assert status == 0, errors
    assert re.search(r"4 layers, 0\.1 min of training speech and 0\.0 min of validation: \d+ MB", errors)
    *table, command = output.splitlines()
    assert [row.split("\t")[0] for row in table if row[0].isdigit()][:4] == ["0", "1", "2", "3"]
    (chosen,) = (row.split("\t")[0] for row in table if "recommended" in row)
    name, *own = shlex.split(command)
    assert name == "echo-asr" and own[:2] == ["train", "pretrained"]
    at = own.index("--features.states")
    arguments = _parser().parse_args(own[:at])
    assert arguments.corpus == str(place.named["corpus"])
    sections = read_config(arguments.config, parse_words(own[at:]))
    assert sections["features"].states == str(place.named["encoder"])
    assert sections["features"].encoder_layers == tuple(map(int, chosen.split(" and ")))
    assert sections["text"].letters == "-"


def test_all_of_it_as_json(place: Place, capsys: Any) -> None:
    words = "probe {corpus} --encoder {encoder} --minutes 0.1 --updates 10 --json"
    status, output, errors = run(place.fill(words), capsys)
    assert status == 0, errors
    found = json.loads(output)
    assert [one["layers"] for one in found["layers"]] == [[0], [1], [2], [3]]
    assert found["recommended"] in [one["layers"] for one in (*found["layers"], *found["pairs"])]
    assert 0.0 <= found["p"] <= 1.0 and found["layers"][0]["character"]["reference"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("{corpus} --encoder {here}", r"no config\.json there"),
        ("{corpus} --encoder {encoder} --minutes 0", r"--minutes: expected at least 0\.1, got 0\.0"),
        ("{corpus} --encoder {encoder} --minutes nan", r"--minutes: expected at least 0\.1, got nan"),
        ("{corpus} --encoder {encoder} --updates 1", r"--updates: expected at least 10, got 1"),
        ("{corpus} --encoder {encoder} --model.width 64", r"model"),
        ("{here}/none --encoder {encoder}", r"none"),
    ],
)
def test_mistakes_end_in_one_line(words: str, message: str, place: Place, capsys: Any) -> None:
    status, output, errors = run(["probe", *place.fill(words)], capsys)
    assert status == 1 and output == ""
    assert re.fullmatch(rf"echo-asr probe: .*{message}.*\n", errors), errors
