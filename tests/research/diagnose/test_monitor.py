"""Looks inside while training: what they say, and that a run is the same to the bit with and without them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from echo_asr.data.batch import collate
from echo_asr.research.diagnose.monitor import CLIPS, look_inside
from echo_asr.research.diagnose.probes import probe
from echo_asr.train.loop import Trainer
from echo_asr.train.report import Reporter
from tests.helpers.tone_corpus import checkpoint, metrics, same


def test_a_run_is_the_same_with_and_without(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    without, watched = make_trainer("without"), make_trainer("watched", diagnose_every=2)
    watched.reporter = Reporter(watched.run, tensorboard=True)
    for trainer in (without, watched):
        torch.manual_seed(1)
        trainer.train()
        trainer.reporter.close()
    assert without.fingerprint == watched.fingerprint  # so a run can be resumed with looks inside, or without
    assert same(checkpoint(without.run), checkpoint(watched.run)) and metrics(without.run) == metrics(watched.run)
    events = EventAccumulator(str(watched.run / "tensorboard"))
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("inside/")]
    assert {"inside/component_statistics/q/mean", "inside/component_statistics/norm/max", "inside/loss"} <= set(tags)
    assert [event.step for event in events.Scalars("inside/loss")] == [2, 4, 6]


def test_off_it_is_never_called(make_trainer: Callable[..., Trainer]) -> None:
    def never(_: Any) -> dict[str, float]:
        raise AssertionError("looked inside")

    trainer = make_trainer(max_steps=1)
    trainer.monitor = never
    trainer.train()


def test_figures_are_those_of_a_probe_of_validation_clips(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer()
    trainer.progress.step = 1
    found = look_inside(trainer)
    examples = trainer.validation[:CLIPS]
    batch = collate([trainer.data.features(e.utterance) for e in examples], [e.tokens for e in examples])
    seen = probe(trainer.model, batch)
    norms = [norm for name, norm in seen.gradients.items() if name.endswith(".query")]
    assert found["loss"] == pytest.approx(seen.loss)
    assert found["component_statistics/q/mean"] == pytest.approx(sum(norms) / len(norms))
    assert all(isinstance(value, float) for value in found.values())


def test_a_feature_that_the_curriculum_has_not_brought_in_is_not_looked_at(
    make_trainer: Callable[..., Trainer],
) -> None:
    trainer = make_trainer(curriculum={"pitch": 4})
    trainer.progress.step = 1
    assert not any("encoders.pitch" in name for name in look_inside(trainer))
