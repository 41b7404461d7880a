"""Texts that are too long for their recordings, which is found out in training where stated durations are wrong."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.data.batch import Batch, collate, ctc_frames
from echo_asr.features import Features
from echo_asr.model.echo import Echo
from echo_asr.train.unusable import describe_unaligned, find_unaligned
from tests.helpers.tone_corpus import metrics, write_config, write_corpus
from tests.helpers.training import train

PLAIN = {"speeds": [1.0], "noise_share": 0.0, "max_steps": 6, "batch_seconds": 10.0}


@settings(max_examples=40, deadline=None)
@given(
    clips=st.lists(st.tuples(st.integers(1, 60), st.lists(st.integers(1, 3), max_size=16)), min_size=1, max_size=4),
    choice=st.sampled_from([{}, {"subsampling": 2}, {"stop": "silence", "cross_nulls": "none"}]),
)
def test_those_are_found_whose_loss_is_no_number(
    clips: list[tuple[int, list[int]]], choice: dict[str, Any],
    make_model: Callable[..., Echo], make_features: Callable[..., Features],
) -> None:  # fmt: skip
    model = make_model(**choice)
    features, names = [make_features(frames) for frames, _ in clips], [str(number) for number in range(len(clips))]
    batch = collate(features, [text for _, text in clips], names)
    with torch.inference_mode():
        encoded = model.encode(batch.features)
        logp = model.ctc_log_probabilities(encoded).transpose(0, 1)
        losses = torch.nn.functional.ctc_loss(logp, batch.tokens, encoded.lengths, batch.lengths, reduction="none")
    found = find_unaligned(batch, model.config)
    assert set(found) == {name for name, loss in zip(names, losses.tolist(), strict=True) if loss == float("inf")}
    for name, (needed, there) in found.items():
        assert needed == ctc_frames(clips[int(name)][1]) > there == int(encoded.lengths[int(name)])
    assert find_unaligned(replace(batch, names=()), model.config) == {}


def wrong_durations(folder: Path, texts: list[str]) -> Path:
    """A corpus in which each clip is said to last 5 s, and lasts a quarter of a second."""
    rows = [("train", text, 1.0) for text in texts]
    write_corpus(folder, [*rows, ("validation", "a", 1.0), ("validation", "b", 1.0)])
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[*lines[0], "duration"], *([*line, "5.0"] for line in lines[1:])])
    return folder


@pytest.mark.parametrize("broken", ["refuse", "skip"])
def test_they_are_counted_and_told_and_stop_nothing(broken: Any, tmp_path: Path, capsys: Any) -> None:
    """At first sight, in the metrics, and in the end; `aa` takes three frames, for the blank between."""
    corpus = wrong_durations(tmp_path / "wrong", ["a", "b", "a bccccccccccc", "cabcabcabcabcabcab", "c"])
    train(write_config(tmp_path / "c.yaml", train=PLAIN), str(corpus), tmp_path / "run", broken=broken)
    told = [" ".join(line.split()) for line in capsys.readouterr().err.split("warning: ")[1:]]
    told = [line for line in told if "CTC cannot align" in line]
    assert len(told) == 2
    assert told[0].startswith("2 of 5 texts are too long for their recordings: CTC cannot align them")
    assert told[1].split("; first")[0] == told[0].split("; first")[0]
    assert "wrong/0" in told[0] and ("(takes 23 encoder frames, has " in told[0] or "(takes 18 " in told[0])
    updates = [line for line in metrics(tmp_path / "run") if line["split"] == "train"]
    assert sum(line.get("unaligned", 0) for line in updates) >= 2


def test_one_is_told_of_as_one() -> None:
    found = describe_unaligned({"a.wav": (12, 6)}, 40)
    assert found.startswith(
        "1 of 40 texts is too long for its recording: CTC cannot align it and learns nothing from it"
    )
    assert "; first a.wav (takes 12 encoder frames, has 6); correct" in found


def test_names_travel_with_a_batch(make_features: Callable[..., Features]) -> None:
    batch = collate([make_features(9)], [[1]], ["a.wav"])
    assert batch.to("cpu").names == ("a.wav",) and Batch(batch.features, batch.tokens, batch.lengths).names == ()
