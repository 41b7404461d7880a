"""Counterfactuals against the model's own loss and search, and against changes that must do nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echo_asr.data.batch import collate
from echo_asr.decode.search import DecodeConfig
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import FeatureConfig, Features, collate_features
from echo_asr.features.voice import Standard
from echo_asr.model.checkpoint import Bundle
from echo_asr.model.echo import Echo
from echo_asr.pretrained import build
from echo_asr.research.diagnose.counterfactuals import UNCHANGED, Outcome, changes, compare, counterfactuals, outcome
from echo_asr.research.f0_controls import F0Control
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.train.config import TrainConfig
from echo_asr.train.optimizer import make_optimizer
from tests.helpers.encoders import WIDTH

Make = Callable[..., Any]
IDS = [(1, 2, 2, 3), (4, 5), (), (6, 1)]
TEXTS = ["abbc", "de", "", "fa"]


@pytest.fixture
def clips(make_features: Make) -> list[Features]:
    return [make_features(frames, seed) for frames, seed in ((40, 0), (29, 1), (22, 2), (31, 3))]


def recognizer(model: Any) -> Recognizer:
    tokenizer = Tokenizer.train(["abcdef"])
    return Recognizer(
        Bundle(model, tokenizer, FeatureConfig(mels=8, tracker="autocorrelation")), DecodeConfig(max_tokens=4)
    )


@pytest.mark.parametrize("options", [{}, {"combine": "joint", "ctc_weight": 0.7}, {"vrope": {"theta": "axis"}}])
def test_losses_are_those_of_the_model_for_each_utterance_alone(
    make_model: Make, clips: list[Features], options: dict[str, Any]
) -> None:
    model = make_model(**options)
    found = outcome(recognizer(model), clips, IDS, TEXTS)
    for clip, ids, value in zip(clips, IDS, found.loss, strict=True):
        batch = collate([clip], [ids])
        with torch.no_grad():
            expected = model.loss(batch.features, batch.tokens, batch.lengths).total
        assert value == pytest.approx(float(expected), rel=1e-4)
    assert found.words.tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize("options", [{"stop": "silence", "end_in_loss": False}, {"stop": "both"}])
def test_losses_of_models_that_stop_by_silence_are_finite(
    make_model: Make, clips: list[Features], options: dict[str, Any]
) -> None:
    assert np.isfinite(outcome(recognizer(make_model(**options)), clips, IDS, TEXTS).loss).all()


def test_the_same_twice_is_no_change_and_a_shift_is_itself() -> None:
    draw = np.random.default_rng(1)
    before = Outcome(draw.random(20), draw.integers(0, 3, 20), np.full(20, 4))
    row = compare(before, before)
    assert set(row.values()) == {0.0}
    row = compare(before, Outcome(before.loss + 0.5, before.errors + 1, before.words))
    assert [row[f"loss_{end}"] for end in ("change", "low", "high")] == pytest.approx([0.5] * 3)
    assert [row[f"error_{end}"] for end in ("change", "low", "high")] == pytest.approx([25.0] * 3)


def test_intervals_are_paired() -> None:
    """Utterances that differ much in loss, and a change that differs little: the interval is that of the change."""
    draw = np.random.default_rng(2)
    loss = draw.normal(0.0, 100.0, 50)
    change = draw.normal(0.3, 0.1, 50)
    zeros = np.zeros(50, dtype=int)
    row = compare(Outcome(loss, zeros, zeros + 1), Outcome(loss + change, zeros, zeros + 1))
    spread = 1.96 * change.std() / 50**0.5
    assert row["loss_low"] == pytest.approx(change.mean() - spread, abs=0.01)
    assert row["loss_high"] == pytest.approx(change.mean() + spread, abs=0.01)


def test_everything_is_asked_that_can_matter(make_model: Make, clips: list[Features]) -> None:
    model = make_model(vrope={"bias": "quadratic"}, gate="token")
    names = [name for name, *_ in changes(model, clips)]
    assert len(names) == 3 * 8 + 3 and len(set(names)) == len(names)
    assert {
        "F0 removed, input",
        "F0 -7 semitones, both",
        "gates opened",
        "silence masked",
        "start token hidden",
    } <= set(names)
    plain = make_model(features=("spectrogram",), vrope={"nulls": "hard"}, cross_nulls="hard", text_nulls="hard")
    assert changes(plain, clips) == []
    group = counterfactuals(recognizer(plain), clips, IDS, TEXTS)
    assert list(group.rows) == [UNCHANGED]
    for said in ("neither as input nor as position", "no gates", "silence is masked", "start token is hidden"):
        assert said in group.remark


def test_one_utterance_and_one_without_voice(make_model: Make, clips: list[Features]) -> None:
    told: list[str] = []
    group = counterfactuals(
        recognizer(make_model(cross_nulls="hard", vrope={"nulls": "hard"})),
        clips[:1],
        IDS[:1],
        TEXTS[:1],
        lambda n, name: told.append(name),
    )
    assert "fewer than two utterances" in group.remark and not any("between" in name for name in group.rows)
    assert told == list(group.rows)[1:]
    for name in told:
        row = group.rows[name]
        assert row["loss_low"] == pytest.approx(row["loss_change"]) == pytest.approx(row["loss_high"])


def test_a_model_that_lives_by_pitch_is_found_out(make_model: Make, clips: list[Features]) -> None:
    """The encoder of pitch is all that this model hears; transposing changes what it hears, unless its pitch is
    relative to each utterance's own."""
    options = {"features": ("pitch",), "ctc_feature": "pitch"}
    fixed = counterfactuals(recognizer(make_model(**options)), clips, IDS, TEXTS).rows
    assert fixed["F0 +7 semitones, input"]["loss_change"] != 0.0
    own = make_model(**options, vrope={"reference": "utterance"})
    relative = counterfactuals(recognizer(own), clips, IDS, TEXTS).rows
    assert relative["F0 +7 semitones, input"]["loss_change"] == pytest.approx(0.0, abs=1e-4)
    assert abs(float(relative["F0 constant, input"]["loss_change"])) > 1e-3


def test_pitch_adapters_act_on_f0_once_they_are_trained(
    encoder: Path, make_config: Make, clips: list[Features]
) -> None:
    """Pitch is an input of Echo's layers, too, which the F0 that the adapters read does not reach."""
    config = make_config(features=("states",), ctc_feature="states", adapters=True, pitch_input=True)
    model = Echo(config, 7, 8, 2 * WIDTH, build(encoder), (2, 4)).eval()
    assert model.pretrained is not None
    batch = collate(clips, IDS)
    donors = F0Control("shuffled", [clip.track for clip in clips])
    for trained in (False, True):
        rows = counterfactuals(recognizer(model), clips, IDS, TEXTS).rows
        assert {"F0 shuffled between, input", "F0 shuffled between, both"} <= set(rows)
        assert float(rows["F0 shuffled between, input"]["loss_change"]) != 0.0
        for name in ("F0 shuffled between, position", "F0 shuffled within, position", "F0 +7 semitones, position"):
            assert (float(rows[name]["loss_change"]) != 0.0) == trained, name
        with torch.no_grad():
            as_it_is, shuffled = (
                model.pretrained(collate_features(each), Standard(model.states_mean, model.states_deviation))
                for each in (clips, [donors(clip) for clip in clips])
            )
        assert torch.equal(as_it_is, shuffled) != trained
        model.loss(batch.features, batch.tokens, batch.lengths).total.backward()
        make_optimizer(model, TrainConfig(learning_rate=0.1)).step()
