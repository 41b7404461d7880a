"""Validation during training, and which of the models it has seen is kept."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from echo_asr.decode import recognize
from echo_asr.decode.results import Segment
from echo_asr.decode.search import DecodeConfig, Hypothesis
from echo_asr.decode.transcribe import Recognizer
from echo_asr.distributed.launch import ProcessRank
from echo_asr.distributed.processes import Processes
from echo_asr.features import Features
from echo_asr.model.calibration import Calibration
from echo_asr.model.checkpoint import Bundle, load_bundle
from echo_asr.train.loop import Trainer
from echo_asr.train.validation import PLATEAU_VALIDATIONS, Validation, _recognize
from tests.helpers.tone_corpus import same


def test_validation_is_free_running(make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch) -> None:
    """While texts are searched for, the decoder is fed its own choices, one at a time where it does not read ahead on
    the CTC path, and never a reference."""
    monkeypatch.setattr("echo_asr.decode.lookahead.ROWS", 0)
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
        assert chosen[0].text == "a" and chosen[1].text in ("b a", "c b"), "one of each half of the split"


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


def test_a_model_that_writes_one_text_for_everything_is_told_of_once(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    collapsed = replace(found(100.0), collapse="it writes nothing for all 300 recordings with speech")
    early = [collapsed] * (PLATEAU_VALIDATIONS - 1)
    validated(make_trainer("early"), [*early, found(50.0)], monkeypatch)
    assert "it writes" not in capsys.readouterr().err, "so does every model in the beginning"
    validated(make_trainer("late"), [*early, collapsed, collapsed], monkeypatch)
    errors = capsys.readouterr().err
    assert errors.count("it writes nothing for all 300 recordings with speech; it has not learnt to use the audio") == 1


@pytest.mark.parametrize("text", ["", "a"])
def test_the_model_that_is_kept_is_told_of_in_the_end(
    text: str, make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(Recognizer, "recognize", lambda self, clips, words=False: [Segment(0, 1, text) for _ in clips])
    trainer = make_trainer(max_steps=1)
    trainer.train()
    errors = " ".join(capsys.readouterr().err.split())
    wrong = "the same text, 'a'," if text else "nothing"
    assert f"warning: of the model that is kept: it writes {wrong} for all 4 recordings with speech" in errors
    assert "probabilities of words are not calibrated: none was recognised in validation" in errors
    assert load_bundle(trainer.run).calibration == Calibration()


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


def test_validation_searches_as_it_is_told(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer()
    wide = Trainer(trainer.bundle, trainer.data, trainer.validation, trainer.config, trainer.run, trainer.reporter,
                   DecodeConfig(beam=3))  # fmt: skip
    assert wide.recognizer.decode.beam == 3
    assert math.isfinite(wide.validate().wer)


def test_what_came_before_all_features_took_part_is_no_rival(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(curriculum={"pitch": 7}, validate_every=3)
    kept = saved_at(trainer, monkeypatch)
    validated(trainer, [found(10.0), found(20.0), found(50.0), found(60.0), found(40.0)], monkeypatch)
    assert kept == [3, 9, 15]


def test_what_was_best_before_noise_came_in_is_no_rival(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(noisy_copies=1, clean_start=0.5, max_steps=100, validate_every=10)
    kept = saved_at(trainer, monkeypatch)
    first = trainer.data.clean_epochs
    assert first > 3
    epochs = iter([0, first - 1, first - 1, first, first + 1, first + 2])
    monkeypatch.setattr(trainer, "validate", lambda: next(results))
    results = iter([found(9.0), found(1.0), found(2.0), found(30.0), found(31.0), found(29.0)])
    for number, epoch in enumerate(epochs, 1):
        trainer.progress.step, trainer.progress.epoch = 10 * number, epoch
        trainer._validated()
    assert kept == [10, 20, 40, 60]


def test_texts_that_the_model_will_not_write_to_their_end_are_told(
    make_trainer: Callable[..., Trainer], capsys: Any
) -> None:
    trainer = make_trainer(max_steps=1)
    trainer.recognizer.decode = DecodeConfig(max_tokens=2)
    trainer.train()
    told = " ".join(capsys.readouterr().err.split())
    assert "9 of 12 texts are longer than what the model will write, decode.max_tokens 2; raise it" in told


def test_silence_moves_no_batch_of_several_processes(
    make_trainer: Callable[..., Trainer], make_features: Callable[..., Features], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is silent, what two processes search together are the batches of one."""
    recognizer = make_trainer().recognizer
    batches: list[list[int]] = []

    def searched(model: Any, encoded: Any, *more: Any) -> list[list[Hypothesis]]:
        batches.append(encoded.lengths.tolist())
        return [[Hypothesis([1], 0.0)] for _ in encoded.lengths]

    monkeypatch.setattr(recognize, "search_nbest", searched)
    monkeypatch.setattr("echo_asr.decode.batches.BATCH_SECONDS", 6.0)
    clips = [make_features(frames, mels=24) for frames in range(40, 240, 8)]
    for index in (0, 3, 11, 17, 24):
        clips[index] = replace(clips[index], null=torch.ones_like(clips[index].null))
    found = []
    for count in (1, 2):
        batches.clear()
        texts: dict[int, str] = {}
        for rank in range(count):
            part = _recognize(recognizer, clips, Processes(ProcessRank(rank=rank, count=count)))
            assert not part.keys() & texts.keys()
            texts |= part
        assert set(texts) == {index for index, clip in enumerate(clips) if not clip.null.all()}
        found.append((sorted(batches), texts))
    assert len(found[0][0]) > 4 and found[0] == found[1]


def test_the_text_of_silence_is_empty(make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer()
    clips = trainer._validation_features()
    clips[1] = replace(clips[1], null=torch.ones_like(clips[1].null))
    monkeypatch.setattr(trainer, "_validation_features", lambda: clips)
    assert list(trainer.validate().hypotheses.values())[1] == ""
