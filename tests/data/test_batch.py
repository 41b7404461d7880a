from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.data.batch import (
    LENGTH_JITTER,
    Example,
    check_lengths,
    collate,
    ctc_frames,
    make_examples,
    plan_epoch,
)
from echo_asr.data.corpus import Utterance
from echo_asr.errors import EchoError
from echo_asr.features import Features
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.tokenizer import Tokenizer

DURATIONS = st.lists(st.floats(0.05, 30.0), min_size=0, max_size=80)  # seconds


def utterance(text: str, duration: float = 1.0, name: str = "a.wav") -> Utterance:
    return Utterance(name, Path(name), text, "", "train", duration)


def example(tokens: Sequence[int], duration: float, name: str = "a.wav") -> Example:
    return Example(utterance("", duration, name), "", tuple(tokens))


@given(DURATIONS, st.floats(0.5, 60.0), st.integers(0, 2**63 - 1), st.integers(0, 1000))
def test_an_epoch_holds_every_example_once_in_batches_that_are_not_too_long(
    durations: list[float], batch_seconds: float, seed: int, epoch: int
) -> None:
    batches = plan_epoch(durations, batch_seconds, seed, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(durations)))
    for batch in batches:
        padded = max(durations[index] for index in batch) * len(batch)
        assert len(batch) == 1 or padded <= batch_seconds
    assert batches == plan_epoch(durations, batch_seconds, seed, epoch)


@given(DURATIONS, st.floats(5.0, 60.0), st.integers(0, 100))
def test_batches_do_not_mix_lengths(durations: list[float], batch_seconds: float, seed: int) -> None:
    batches = [[durations[index] for index in batch] for batch in plan_epoch(durations, batch_seconds, seed, 0)]
    slack = (1 + LENGTH_JITTER) / (1 - LENGTH_JITTER) + 1e-9
    shortest, longest = (np.array([f(batch) for batch in batches]) for f in (min, max))
    below = longest[:, None] <= shortest * slack
    assert (below | below.T | np.eye(len(batches), dtype=bool)).all()


def test_little_is_padded() -> None:
    durations = np.random.default_rng(0).gamma(4.0, 1.0, 2000)  # seconds, as of speech
    batches = plan_epoch(durations.tolist(), 60.0, seed=0, epoch=0)
    padded = sum(durations[batch].max() * len(batch) for batch in batches)
    assert durations.sum() / padded > 0.85
    assert durations.sum() / (60.0 * len(batches)) > 0.8, "batches are full"


def test_epochs_and_seeds_differ_in_what_is_together_and_in_the_order() -> None:
    durations = np.random.default_rng(1).uniform(1.0, 5.0, 200).tolist()
    plans = [plan_epoch(durations, 20.0, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (0, 2), (1, 0))]
    groups = [{frozenset(batch) for batch in plan} for plan in plans]
    for one in range(4):
        for other in range(one):
            assert plans[one] != plans[other]
            assert len(groups[one] & groups[other]) < len(groups[one]) / 2
    means = [np.mean([durations[index] for index in batch]) for batch in plans[0]]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5, "short batches do not all come first"


@pytest.mark.parametrize("tokens", [[(1, 2, 3), (), (4,)], [()], [(5,) * 9]])
def test_texts_are_padded_with_zeros(tokens: list[tuple[int, ...]], make_features: Callable[..., Features]) -> None:
    batch = collate([make_features(9 + row, row) for row in range(len(tokens))], tokens)
    assert batch.tokens.dtype == torch.int64 and batch.tokens.shape[1] >= 1
    assert batch.lengths.tolist() == [len(ids) for ids in tokens]
    for row, ids in zip(batch.tokens.tolist(), tokens, strict=True):
        assert row == [*ids, *[0] * (len(row) - len(ids))]
    assert batch.features.lengths.tolist() == [9 + row for row in range(len(tokens))]
    assert batch.to("cpu").features.spectrogram.equal(batch.features.spectrogram)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 3), max_size=6), st.integers(1, 12))
def test_the_frames_that_a_text_needs_are_those_that_ctc_needs(tokens: list[int], frames: int) -> None:
    uniform = torch.zeros(frames, 1, 4).log_softmax(-1)
    target = torch.tensor([tokens], dtype=torch.long).reshape(1, -1)
    loss = torch.nn.functional.ctc_loss(
        uniform, target, torch.tensor([frames]), torch.tensor([len(tokens)]), reduction="sum"
    )
    assert bool(loss.isfinite()) == (frames >= ctc_frames(tokens))


@pytest.mark.parametrize(
    ("tokens", "duration", "subsampling", "fastest", "fits"),
    [
        ((1, 2, 3, 4, 5), 0.2, 4, 1.0, True),
        ((1, 2, 3, 4, 5), 0.19, 4, 1.0, False),
        ((1, 2, 3, 4, 5), 0.2, 4, 1.1, False),
        ((1, 2, 3, 4, 5), 0.22, 4, 1.1, True),
        ((1, 2, 3, 4, 5), 0.1, 2, 1.0, True),
        ((1, 1, 1), 0.2, 4, 1.0, True),
        ((1, 1, 1), 0.16, 4, 1.0, False),
        ((), 0.001, 4, 1.0, True),
        ((1,), 0.001, 4, 1.0, True),
    ],
)
def test_texts_must_fit_their_frames(
    tokens: tuple[int, ...], duration: float, subsampling: int, fastest: float, fits: bool
) -> None:
    examples = [example((1,), 1.0, "fine.wav"), example(tokens, duration, "long.wav")]
    if fits:
        check_lengths(examples, subsampling, fastest)
        return
    with pytest.raises(EchoError, match=r"1 of 2 texts are too long .*first long.wav .*subsampling 2.*train.speeds"):
        check_lengths(examples, subsampling, fastest)


def test_texts_are_normalised_and_encoded() -> None:
    tokenizer = Tokenizer.train(["ab c"])
    made = make_examples([utterance("A,  B"), utterance(""), utterance("c?")], tokenizer, normalize_basic)
    assert [one.text for one in made] == ["a b", "", "c"]
    assert [tokenizer.decode(one.tokens) for one in made] == ["a b", "", "c"]
    assert all(0 not in one.tokens for one in made)


def test_an_unknown_character_is_named_with_its_recording_or_skipped() -> None:
    tokenizer = Tokenizer.train(["ab"])
    rows = [utterance("ab"), utterance("azb", name="z.wav")]
    with pytest.raises(EchoError, match=r"z\.wav: .*'z'"):
        make_examples(rows, tokenizer, normalize_basic)
    skipped = make_examples(rows, tokenizer, normalize_basic, unknown="skip")[1]
    assert skipped.text == "azb", "what it is scored against stays whole"
    assert tokenizer.decode(skipped.tokens) == "ab"
