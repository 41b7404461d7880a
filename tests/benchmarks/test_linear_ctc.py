"""The peer that is fine-tuned whole, on a tiny encoder, and curves of error over CPU time."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.error_over_time import errors, validations
from benchmarks.linear_ctc import LinearCTC, learning_rate, prepare
from echo_asr.pretrained import build
from echo_asr.text.tones import ToneNotation
from tests.helpers.encoders import whisper

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper(tmp_path_factory.mktemp("whisper"))


def test_all_but_the_convolutions_learns(encoder: Path, corpus: Path) -> None:
    settings = {"rate": 1e-3, "minutes": 0.01, "every": 2, "batch_seconds": 3.0, "seed": 0}
    arguments = argparse.Namespace(encoder=str(encoder), corpus=str(corpus), **settings)
    run = prepare(arguments)
    run.spent = 0.0
    before = {name: value.clone() for name, value in run.model.named_parameters()}
    lines = list(run.curve())
    changed = {name for name, value in run.model.named_parameters() if not torch.equal(value, before[name])}
    frozen = {name for name in before if "conv" in name or "embed_positions" in name}
    assert changed == set(before) - frozen - {name for name in before if "k_proj.bias" in name}
    seconds = [line["cpu_seconds"] for line in lines]
    assert [line["update"] for line in lines[:2]] == [2, 4]
    assert seconds == sorted(seconds) and seconds[-1] >= 0.6
    assert set(lines[0]) == {"update", "cpu_seconds", "learning_rate", "loss", "word", "character"}


def test_dropout_is_set_in_the_layers_and_before_the_head(encoder: Path) -> None:
    model = LinearCTC(build(encoder), 5)
    layers = [module for module in model.encoder.network.modules() if type(module).__name__.endswith("EncoderLayer")]
    assert layers and all(layer.dropout == layer.self_attn.dropout == 0.1 for layer in layers)  # type: ignore[union-attr]
    assert isinstance(model.dropout, nn.Dropout) and model.dropout.p == 0.1


def test_a_padded_batch_gives_what_each_recording_gives_alone(encoder: Path) -> None:
    model = LinearCTC(build(encoder), 5).eval()
    recordings = [torch.randn(size, generator=torch.Generator().manual_seed(size)) for size in (6_400, 9_000)]
    found, frames = model(recordings)
    for row, recording in enumerate(recordings):
        alone, _ = model([recording])
        torch.testing.assert_close(found[row, : frames[row]], alone[0], rtol=1e-4, atol=1e-4)


def test_the_rate_rises_and_falls_in_straight_lines() -> None:
    rates = [learning_rate(1e-3, done) for done in (0.0, 0.05, 0.1, 0.55, 1.0, 1.2)]
    assert rates == pytest.approx([0.0, 5e-4, 1e-3, 5e-4, 0.0, 0.0])


def test_errors_of_bases_and_tones_where_there_are_tones() -> None:
    found = errors(["ma3 ni1"], ["ma2 ni1"], ToneNotation("digits"))
    assert {name: rate["percent"] for name, rate in found.items()} == {
        "word": 50.0, "character": pytest.approx(100 / 7, abs=0.01), "base": 0.0, "tone": 50.0
    }  # fmt: skip


def test_validations_of_a_run_have_their_cpu_time(learnt: Path, corpus: Path) -> None:
    found = validations(learnt, str(corpus))
    metrics = [json.loads(line) for line in (learnt / "metrics.jsonl").read_text().splitlines()]
    timed = [line["cpu_seconds"] for line in metrics if "cpu_seconds" in line]
    judged = [line for line in metrics if line["split"] == "validation"]
    assert [line["update"] for line in found] == [60, 120]
    assert 0.0 < found[0]["cpu_seconds"] < found[1]["cpu_seconds"] == round(timed[-1], 1)
    assert [line["word"]["percent"] for line in found] == pytest.approx([line["wer"] for line in judged], abs=0.01)
