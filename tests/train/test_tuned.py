"""Training with a pretrained encoder in the model."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.model.checkpoint import load_bundle
from echo_asr.train.config import TrainConfig
from echo_asr.train.optimizer import learning_rate, make_optimizer, set_rates
from echo_asr.train.recipe import read_config
from tests.helpers.encoders import whisper
from tests.helpers.killed import start, updates, wait_until
from tests.helpers.launched import Launched
from tests.helpers.slow import slow
from tests.helpers.tone_corpus import assert_same_run, checkpoint, same, tone, write_config
from tests.helpers.training import train, train_until_crash

MODEL = {"features": ["states"], "ctc_feature": "states", "states_layers": 1, "lora_rank": 2, "tuned_layers": 1}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def settings(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of 6 updates that reads two layers of a tiny Whisper from the cache."""
    path = tmp_path_factory.mktemp("settings") / "config.yaml"
    return write_config(path, features={"states": str(encoder), "encoder_layers": [2, 3]}, model=MODEL)


@pytest.fixture(scope="module")
def cached(settings: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on cached states. Read it only."""
    run = tmp_path_factory.mktemp("cached") / "run"
    train(settings, str(corpus), run)
    return run


def words(tune: str, **options: Any) -> list[str]:
    """Words of a command line."""
    options = {"model.tune": tune, **{name.replace("__", "."): value for name, value in options.items()}}
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def pretrained(run: Path) -> dict[str, torch.Tensor]:
    """What a run's checkpoint holds of the encoder."""
    return {name: value for name, value in checkpoint(run)["model"].items() if name.startswith("pretrained.")}


@pytest.mark.parametrize(("tune", "adapters"), [("lora", "true"), ("top", "false"), slow("none", "true")])
def test_a_run_is_resumed_to_the_bit(tune: str, adapters: str, settings: Path, corpus: Path, tmp_path: Path) -> None:
    """Stopped while the encoder is still frozen and again afterwards, with the model looked into on the way."""
    options = {"train__frozen_updates": 2, "train__layer_decay": 0.5, "train__checkpoint_every": 1}
    changed = words(tune, model__adapters=adapters, **options)
    train(settings, str(corpus), tmp_path / "expected", changed)
    for update in (2, 5):
        train_until_crash(update, settings, str(corpus), tmp_path / "run", changed, resume=update > 2)
    train(settings, str(corpus), tmp_path / "run", changed, resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "expected")
    held = checkpoint(tmp_path / "run")["optimizer"]["state"]
    assert {int(one["step"]) for one in held.values()} == {6, 4}, "of Echo's own parameters, and of the encoder's"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tune", "adapters"), [("none", "false"), ("none", "true"), ("lora", "true")], ids=["cached", "frozen", "lora"]
)
def test_a_process_that_was_killed_is_resumed_to_the_bit(
    tune: str, adapters: str, settings: Path, corpus: Path, tmp_path: Path
) -> None:
    options = {"train__max_steps": 24, "train__validate_every": 8, "train__checkpoint_every": 3}
    changed = words(tune, model__adapters=adapters, train__encoder_rate=1.0, **options)
    expected, run = tmp_path / "expected", tmp_path / "run"
    train(settings, str(corpus), expected, changed)
    process = start(settings, corpus, run, *changed)
    wait_until(lambda: updates(run) >= 7, process, seconds=240.0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and 7 <= updates(run) < 24
    assert train(settings, str(corpus), run, changed, resume=True).step == 24
    assert_same_run(run, expected)
    for state in (checkpoint(run)["model"], load_bundle(run).model.state_dict()):  # the last, and averaged weights
        learnt = [name for name, value in state.items() if ".pitch_" in name and value.any()]
        assert len(learnt) == (7 if adapters == "true" else 0)


def test_a_tuned_model_is_used_as_any_other(settings: Path, corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    changed = words("lora", model__adapters="true", train__encoder_rate=1.0, train__diagnose_every=3)
    train(settings, str(corpus), run, changed)
    bundle = load_bundle(run)
    assert bundle.features.states_in == "model" and bundle.features.waveform
    moved = [name for name, value in pretrained(run).items() if ".lora_B." in name and value.any()]
    assert len(moved) == 18, "each of six linear maps of three layers has learnt"
    found = Recognizer(bundle).transcribe([tone("a b"), tone("c")])
    alone = [Recognizer(bundle).transcribe(tone(text)) for text in ("a b", "c")]
    assert [one.text for one in found] == [one.text for one in alone]
    assert [word.word for word in Recognizer(bundle).align(tone("a b"), "a b").words] == ["a", "b"]


def test_a_tuned_model_starts_from_one_of_cached_states(
    cached: Path, settings: Path, corpus: Path, tmp_path: Path
) -> None:
    changed = words("lora", model__adapters="true")
    train_until_crash(1, settings, str(corpus), tmp_path / "run", changed, init=cached)
    before, now = load_bundle(cached), load_bundle(tmp_path / "run")  # as it was before the first update
    state = now.model.state_dict()
    assert same(dict(before.model.state_dict()), {name: state[name] for name in before.model.state_dict()})
    new = [value for name, value in state.items() if ".lora_B." in name or ".pitch_" in name]
    assert len(new) == 18 + 7 and not any(value.any() for value in new)
    texts = ("a", "c b", "b a", "a b")
    old, new = (Recognizer(one).transcribe([tone(text) for text in texts]) for one in (before, now))
    assert [one.text for one in new] == [one.text for one in old]


def test_a_tuned_model_starts_from_a_tuned_one(settings: Path, corpus: Path, tmp_path: Path) -> None:
    train(settings, str(corpus), tmp_path / "first", words("top", train__encoder_rate=1.0))
    more = words("top", model__tuned_layers=2, train__frozen_updates=6)
    train(settings, str(corpus), tmp_path / "second", more, init=tmp_path / "first")
    kept, state = load_bundle(tmp_path / "first").model.state_dict(), pretrained(tmp_path / "second")
    own = {name: value for name, value in kept.items() if name.startswith("pretrained.")}
    assert len(own) == 15 and len(state) == 30 and same(own, {name: state[name] for name in own})
    for tune in ("lora", "none"):
        with pytest.raises(EchoError, match=r"--init .*first: its pretrained encoder was tuned \(top\), and"):
            train(settings, str(corpus), tmp_path / "third", words(tune), init=tmp_path / "first")
    assert not (tmp_path / "third").exists()


def test_adapters_go_on_in_the_model_that_is_started_from_theirs(settings: Path, corpus: Path, tmp_path: Path) -> None:
    train(settings, str(corpus), tmp_path / "first", words("none", model__adapters="true"))
    with pytest.raises(EchoError, match=r"was tuned \(none, with pitch adapters\), and .* lora_rank and adapters as"):
        train(settings, str(corpus), tmp_path / "second", words("lora"), init=tmp_path / "first")
    changed = words("lora", model__adapters="true")
    train_until_crash(1, settings, str(corpus), tmp_path / "second", changed, init=tmp_path / "first")
    kept, state = (load_bundle(tmp_path / name).model.state_dict() for name in ("first", "second"))
    own = {name: value for name, value in kept.items() if name.startswith("pretrained.")}
    assert len(own) == 7 and same(own, {name: state[name] for name in own})


def test_layers_have_rates_of_their_own(settings: Path, corpus: Path, tmp_path: Path) -> None:
    changed = words("all", model__adapters="true", train__max_steps=1, train__warmup_steps=0)
    train(settings, str(corpus), tmp_path / "run", changed)
    model = load_bundle(tmp_path / "run").model
    config = TrainConfig(encoder_rate=0.1, layer_decay=0.5, warmup_steps=4, frozen_updates=10)
    optimizer = make_optimizer(model, config)
    found = [set_rates(optimizer, config, step) for step in (9, 10, 13)]
    assert found == [learning_rate(config, step) for step in (9, 10, 13)]
    rates = {id(p): group["lr"] / found[-1] for group in optimizer.param_groups for p in group["params"]}
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(rates) == len(trained)
    for name, parameter in trained.items():
        part = name.split("network.layers.")
        of_layer = len(part) > 1 and ".pitch_" not in name
        expected = {"0": 0.025, "1": 0.05, "2": 0.1}[part[1].split(".")[0]] if of_layer else 1.0
        assert rates[id(parameter)] == pytest.approx(expected), name
        assert (decay[id(parameter)] > 0) == (parameter.ndim >= 2), name
    for step, share in ((9, 0.0), (10, 0.25)):  # the encoder has a warm-up of its own after the frozen start
        rate = set_rates(optimizer, config, step)
        assert optimizer.param_groups[-1]["lr"] == pytest.approx(0.025 * share * rate)
        adapters = next(group for group in optimizer.param_groups if group.get("factor") == 1.0)
        assert adapters["lr"] == pytest.approx(share * rate)


def test_states_of_the_encoder_are_computed_in_the_model_where_it_is_trained(settings: Path) -> None:
    for tune, place in (("none", "cache"), ("lora", "model"), ("top", "model"), ("all", "model")):
        features = read_config(settings, {"model.tune": tune})["features"]
        assert (features.states_in, features.waveform) == (place, place == "model")
    assert read_config(settings, {"model.adapters": True})["features"].states_in == "model"
    assert read_config(settings, {"features.states_in": "model"})["features"].waveform


def test_a_frozen_encoder_in_the_model_learns_as_from_the_cache(
    cached: Path, settings: Path, corpus: Path, tmp_path: Path
) -> None:
    """But for the half precision of cached states."""
    train(settings, str(corpus), tmp_path / "run", words("none", features__states_in="model"))
    expected, found = (load_bundle(run).model.state_dict() for run in (cached, tmp_path / "run"))
    assert expected.keys() == found.keys()
    for name in ("states_mean", "states_deviation"):
        assert torch.allclose(found[name], expected[name], atol=1e-3)
    assert torch.allclose(found["ctc_head.weight"], expected["ctc_head.weight"], atol=0.01)


def test_less_memory_changes_nothing(settings: Path, corpus: Path, tmp_path: Path) -> None:
    for name in ("false", "true"):
        train(
            settings,
            str(corpus),
            tmp_path / name,
            words("lora", model__adapters="true", train__gradient_checkpointing=name),
        )
    assert same(checkpoint(tmp_path / "true")["model"], checkpoint(tmp_path / "false")["model"])


def test_it_is_not_divided_among_processes(
    settings: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(EchoError, match="train.shard full cannot divide a pretrained encoder within a model; set"):
        train(settings, str(corpus), tmp_path / "run", words("lora", train__shard="full"))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_make_the_updates_of_one(settings: Path, corpus: Path, tmp_path: Path) -> None:
    """The encoder is still frozen in the first of them."""
    options = {"train__frozen_updates": 2, "train__encoder_rate": 0.5, "model__dropout": 0.0}
    changed = words("lora", model__adapters="true", **options)
    alone = train(settings, str(corpus), tmp_path / "one", [*changed, "--train.accumulate", "2"])
    run = tmp_path / "two"
    with Launched(["train", settings, "--corpus", corpus, "--out", run, "--device", "cpu", *changed]) as launched:
        status, _, errors = launched.finish()
    assert status == 0 and alone.step == 6, errors
    found, expected = checkpoint(run)["model"], checkpoint(tmp_path / "one")["model"]
    assert found.keys() == expected.keys() and any(".lora_B." in name for name in found)
    for name, value in found.items():
        assert torch.allclose(value, expected[name], atol=2e-3), name
