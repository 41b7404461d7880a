"""A curriculum: features that take part from an update on, and leave no trace before it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features import FeatureBatch
from echo_asr.model.checkpoint import load_bundle
from echo_asr.model.echo import Echo
from echo_asr.train.config import TrainConfig
from echo_asr.train.loop import Trainer
from echo_asr.train.recipe import read_config
from tests.helpers.slow import slow
from tests.helpers.tone_corpus import assert_same_run, checkpoint, write_config
from tests.helpers.training import train, train_until_crash

Make = Callable[..., Any]
Texts = tuple[Tensor, Tensor]
BOTH = "model: {features: [spectrogram, pitch]}\n"
JOINS = 3  # the update from which pitch takes part, in these tests


def belongs(name: str, feature: str) -> bool:
    """Whether a parameter is there for a feature: its encoder, its stack in the decoder, its blend, its kind."""
    return re.match(rf"(encoders|decoder\.(stacks|blends|kinds))\.{feature}(\.|$)", name) is not None


def curriculum(path: Path, **sections: dict[str, Any]) -> Path:
    """A configuration that brings pitch in at JOINS of 6 updates."""
    return write_config(path, **{**sections, "train": {"curriculum": {"pitch": JOINS}, **sections.get("train", {})}})


# --- the model


@pytest.mark.parametrize("combine", ["sequential", "blend", "joint"])
@pytest.mark.parametrize("later", ["pitch", "waveform"])
def test_a_feature_that_takes_no_part_is_as_if_it_were_not_there(
    later: str, combine: str, make_model: Make, make_batch: Make, texts: Texts
) -> None:
    """Neither its sound nor its weights change the loss, and no gradient reaches them; all others learn."""
    features = ("pitch", "spectrogram", "waveform")
    model: Echo = make_model(features=features, combine=combine, waveform_layers=1, gate="token")
    batch: FeatureBatch = make_batch()
    heard = tuple(name for name in features if name != later)
    loss = model.loss(batch, *texts, features=heard)
    loss.total.backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == belongs(name, later), name
    other = {"pitch": batch.pitch + 0.1, "waveform": None}[later]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if belongs(name, later):
                parameter.add_(1.0)
        again = model.loss(replace(batch, **{later: other}), *texts, features=heard)
        everything = model.loss(batch, *texts)
    assert torch.equal(again.total, loss.total) and torch.equal(again.ctc, loss.ctc)
    assert (everything.attention - loss.attention).abs() > 0.01


@pytest.mark.parametrize("combine", ["sequential", "blend"])
def test_without_a_feature_it_is_the_model_that_has_none(
    combine: str, make_model: Make, make_batch: Make, texts: Texts
) -> None:
    both: Echo = make_model(combine=combine)
    alone: Echo = make_model(combine=combine, features=("spectrogram",), seed=1)
    alone.load_state_dict({n: value for n, value in both.state_dict().items() if not belongs(n, "pitch")})
    batch, tokens = make_batch(), torch.nn.functional.pad(texts[0], (1, 0))
    with torch.inference_mode():
        encoded = both.encode(batch, ("spectrogram",))
        assert list(encoded.states) == ["spectrogram"]
        torch.testing.assert_close(both.decode(tokens, both.decoder.state(encoded)), alone(batch, tokens))


# --- training


@pytest.mark.parametrize("combine", ["sequential", "blend", "joint"])
def test_a_feature_has_no_gradient_before_its_update_and_from_it_on_it_has(
    combine: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do weight decay, momentum or the average touch its weights before."""
    update = Trainer._update
    seen: list[tuple[set[str], bool]] = []

    def watched(self: Trainer, batches: Any) -> dict[str, float]:
        names = {id(p): name for name, p in self.model.named_parameters() if belongs(name, "pitch")}
        before = {name: value.clone() for name, value in self.model.state_dict().items() if belongs(name, "pitch")}
        average = {name: value.clone() for name, value in self.averaged.state.items() if belongs(name, "pitch")}
        learning: set[str] = set()

        def look(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            for group in optimizer.param_groups:
                live = [p for p in group["params"] if p.grad is not None and p.grad.abs().max() > 0]
                learning.update(names[id(p)] for p in live if id(p) in names)

        hook = self.optimizer.register_step_pre_hook(look)
        measured = update(self, batches)
        hook.remove()
        after, averaged = self.model.state_dict(), self.averaged.state
        still = all(torch.equal(after[n], before[n]) and torch.equal(averaged[n], average[n]) for n in before)
        momentum = any(id(p) in names for p in self.optimizer.state)
        assert still != momentum, "its weights moved when they had a gradient, and not before"
        seen.append((learning, still))
        if not still:
            assert learning == set(names.values()) and not any(torch.equal(after[n], before[n]) for n in before)
        return measured

    monkeypatch.setattr(Trainer, "_update", watched)
    model = {"combine": combine, "dropout": 0.0, "gate": "scalar"}
    train(curriculum(tmp_path / "c.yaml", model=model), str(corpus), tmp_path / "run", ["--train.max_steps", "5"])
    assert [still for _, still in seen] == [True] * JOINS + [False] * 2
    assert all(not learning for learning, still in seen if still)


def test_validation_hears_what_training_heard_and_the_run_ends_with_all(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[int, tuple[str, ...]]] = []
    validate = Trainer.validate

    def noted(self: Trainer) -> Any:
        heard.append((self.progress.step, tuple(self.recognizer.features or ())))
        return validate(self)

    monkeypatch.setattr(Trainer, "validate", noted)
    config = curriculum(tmp_path / "c.yaml", train={"validate_every": 1, "max_steps": 5})
    progress = train(config, str(corpus), tmp_path / "run")
    one, both = ("spectrogram",), ("spectrogram", "pitch")
    assert heard == [(1, one), (2, one), (3, one), (4, both), (5, both)]
    assert progress.best_step > JOINS, "what is kept has learnt to hear all that it will hear"
    assert load_bundle(tmp_path / "run").model.config.features == both


@pytest.mark.parametrize(
    ("last", "combine"),
    [(JOINS - 1, "joint"), (JOINS, "sequential"), (JOINS + 1, "sequential"),
     slow(JOINS - 1, "sequential"), slow(JOINS, "joint"), slow(JOINS + 1, "joint")],
)  # fmt: skip
def test_a_run_resumed_across_the_joining_update_is_the_undisturbed_one(
    last: int, combine: str, corpus: Path, tmp_path: Path
) -> None:
    """Stopped with the last update before pitch takes part, with the first after, or between, it goes on to the bit."""
    config = curriculum(tmp_path / "c.yaml", model={"combine": combine}, train={"checkpoint_every": 1})
    train(config, str(corpus), tmp_path / "whole")
    train_until_crash(last + 1, config, str(corpus), tmp_path / "run")
    assert checkpoint(tmp_path / "run")["progress"]["step"] == last
    assert train(config, str(corpus), tmp_path / "run", resume=True).step == 6
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_run_stopped_before_a_feature_joins_is_a_model_that_does_not_listen_to_it(
    corpus: Path, tmp_path: Path
) -> None:
    """The encoder that never learnt says nothing, also when the model is loaded elsewhere."""
    config = curriculum(tmp_path / "c.yaml", train={"validate_every": 2, "checkpoint_every": 1})
    train_until_crash(JOINS, config, str(corpus), tmp_path / "run")
    bundle = load_bundle(tmp_path / "run")
    assert bundle.trained_features == Recognizer(bundle).features == ("spectrogram",)
    bundle.save(tmp_path / "copy")
    assert load_bundle(tmp_path / "copy").trained_features == ("spectrogram",)
    train(config, str(corpus), tmp_path / "run", resume=True)
    assert load_bundle(tmp_path / "run").trained_features is None and Recognizer(bundle).features == ("spectrogram",)


def test_another_curriculum_is_not_resumed_with(corpus: Path, tmp_path: Path) -> None:
    train(curriculum(tmp_path / "c.yaml"), str(corpus), tmp_path / "run", ["--train.max_steps", "4"])
    other = curriculum(tmp_path / "other.yaml", train={"curriculum": {"pitch": 2}, "max_steps": 4})
    with pytest.raises(EchoError, match="belongs to another configuration or corpus"):
        train(other, str(corpus), tmp_path / "run", resume=True)


# --- configuration


def test_every_feature_takes_part_from_the_start_unless_it_is_named() -> None:
    assert TrainConfig().curriculum == {} and read_config(None)["train"].curriculum == {}


@pytest.mark.parametrize("updates", [0, 1, 1999])
def test_a_curriculum_is_read_from_a_file(updates: int, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"{BOTH}train: {{curriculum: {{pitch: {updates}, spectrogram: 0}}}}\n")
    assert read_config(path)["train"].curriculum == {"pitch": updates, "spectrogram": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{ptich: 9}", "^.*c.yaml: train.curriculum names 'ptich'; model.features are spectrogram, pitch$"),
        ("{waveform: 9}", "train.curriculum names 'waveform'; model.features are spectrogram, pitch$"),
        ("{spectrogram: 1}", "train.curriculum must leave spectrogram, model.ctc_feature, at update 0$"),
        ("{pitch: -1}", r"train.curriculum: updates must not be negative, got \{'pitch': -1\}"),
        (
            "{pitch: 2000}",
            "c.yaml: train.curriculum brings pitch in at update 2000, and train.max_steps is 2000; bring it in "
            "earlier, or leave it out of model.features$",
        ),
        ("{pitch: 1.5}", "c.yaml: .*train.curriculum"),
        ("{pitch: soon}", "c.yaml: .*train.curriculum"),
        ("[pitch]", "c.yaml: .*train.curriculum"),
        ("9", "c.yaml: .*train.curriculum"),
    ],
)
def test_a_curriculum_that_cannot_be_is_told_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"{BOTH}train: {{curriculum: {text}}}\n")
    with pytest.raises(EchoError, match=message) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)
