import json
import math
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.config import build_sections
from echo_asr.model.echo import Echo
from echo_asr.train.config import TrainConfig
from echo_asr.train.initial import grow_vocabulary
from echo_asr.train.loop import Trainer
from echo_asr.train.optimizer import learning_rate, make_optimizer
from echo_asr.train.recipe import SECTIONS
from echo_asr.train.stop import Interrupted
from tests.helpers.tone_corpus import CONFIG, metrics, same

RATES = st.builds(
    TrainConfig,
    max_steps=st.integers(1, 500),
    warmup_steps=st.integers(0, 600),
    final_rate=st.floats(0.0, 1.0),
    learning_rate=st.floats(1e-5, 1.0),
)


@given(RATES)
def test_the_rate_rises_in_a_line_and_falls_along_a_cosine(config: TrainConfig) -> None:
    rates = [learning_rate(config, step) for step in range(config.max_steps + 1)]
    peak, warm = config.learning_rate, min(config.warmup_steps, config.max_steps)
    assert rates[:warm] == pytest.approx([peak * (step + 1) / config.warmup_steps for step in range(warm)])
    if warm < config.warmup_steps:
        return
    falling = rates[warm:]
    assert falling[0] == pytest.approx(peak)
    assert all(a >= b - 1e-12 for a, b in zip(falling, falling[1:], strict=False))
    assert all(config.final_rate * peak - 1e-12 <= rate <= peak + 1e-12 for rate in falling)
    if len(falling) > 1:
        assert falling[-1] == pytest.approx(config.final_rate * peak)
    if len(falling) % 2 and len(falling) > 1:
        assert falling[len(falling) // 2] == pytest.approx((1 + config.final_rate) / 2 * peak)


def test_matrices_decay_and_nothing_else(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(weight_decay=0.125)
    decayed, free = trainer.optimizer.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.125, 0.0)
    names = {id(p): name for name, p in trainer.model.named_parameters()}
    assert sorted(names) == sorted(id(p) for group in (decayed, free) for p in group["params"]), "each once"
    for parameter in free["params"]:
        name = names[id(parameter)]
        assert parameter.ndim < 2 and any(part in name for part in ("bias", "norm", "raw_", "learned_")), name
    assert {"decoder.embedding", "ctc_head.weight"} <= {names[id(p)] for p in decayed["params"]}


def test_frozen_weights_are_left_out() -> None:
    model = torch.nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    assert [len(group["params"]) for group in make_optimizer(model, TrainConfig()).param_groups] == [1, 0]


def test_two_batches_make_the_update_of_one(make_trainer: Callable[..., Trainer]) -> None:
    """Each token weighs the same, however texts are spread over batches; so the gradient is that of all at once, with
    noise, whose text is empty, among the batches and the more so if it has one to itself."""
    options = {"speeds": [1.0], "noise_share": 0.3, "label_smoothing": 0.1,
               "augment": {"frequency_masks": 0, "time_masks": 0}}  # fmt: skip
    taken = []
    for accumulate in (1, 3):
        trainer = make_trainer(f"run{accumulate}", accumulate=accumulate, **options)
        for module in trainer.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        whole = list(range(12 + 4))
        parts = [whole] if accumulate == 1 else [whole[:3], whole[3:12], whole[12:]]
        batches = iter([(0, number, trainer.data.batch(0, part)) for number, part in enumerate(parts)])
        gradients: dict[str, torch.Tensor] = {}
        trainer.optimizer.register_step_pre_hook(
            lambda *_, model=trainer.model, kept=gradients: kept.update(
                {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
            )
        )
        trainer.model.train()
        measured = trainer._update(batches)
        taken.append((measured, gradients))
        assert trainer.progress.batch == len(parts)
    for name in ("loss", "attention_loss", "ctc_loss", "blank_ratio"):
        assert taken[0][0][name] == pytest.approx(taken[1][0][name], rel=1e-5), name
    for name, gradient in taken[0][1].items():
        torch.testing.assert_close(gradient, taken[1][1][name], rtol=1e-3, atol=1e-5)


def test_the_gradient_is_clipped_and_its_norm_told(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(gradient_clip=0.01, max_steps=1)
    seen: list[float] = []
    trainer.optimizer.register_step_pre_hook(
        lambda *_: seen.append(float(torch.stack([p.grad.square().sum() for p in trainer.model.parameters()]).sum()))
    )
    trainer.train()
    assert math.sqrt(seen[0]) == pytest.approx(0.01, rel=1e-3)
    assert metrics(trainer.run)[0]["gradient_norm"] > 0.1, "as it was before"


def test_an_update_that_is_not_finite_is_left_out(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    trainer = make_trainer(max_steps=2)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    loss = trainer.model.loss
    monkeypatch.setattr(trainer.model, "loss", lambda *a: replace(found := loss(*a), total=found.total * float("nan")))
    monkeypatch.setattr(trainer, "_validated", lambda: None)
    assert trainer.train().step == 2
    assert same(dict(trainer.model.state_dict()), before)
    errors = " ".join(capsys.readouterr().err.split())
    assert errors.count("the gradient is not finite; the update was left out") == 2
    assert "2 updates were left out, since their gradient was not finite; lower train.learning_rate" in errors


def test_metrics_have_every_figure_of_every_update(undisturbed: Path) -> None:
    found = metrics(undisturbed)
    updates = [line for line in found if line["split"] == "train"]
    assert [line["update"] for line in updates] == [1, 2, 3, 4, 5, 6]
    for step, line in enumerate(updates):
        assert set(line) == {
            "split", "update", "loss", "attention_loss", "ctc_loss", "blank_ratio", "learning_rate",
            "gradient_norm", "epoch", "padding",
        }  # fmt: skip
        assert line["learning_rate"] == learning_rate(TrainConfig(**{**CONFIG["train"]}), step)
        assert line["loss"] == pytest.approx(0.7 * line["attention_loss"] + 0.3 * line["ctc_loss"], rel=1e-5)
        assert 0.0 <= line["blank_ratio"] <= 1.0
    validations = [line for line in found if line["split"] == "validation"]
    assert [line["update"] for line in validations] == [3, 6]
    for line in validations:
        assert set(line) == {"split", "update", "loss", "wer", "cer", "blank_ratio", "samples"}
        assert len(line["samples"]) == 3
        assert all(set(sample) == {"reference", "hypothesis"} for sample in line["samples"])
    raw = (undisturbed / "metrics.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in raw if '"train"' in line]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert all(line["audio_per_second"] > 0 and 0 <= line["data_wait"] < 1 for line in lines)


def test_the_last_update_is_always_told_validated_and_kept(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(max_steps=5, log_every=2, validate_every=3, checkpoint_every=4)
    trainer.train()
    found = metrics(trainer.run)
    assert [line["update"] for line in found if line["split"] == "train"] == [2, 4, 5]
    assert [line["update"] for line in found if line["split"] == "validation"] == [3, 5]
    assert torch.load(trainer.run / "checkpoints/last.pt", weights_only=True)["progress"]["step"] == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_after_the_update_with_a_checkpoint(
    number: int, make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    trainer = make_trainer(max_steps=10, checkpoint_every=100, validate_every=100)
    before = signal.getsignal(number)
    advance = trainer.reporter.advance

    def interrupting(step: int, measured: Any) -> None:
        advance(step, measured)
        if step == 3:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(trainer.reporter, "advance", interrupting)
    with pytest.raises(Interrupted):
        trainer.train()
    assert trainer.progress.step == 3
    assert torch.load(trainer.run / "checkpoints/last.pt", weights_only=True)["progress"]["step"] == 3
    assert signal.getsignal(number) is before
    assert "stopping after this update; once more to stop at once" in capsys.readouterr().err


def test_the_second_signal_stops_at_once(make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(max_steps=10, checkpoint_every=100)
    before = signal.getsignal(signal.SIGINT)

    def interrupting(step: int, measured: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second is answered at once")

    monkeypatch.setattr(trainer.reporter, "advance", interrupting)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert signal.getsignal(signal.SIGINT) is before
    assert not (trainer.run / "checkpoints").exists()


def test_a_signal_in_the_last_update_lets_the_run_end(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(max_steps=2)
    monkeypatch.setattr(
        trainer.reporter, "advance", lambda step, _: os.kill(os.getpid(), signal.SIGINT) if step == 2 else None
    )
    assert trainer.train().step == 2


def test_resuming_a_run_that_is_done_does_nothing(make_trainer: Callable[..., Trainer]) -> None:
    first = make_trainer(max_steps=2)
    first.train()
    again = make_trainer(max_steps=2)
    again.resume()
    before = (first.run / "metrics.jsonl").read_bytes()
    assert again.train().step == 2
    assert (first.run / "metrics.jsonl").read_bytes() == before


def test_new_symbols_leave_the_rows_of_the_old_ones() -> None:
    sections = build_sections(CONFIG, SECTIONS)
    small, large = (Echo(sections["model"], size, 24) for size in (4, 6))
    mapping = {0: 0, 1: 2, 2: 1, 3: 5}
    own = {name: value.clone() for name, value in large.state_dict().items()}
    grown = grow_vocabulary(small.state_dict(), mapping, large)
    large.load_state_dict(grown)
    for old, new in mapping.items():
        assert torch.equal(large.ctc_head.weight[new], small.ctc_head.weight[old])
        assert torch.equal(large.ctc_head.bias[new], small.ctc_head.bias[old])
        if old:
            assert torch.equal(large.decoder.embedding[new - 1], small.decoder.embedding[old - 1])
    for new in (3, 4):
        assert torch.equal(large.ctc_head.weight[new], own["ctc_head.weight"][new])
        assert torch.equal(large.decoder.embedding[new - 1], own["decoder.embedding"][new - 1])
    sized = ("decoder.embedding", "ctc_head.weight", "ctc_head.bias")
    assert all(torch.equal(value, grown[name]) for name, value in small.state_dict().items() if name not in sized)


def test_a_feature_takes_part_from_its_update_on(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(curriculum={"pitch": 3}, max_steps=3, validate_every=1)
    assert [trainer.curriculum.features_at(step) for step in (0, 2, 3, 9)] == [
        ("spectrogram",), ("spectrogram",), ("spectrogram", "pitch"), ("spectrogram", "pitch"),
    ]  # fmt: skip
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}

    def moved() -> set[str]:
        """Which of the encoders have learnt."""
        state = trainer.model.state_dict()
        return {
            name.split(".")[1] for name in state if name.startswith("encoders.") and not same(state[name], before[name])
        }

    trainer.train()
    assert moved() == {"spectrogram"} and trainer.recognizer.features == ("spectrogram",)
    trainer.config = replace(trainer.config, max_steps=4)
    trainer.train()
    assert moved() == {"spectrogram", "pitch"} and trainer.recognizer.features == ("spectrogram", "pitch")
