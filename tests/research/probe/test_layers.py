"""Probes find the layer in which something is written, and compare layers fairly."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from echo_asr.data.batch import Example
from echo_asr.data.corpus import Utterance
from echo_asr.evaluate.metrics import rate_of_counts
from echo_asr.research.probe.layers import Comparison, LayerProbing, Probed, pairs_of_best
from echo_asr.research.probe.part import Part
from echo_asr.text.tokenizer import Tokenizer
from echo_asr.text.tones import ToneNotation

BASES, TONES = "mn", "12"
FRAMES, WIDTH = 8, 4  # of a syllable, and of a state


def written_part(size: int, seed: int, tokenizer: Tokenizer) -> Part:
    """Texts of two toned syllables, with noise in layers 0 and 3, bases in layer 1 and tones in layer 2."""
    random = torch.Generator().manual_seed(seed)
    examples, states = [], []
    for number in range(size):
        drawn = torch.randint(2, (2, 2), generator=random)  # (syllable, base and tone)
        text = " ".join(BASES[base] + TONES[tone] for base, tone in drawn.tolist())
        found = 0.1 * torch.randn(4, WIDTH, 2 * FRAMES, generator=random)
        for syllable, (base, tone) in enumerate(drawn.tolist()):
            start = syllable * FRAMES
            found[1, base, start + 1 : start + 4] += 1.0
            found[2, tone, start + 4 : start + 7] += 1.0
            found[1:3, 2, start] += 1.0  # a syllable begins
        utterance = Utterance(str(number), f"{number}.wav", text, "", "train", 0.02 * 2 * FRAMES)
        examples.append(Example(utterance, text, tuple(tokenizer.encode(text))))
        states.append(found.half())
    return Part(examples, states)


@pytest.fixture(scope="module")
def probing() -> LayerProbing:
    tokenizer = Tokenizer.train([f"{BASES}{TONES} "])
    part: Any = SimpleNamespace(tokenizer=tokenizer, notation=ToneNotation("digits"), layers=(0, 1, 2, 3))
    return LayerProbing(part, (written_part(24, 0, tokenizer), written_part(24, 1, tokenizer)), updates=50)


@pytest.fixture(scope="module")
def found(probing: LayerProbing) -> Comparison:
    return probing.compare()


def test_bases_and_tones_are_found_in_the_layers_that_have_them(found: Comparison) -> None:
    assert [one.layers for one in found.single] == [(0,), (1,), (2,), (3,)]
    assert found.best("base").layers == (1,)
    assert found.best("tone").layers == (2,)


def test_two_layers_are_chosen_where_each_has_what_the_other_lacks(found: Comparison) -> None:
    assert (1, 2) in [one.layers for one in found.pairs]
    assert found.chosen.layers == (1, 2)
    assert found.p < 1e-3
    assert found.chosen.character.percent < 5.0 < found.best().character.percent


def test_a_probe_is_the_same_each_time_and_leaves_random_numbers_alone(probing: LayerProbing) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, other = probing.probe((1,)), probing.probe((1,))
    assert torch.equal(torch.get_rng_state(), before)
    assert one.wrong == other.wrong


def test_without_tones_there_is_one_error_rate(probing: LayerProbing) -> None:
    part = SimpleNamespace(**{**vars(probing.part), "notation": None})
    probed = LayerProbing(cast(Any, part), (probing.training, probing.validation), updates=2).probe((1,))
    assert set(probed.rates) == set(probed.to_dict()) - {"layers", "seconds"} == {"character"}


def probed(layers: tuple[int, ...], character: int, base: int | None = None, tone: int | None = None) -> Probed:
    """With so many errors in 100 characters, bases and tones."""

    def rate(errors: int) -> Any:
        return rate_of_counts(np.array([[0, 0, errors, 100]]))

    rest = [None if errors is None else rate(errors) for errors in (base, tone)]
    return Probed(layers, rate(character), *rest, seconds=1.0, wrong=(character,))


def test_a_pair_is_chosen_only_where_it_is_surely_better() -> None:
    single, pair = [probed((0,), 9), probed((1,), 8)], [probed((0, 1), 6)]
    assert Comparison(single, pair, p=0.01).chosen is pair[0]
    assert Comparison(single, pair, p=0.3).chosen is single[1]
    assert Comparison(single, [probed((0, 1), 12)], p=0.01).chosen is single[1]


@pytest.mark.parametrize(
    ("single", "pairs"),
    [
        ([probed((0,), 9, 9, 9), probed((1,), 8, 9, 4), probed((2,), 7, 5, 6)], [(1, 2)]),
        ([probed((0,), 4, 9, 9), probed((1,), 8, 9, 4), probed((2,), 7, 5, 6)], [(0, 1), (0, 2), (1, 2)]),
        ([probed((0,), 9), probed((1,), 6), probed((2,), 5), probed((3,), 4)], [(1, 3)]),
        ([probed((layer,), 9 - layer) for layer in range(7)], [(3, 6), (4, 6)]),
        ([probed((0,), 9), probed((1,), 6)], [(0, 1)]),
    ],
    ids=("one for tones", "three", "none beside it", "default", "two layers"),
)
def test_pairs_are_of_the_best_layers(single: list[Probed], pairs: list[tuple[int, ...]]) -> None:
    assert pairs_of_best(single) == pairs
