"""Several texts of a recording, and loops, which a search leaves out."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from echo_asr.decode.search import DecodeConfig, make_spell, search, search_nbest
from echo_asr.model.echo import Echo
from echo_asr.text.tokenizer import Tokenizer
from tests.helpers.plain_search import CONFIGS, RECORDINGS, Table, talkative

Make = Callable[..., Any]


# --- several texts


@pytest.mark.parametrize("bonus", [0.0, 1.0])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_best_texts_are_the_best_of_all_texts_in_order(weight: float, bonus: float) -> None:
    config = DecodeConfig(beam=40, nbest=5, ctc_weight=weight, length_bonus=bonus)
    for seed in range(6):
        table = Table(seed, (4, 2, 3))
        for row, found in enumerate(search_nbest(table, table.encoded(), config)):  # type: ignore[arg-type]
            scores = table.scores(row, config)
            best = sorted(scores, key=lambda text: -scores[text])[:5]
            assert [tuple(h.tokens) for h in found] == best
            assert [h.score for h in found] == pytest.approx([scores[text] for text in best], abs=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_how_many_texts_are_asked_for_does_not_change_the_best(name: str, make_model: Make, make_batch: Make) -> None:
    model: Echo = talkative(make_model(vocabulary=40), 0.5)
    encoded = model.encode(make_batch([60, 31, 9, 1]))
    alone = search(model, encoded, CONFIGS[name])
    config = replace(CONFIGS[name], nbest=CONFIGS[name].beam)
    for best, found in zip(alone, search_nbest(model, encoded, config), strict=True):
        assert found[0] == best
        assert 1 <= len(found) <= config.nbest
        assert len({tuple(h.tokens) for h in found}) == len(found), "all different"
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    assert [found[0] for found in search_nbest(model, encoded, CONFIGS[name])] == alone


@pytest.mark.parametrize("bonus", [0.0, 1.0])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_text_that_is_spelled_in_several_ways_comes_once(weight: float, bonus: float) -> None:
    """Token 2 is token 1 twice, as in BPE: a text is as good as its best spelling, and all texts come, best first."""
    config = DecodeConfig(beam=40, nbest=9, ctc_weight=weight, length_bonus=bonus)
    for seed in range(6):
        table = Table(seed, (4, 2, 3))
        for row, found in enumerate(search_nbest(table, table.encoded(), config, None, sum)):  # type: ignore[arg-type]
            best: dict[int, float] = {}
            for text, score in table.scores(row, config).items():
                best[sum(text)] = max(score, best.get(sum(text), -math.inf))
            texts = sorted((size for size in best if best[size] > -math.inf), key=lambda size: -best[size])
            assert [sum(h.tokens) for h in found] == texts
            assert [h.score for h in found] == pytest.approx([best[text] for text in texts], abs=1e-5)


@pytest.mark.parametrize("width", [2, 3, 4, 6])
def test_repeats_take_no_place_from_other_texts(width: int) -> None:
    """The best text is the same however many are asked for, and no fewer are found than where repeats stay."""
    more = 0
    for seed in range(12):
        table = Table(seed, (4, 2, 3))
        config = DecodeConfig(beam=width, nbest=width, ctc_weight=0.3)
        alone = search(table, table.encoded(), replace(config, nbest=1), None, sum)  # type: ignore[arg-type]
        found = search_nbest(table, table.encoded(), config, None, sum)  # type: ignore[arg-type]
        repeating = search_nbest(table, table.encoded(), config)  # type: ignore[arg-type]
        for best, texts, before in zip(alone, found, repeating, strict=True):
            sums = [sum(h.tokens) for h in texts]
            assert texts[0] == best and len(set(sums)) == len(sums)
            assert len(sums) >= len({sum(h.tokens) for h in before})
            more += len(sums) - len({sum(h.tokens) for h in before})
    assert more > 0 or width == 2


def test_words_tell_texts_apart_and_neither_tokens_nor_spaces_do() -> None:
    tokenizer = Tokenizer.train(["low lower lowest", "low low"], "bpe", 14)
    spell = make_spell(tokenizer)
    whole = tokenizer.encode("low lower")
    letters = [tokenizer.encode(letter)[0] for letter in "low lower"]
    assert whole != letters and spell(whole) == spell(letters) == spell([*letters, tokenizer.encode(" ")[0]])
    assert spell(whole) != spell(tokenizer.encode("lowlower"))


def test_there_may_be_fewer_texts_than_asked_for(make_model: Make, make_batch: Make) -> None:
    """One frame holds no text of two symbols: with CTC alone, of two symbols there are three texts."""
    model: Echo = make_model(vocabulary=3)
    config = DecodeConfig(beam=8, nbest=8, ctc_weight=1.0)
    (found,) = search_nbest(model, model.encode(make_batch([2])), config)
    assert sorted(h.tokens for h in found) == [[], [1], [2]]


# --- loops


@pytest.mark.parametrize("name", CONFIGS)
def test_no_text_repeats_more_than_it_may(name: str, make_model: Make, make_batch: Make) -> None:
    model: Echo = talkative(make_model(subsampling=2), -20.0)
    with torch.no_grad():
        model.ctc_head.bias[0] = 20.0  # nothing was spoken: what repeats itself is a loop
    encoded = model.encode(make_batch([80, 40, 61]))
    loops = 0
    for repetition in (0, 2, 3):
        for found in search(model, encoded, replace(CONFIGS[name], repetition=repetition)):
            text = found.tokens
            most = max((len(list(run)) for _, run in itertools.groupby(text)), default=0)
            if repetition:
                assert most <= repetition
                for n in range(1, 10):
                    runs = itertools.groupby(a == b for a, b in zip(text, text[n:], strict=False))
                    assert max((len(list(run)) for same, run in runs if same), default=0) <= n * (repetition - 1)
            loops += not repetition and most > 3
    assert loops or name != "greedy", "there is something to prevent"


@pytest.mark.parametrize("name", CONFIGS)
def test_a_limit_that_is_not_reached_changes_nothing(name: str, reader: Echo, make_batch: Make) -> None:
    encoded = reader.encode(make_batch(RECORDINGS))
    assert search(reader, encoded, CONFIGS[name]) == search(reader, encoded, replace(CONFIGS[name], repetition=0))
