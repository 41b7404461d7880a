"""The report: for every option of the model, finite, defined, and saying what it cannot show."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from echo_asr.data.batch import Example, collate
from echo_asr.data.corpus import Utterance
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import FeatureConfig
from echo_asr.model.checkpoint import Bundle
from echo_asr.research.diagnose.groups import Group
from echo_asr.research.diagnose.page import page, save_page
from echo_asr.research.diagnose.report import Material, Report, cells, diagnose, gather, plain, shown
from echo_asr.research.f0_controls import F0Control
from echo_asr.text.tokenizer import Tokenizer

Make = Callable[..., Any]
PAGE = Path(__file__).parents[3] / "docs" / "diagnostics.md"
TEXTS = {"abbc": (1, 2, 2, 3), "de": (4, 5), "": ()}


@pytest.fixture(scope="session")
def defined() -> dict[str, set[str]]:
    """The names that the page defines, by the heading under which they stand."""
    found: dict[str, set[str]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            heading = line[4:].strip("` ")
            found[heading] = set()
        elif line.startswith("| `") and heading:
            found[heading] |= set(re.findall(r"`([^`]+)`", line.split("|")[1]))
    return found


def material(make_features: Make, count: int = 3) -> Material:
    clips = [make_features(frames, seed) for seed, frames in enumerate((40, 29, 22)[:count])]
    examples = [
        Example(Utterance(f"{n}.wav", Path(f"{n}.wav"), text, "", "test", 1.0), text, ids)
        for n, (text, ids) in enumerate(list(TEXTS.items())[:count])
    ]
    return Material(examples, clips, [collate(clips, [e.tokens for e in examples])])


def report_on(model: Any, stuff: Material, what_if: bool = False) -> tuple[Report, Recognizer]:
    bundle = Bundle(model, Tokenizer.train(["abcdef"]), FeatureConfig(mels=8, tracker="autocorrelation"))
    recognizer = Recognizer(bundle, DecodeConfig(max_tokens=3))
    return diagnose(recognizer, stuff, {"model": "tiny & <odd>"}, what_if=what_if), recognizer


def numbers(tree: Any) -> list[float]:
    if isinstance(tree, dict | list):
        return [n for each in (tree.values() if isinstance(tree, dict) else tree) for n in numbers(each)]
    return [tree] if isinstance(tree, int | float) else []


def check(report: Report, defined: dict[str, set[str]]) -> None:
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert all(math.isfinite(n) for n in numbers(found))
    for group in report.groups:
        assert group.rows or group.remark, group.name
        assert group.name in defined and found[group.name]["definition"] == f"docs/diagnostics.md#{group.name}"
        assert set(group.columns) <= defined[group.name], group.name
        assert len({len(row) for row in cells(group)[1]} | {len(cells(group)[0])}) == 1
    for warning in report.warnings:
        assert warning.kind in defined["warnings"] and warning.where and warning.text and warning.remedy


def test_a_report_on_every_option(
    make_model: Make, make_features: Make, options: dict[str, Any], defined: dict[str, set[str]]
) -> None:
    check(report_on(make_model(**options), material(make_features))[0], defined)


ASKED: dict[str, dict[str, Any]] = {
    "all of vrope": {
        "vrope": {"theta": "integrated", "radius": "acoustic", "bias": "quadratic", "nulls": "weight"}, "gate": "pitch",
        "combine": "blend",
    },
    "aligned, joint": {
        "text_pitch": "aligned", "combine": "joint", "cross_layers": 2, "vrope": {"radius": "acoustic"},
        "gate": "scalar",
    },
    "three features": {"features": ("waveform", "pitch", "spectrogram"), "waveform_layers": 1, "stop": "silence"},
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_a_whole_report_as_text_object_and_page(
    name: str, make_model: Make, make_features: Make, defined: dict[str, set[str]], tmp_path: Path
) -> None:
    stuff = material(make_features)
    report, recognizer = report_on(make_model(**ASKED[name]), stuff, what_if=True)
    check(report, defined)
    text = plain(report)
    assert all(group.title.upper() in text for group in report.groups) and "WARNINGS" in text
    report.save(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["about"]["model"] == "tiny & <odd>"
    save_page(report, recognizer.bundle.model, stuff, tmp_path / "report.html")
    written = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert written.count("data:image/png;base64,") >= 4 and "prefers-color-scheme: dark" in written
    assert not re.search(r'(src|href)="(?!data:|#)', written)
    assert set(re.findall(r'href="#(.*?)"', written)) == set(re.findall(r'<h2 id="(.*?)"', written)) <= set(defined)
    assert "tiny &amp; &lt;odd&gt;" in written


def test_one_utterance_is_enough_and_what_it_cannot_tell_is_said(
    make_model: Make, make_features: Make, defined: dict[str, set[str]]
) -> None:
    report, _ = report_on(make_model(vrope={"radius": "acoustic"}), material(make_features, 1), what_if=True)
    check(report, defined)
    assert "one utterance" in " ".join(report.notes)
    assert "fewer than two utterances" in report.group("counterfactuals").remark


def test_marks_are_words_in_text_and_colours_on_the_page(make_model: Make, make_features: Make) -> None:
    report, _ = report_on(make_model(gate="token"), material(make_features))
    mark = str(next(iter(report.group("gate_against_mlp").rows.values()))["mark"])
    assert mark in plain(report) and plain(report).isascii()
    assert shown(mark, emoji=True) in page(report, {})


def test_figures_as_people_read_them() -> None:
    assert [shown(x) for x in (0.5, 0.0, 1.23456, 12345.6, 3.2e-5, 7, "static")] == [
        "0.5", "0", "1.235", "12346", "3.20e-05", "7", "static"
    ]  # fmt: skip


def test_changes_are_read_with_their_intervals() -> None:
    row = {
        f"{kind}_{end}": x for kind in ("loss", "error") for end, x in (("change", 0.36), ("low", -1e-9), ("high", 2.0))
    }
    group = Group("counterfactuals", "C", {"as it is": {"loss": 0.5, "word_error": 10.04}, "F0 removed": {**row}})
    assert cells(group)[1] == [
        ["as it is", "0.500", "10.0 %"], ["F0 removed", "+0.360 (0.000 to 2.000)", "+0.4 (0.0 to 2.0)"]
    ]  # fmt: skip


def test_a_model_of_shuffled_pitch_gets_that_of_the_donors(make_model: Make, tmp_path: Path) -> None:
    time = np.arange(8000) / 16_000
    utterances = []
    for hertz in (110, 220):
        path = tmp_path / f"{hertz}.wav"
        soundfile.write(path, 0.3 * np.sign(np.sin(2 * np.pi * hertz * time)), 16_000)
        utterances.append(Utterance(path.name, path, "a", "", "test", 0.5))
    bundle = Bundle(make_model(), Tokenizer.train(["abcdef"]), FeatureConfig(mels=8, tracker="autocorrelation"))
    control = F0Control("shuffled", [torch.full((50,), 330.0)])
    found = gather(Recognizer(bundle, DecodeConfig(max_tokens=3), control), utterances)
    assert [round(float(clip.track.median()) / 110) for clip in found.clips] == [3, 3]
