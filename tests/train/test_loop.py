import json
import math
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echo_asr.config import build_sections
from echo_asr.data.batch import make_examples
from echo_asr.data.cache import FeatureCache
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.results import Segment
from echo_asr.decode.search import DecodeConfig
from echo_asr.features import FeatureExtractor
from echo_asr.model.checkpoint import Bundle, load_bundle
from echo_asr.model.echo import Echo
from echo_asr.text import Tokenizer, normalize_basic
from echo_asr.train.config import TrainConfig
from echo_asr.train.data import TrainingData
from echo_asr.train.loop import (
    PLATEAU_VALIDATIONS,
    SECTIONS,
    Interrupted,
    Trainer,
    Validation,
    grow_vocabulary,
    learning_rate,
    make_optimizer,
)
from echo_asr.train.report import Reporter

from .conftest import CONFIG, metrics, same


@pytest.fixture
def make_trainer(corpus: Path, tmp_path: Path) -> Callable[..., Trainer]:
    """`(**options of TrainConfig)`: a trainer of a narrow model in a folder of its own."""

    def make(folder: str = "run", **options: Any) -> Trainer:
        sections = build_sections({**CONFIG, "train": {**CONFIG["train"], **options}}, SECTIONS)
        rows = load_corpus(corpus)
        tokenizer = Tokenizer.train([u.text for u in rows.utterances])
        cache = FeatureCache(None, FeatureExtractor(sections["features"]))
        data = TrainingData(rows, tokenizer, normalize_basic, sections["train"], 4, cache)
        validation = make_examples(rows.split("validation"), tokenizer, normalize_basic)
        torch.manual_seed(0)
        model = Echo(sections["model"], tokenizer.vocabulary_size, sections["features"].mels)
        bundle = Bundle(model, tokenizer, sections["features"], sections["text"])
        run = tmp_path / folder
        bundle.save(run)
        return Trainer(bundle, data, validation, sections["train"], run, Reporter(run, tensorboard=False))

    return make


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
    """Each token weighs the same, however texts are spread over batches; so the gradient is that of all at once."""
    options = {"speeds": [1.0], "noise_share": 0.0, "label_smoothing": 0.0,
               "augment": {"frequency_masks": 0, "time_masks": 0}}  # fmt: skip
    taken = []
    for accumulate in (1, 2):
        trainer = make_trainer(f"run{accumulate}", accumulate=accumulate, **options)
        for module in trainer.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        trainer.model.config = replace(trainer.model.config, ctc_weight=1e-9)
        whole = list(range(12))
        parts = [whole] if accumulate == 1 else [whole[:3], whole[3:]]
        batches = iter([(0, number, trainer.data.batch(0, part)) for number, part in enumerate(parts)])
        gradients: dict[str, torch.Tensor] = {}
        trainer.optimizer.register_step_pre_hook(
            lambda *_, model=trainer.model, kept=gradients: kept.update(
                {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
            )
        )
        trainer.model.train()
        measured = trainer._update(batches)
        taken.append((measured["loss"], gradients))
        assert trainer.progress.batch == len(parts)
    assert taken[0][0] == pytest.approx(taken[1][0], rel=1e-5)
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
    assert capsys.readouterr().err.count("the gradient is not finite; the update was left out") == 2


def test_metrics_have_every_figure_of_every_update(undisturbed: Path) -> None:
    found = metrics(undisturbed)
    updates = [line for line in found if line["split"] == "train"]
    assert [line["update"] for line in updates] == [1, 2, 3, 4, 5, 6]
    for step, line in enumerate(updates):
        assert set(line) == {
            "split", "update", "loss", "attention_loss", "ctc_loss", "blank_ratio", "learning_rate",
            "gradient_norm", "epoch",
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
    seconds = [json.loads(line)["seconds"] for line in raw if '"train"' in line]
    assert seconds == sorted(seconds) and seconds[0] > 0


def test_the_last_update_is_always_told_validated_and_kept(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(max_steps=5, log_every=2, validate_every=3, checkpoint_every=4)
    trainer.train()
    found = metrics(trainer.run)
    assert [line["update"] for line in found if line["split"] == "train"] == [2, 4, 5]
    assert [line["update"] for line in found if line["split"] == "validation"] == [3, 5]
    assert torch.load(trainer.run / "checkpoints/last.pt", weights_only=True)["progress"]["step"] == 5


def test_validation_is_free_running(make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch) -> None:
    """While texts are searched for, the decoder is fed its own choices, one at a time, and never a reference."""
    trainer = make_trainer()
    model, fed, wanted = trainer.model, [], []
    decode, recognize = model.decode, trainer.recognizer.recognize

    def spied(tokens: torch.Tensor, state: Any) -> torch.Tensor:
        assert tokens.shape[1] == 1
        if fed:
            own = iter(wanted[-1].flatten().tolist())
            assert all(token in own for token in tokens.flatten().tolist()), "its own, those that ended left out"
            assert bool(tokens.all())
        else:
            assert not tokens.any(), "it begins with token 0"
        logits = decode(tokens, state)
        fed.append(tokens)
        wanted.append(logits.argmax(-1))
        return logits

    def searched(features: Any) -> list[Segment]:
        monkeypatch.setattr(model, "decode", spied)
        try:
            return recognize(features)
        finally:
            monkeypatch.setattr(model, "decode", decode)

    monkeypatch.setattr(trainer.recognizer, "recognize", searched)
    trainer.recognizer.decode = replace(trainer.recognizer.decode, repetition=0)  # which would refuse some of its own
    trainer.validate()
    assert len(fed) > 1


def test_other_references_change_no_hypothesis(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(max_steps=40, batch_seconds=12, speeds=[1.0], validate_every=40)
    trainer.train()
    honest = trainer.validate()
    trainer.validation = [replace(e, text="b", tokens=(2,)) for e in trainer.validation]
    misled = trainer.validate()
    assert [h for _, h in misled.samples] == [h for _, h in honest.samples] != ["", "", ""]
    assert [r for r, _ in misled.samples] == ["b"] * 3
    assert misled.loss > honest.loss, "the loss alone, which is teacher-forced, tells them apart"


def test_a_decoder_that_writes_rubbish_is_found_out(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer()
    heard = ["a", "x", "", "b a c"]
    monkeypatch.setattr(trainer.recognizer, "recognize", lambda features: [Segment(0, 1, text) for text in heard])
    found = trainer.validate()
    references = [e.text for e in trainer.validation]
    assert references == ["a", "c", "b a", "c b"]
    assert found.wer == pytest.approx(100 * (0 + 1 + 2 + 3) / 6)  # c b to b a c: one more, and two others
    assert found.samples == list(zip(references, heard, strict=True))[:3]


def test_validation_uses_the_averaged_weights_and_gives_the_others_back(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer()
    trainer.model.train()
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    random = torch.get_rng_state()
    found = trainer.validate()
    assert trainer.validate() == found, "there is no dropout"
    for value in trainer.averaged.state.values():
        value.zero_()
    assert trainer.validate().loss != pytest.approx(found.loss)
    assert same(dict(trainer.model.state_dict()), before) and trainer.model.training
    assert torch.equal(torch.get_rng_state(), random), "validating more often changes no training"


@pytest.mark.parametrize(("most", "expected"), [(1, 1), (2, 2), (3, 3), (4, 4), (300, 4)])
def test_validation_takes_at_most_so_many(most: int, expected: int, make_trainer: Callable[..., Trainer]) -> None:
    chosen = make_trainer(validation_utterances=most).validation
    assert len(chosen) == expected
    if most == 2:
        assert [e.text for e in chosen] == ["a", "b a"], "spread over the split"


def found(wer: float, blank: float = 0.5) -> Validation:
    return Validation(wer, wer, 1.0, blank, [])


def validated(trainer: Trainer, results: list[Validation], monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: Iterator[Validation] = iter(results)
    monkeypatch.setattr(trainer, "validate", lambda: next(waiting))
    for number in range(1, len(results) + 1):
        trainer.progress.step = number * trainer.config.validate_every
        trainer._validated()


def saved_at(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The updates after which the model of the run is replaced, as they come."""
    kept: list[int] = []
    save = Bundle.save_weights

    def noted(run: Path, state: dict[str, torch.Tensor], heard: tuple[str, ...] | None) -> None:
        kept.append(trainer.progress.step)
        save(run, state, heard)

    monkeypatch.setattr(Bundle, "save_weights", noted)
    return kept


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([found(50.0)] * PLATEAU_VALIDATIONS, None),
        ([found(50.0)] * (PLATEAU_VALIDATIONS + 1), "plateau: no better error in the last 4 validations"),
        ([found(50.0 + n) for n in range(PLATEAU_VALIDATIONS + 1)], "plateau: no better error"),
        ([found(50.0 - n) for n in range(PLATEAU_VALIDATIONS + 3)], None),
        ([found(4.0)] * (PLATEAU_VALIDATIONS + 3), None),  # it is good enough
        ([found(100.0, 1.0)] * (PLATEAU_VALIDATIONS - 1), None),
        ([found(100.0 - n, 1.0) for n in range(PLATEAU_VALIDATIONS)], "plateau: CTC writes nothing but blanks"),
    ],
)
def test_plateaus_are_told(
    results: list[Validation], message: str | None, make_trainer: Callable[..., Trainer],
    monkeypatch: pytest.MonkeyPatch, capsys: Any,
) -> None:  # fmt: skip
    validated(make_trainer(), results, monkeypatch)
    errors = capsys.readouterr().err
    assert ("warning: plateau" in errors) is (message is not None)
    assert message is None or message in errors


def test_the_best_average_is_what_is_kept(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer()
    kept = saved_at(trainer, monkeypatch)

    def at(wer: float, cer: float) -> Validation:
        return replace(found(wer), cer=cer)

    results = [at(50, 50), at(60, 10), at(50, 40), at(50, 40), at(49, 99), at(50, 0)]
    validated(trainer, results, monkeypatch)
    every = trainer.config.validate_every
    # Fewer wrong words count first, then characters; of equals the later one.
    assert kept == [every * number for number in (1, 3, 4, 5)]
    assert trainer.progress.best_step == 5 * every
    assert same(dict(load_bundle(trainer.run).model.state_dict()), trainer.averaged.state)


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


def test_validation_searches_as_it_is_told(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer()
    wide = Trainer(trainer.bundle, trainer.data, trainer.validation, trainer.config, trainer.run, trainer.reporter,
                   DecodeConfig(beam=3))  # fmt: skip
    assert wide.recognizer.decode.beam == 3
    assert math.isfinite(wide.validate().wer)


def test_a_feature_takes_part_from_its_update_on(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(curriculum={"pitch": 3}, max_steps=3, validate_every=1)
    assert [trainer.features_at(step) for step in (0, 2, 3, 9)] == [
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


def test_what_came_before_all_features_took_part_is_no_rival(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(curriculum={"pitch": 7}, validate_every=3)
    kept = saved_at(trainer, monkeypatch)
    validated(trainer, [found(10.0), found(20.0), found(50.0), found(60.0), found(40.0)], monkeypatch)
    assert kept == [3, 9, 15]
