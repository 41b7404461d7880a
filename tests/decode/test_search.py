import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import ctc_loss

from echo_asr.decode.search import (
    DecodeConfig,
    Hypothesis,
    beam,
    greedy,
    search,
    token_bounds,
)
from echo_asr.model.echo import Echo
from tests.helpers.plain_search import CONFIGS, RECORDINGS, SAID, Table, talkative
from tests.helpers.slow import slow

Make = Callable[..., Any]


@torch.inference_mode()
def next_token(model: Echo, batch: Any, text: list[int]) -> torch.Tensor:
    """Log probabilities `(L + 1, V)` of what follows each token of a text, teacher-forced, without a cache."""
    state = model.decoder.state(model.encode(batch), cached=False)
    return model.predict(torch.tensor([[0, *text]]), state)[0]


@torch.inference_mode()
def attention_score(model: Echo, batch: Any, text: list[int], end: bool = True) -> float:
    """`log p(text)` of one recording, teacher-forced, without a cache; with the end token, unless told otherwise."""
    logp = next_token(model, batch, text)
    targets = [*text, 0] if end else text
    return float(sum(logp[place, target] for place, target in enumerate(targets)))


@torch.inference_mode()
def joint_score(model: Echo, batch: Any, text: list[int], config: DecodeConfig) -> float:
    """The score of a finished text by its definition, CTC by torch's own loss."""
    score = (1 - config.ctc_weight) * attention_score(model, batch, text) + config.length_bonus * len(text)
    if config.ctc_weight:
        logp = model.ctc_log_probabilities(model.encode(batch)).double().transpose(0, 1)
        target = torch.tensor([text or [1]])
        frames, count = torch.tensor([logp.shape[0]]), torch.tensor([len(text)])
        score -= config.ctc_weight * float(ctc_loss(logp, target, frames, count, reduction="sum"))
    return score


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"beam": 0}, "decode.beam must be at least 1, got 0"),
        ({"ctc_weight": 1.1}, r"decode.ctc_weight must lie in \[0, 1\], got 1.1"),
        ({"ctc_weight": -0.1}, r"decode.ctc_weight must lie in \[0, 1\], got -0.1"),
        ({"max_tokens": 0}, "decode.max_tokens must be at least 1, got 0"),
        ({"length_bonus": float("nan")}, "decode.length_bonus must be a finite number, got nan"),
        ({"repetition": 1}, r"decode.repetition must be 0 \(no limit\) or at least 2, got 1"),
        ({"repetition": -2}, r"decode.repetition must be 0 \(no limit\) or at least 2, got -2"),
        ({"nbest": 2}, r"decode.nbest must lie in 1 to decode.beam \(1\), got 2"),
        ({"nbest": 0, "beam": 4}, r"decode.nbest must lie in 1 to decode.beam \(4\), got 0"),
        ({"lm_weight": -1.0}, "decode.lm_weight must be at least 0 and finite, got -1.0"),
        ({"hotword_bonus": float("inf")}, "decode.hotword_bonus must be at least 0 and finite, got inf"),
        ({"lm": "a.arpa"}, "decode.lm needs decode.beam of at least 2, got 1"),
        ({"hotwords": ("a",)}, "decode.hotwords needs decode.beam of at least 2, got 1"),
    ],
)
def test_settings_out_of_range_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DecodeConfig(**wrong)


# --- greedy


def test_greedy_is_the_argmax_loop_without_a_cache(
    options: dict[str, Any], make_model: Make, make_batch: Make, cut: Make
) -> None:
    model: Echo = talkative(make_model(**options))
    batch = make_batch()
    found = search(model, model.encode(batch), DecodeConfig(repetition=0))
    for row, hypothesis in enumerate(found):
        alone = cut(batch, row)
        frames = int(model.encode(alone).lengths[0])
        text: list[int] = []
        while len(text) < frames:
            token = int(next_token(model, alone, text)[-1].argmax())
            if token == 0:
                break
            text.append(token)
        assert hypothesis.tokens == text
        score = attention_score(model, alone, text, end=len(text) < frames)
        assert hypothesis.score == pytest.approx(score, abs=1e-3)


# --- beam


@pytest.mark.parametrize("bonus", [0.0, -0.5])
@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("seed", [0, slow(1)])
def test_a_beam_as_wide_as_all_texts_finds_the_best_of_them(
    seed: int, weight: float, bonus: float, make_model: Make, make_batch: Make, cut: Make
) -> None:
    """Texts of two symbols, and recordings of four, two and three encoder frames: 31, 7 and 15 of them."""
    model: Echo = talkative(make_model(seed=seed, vocabulary=3, ctc_weight=0.3), 0.3 * seed)
    batch = make_batch([16, 7, 11], seed=seed)
    config = DecodeConfig(beam=40, ctc_weight=weight, length_bonus=bonus)
    for row, (found, bound) in enumerate(zip(search(model, model.encode(batch), config), (4, 2, 3), strict=True)):
        alone = cut(batch, row)
        scores = {
            text: joint_score(model, alone, list(text), config)
            for length in range(bound + 1)
            for text in itertools.product((1, 2), repeat=length)
        }
        best = max(scores, key=lambda text: scores[text])
        assert found.tokens == list(best)
        assert found.score == pytest.approx(scores[best], abs=1e-4)


@pytest.mark.parametrize("bonus", [0.0, 0.5, 1.5, -1.0])
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_no_beam_stops_before_the_best_text(weight: float, bonus: float) -> None:
    """Alone, as each recording ends its search by itself, and in a batch."""
    config = DecodeConfig(beam=40, ctc_weight=weight, length_bonus=bonus)
    for seed in range(8):
        alone, batch = Table(seed, (4,)), Table(seed, (4, 2, 3))
        for table in (alone, batch):
            for row, found in enumerate(search(table, table.encoded(), config)):  # type: ignore[arg-type]
                scores = table.scores(row, config)
                best = max(scores, key=lambda text: scores[text])
                assert (tuple(found.tokens), found.score) == (best, pytest.approx(scores[best], abs=1e-5))


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_one_without_ctc_is_greedy(seed: int, make_model: Make, make_batch: Make) -> None:
    model: Echo = talkative(make_model(seed=seed), 0.5)
    encoded = model.encode(make_batch(seed=seed))
    narrow = DecodeConfig(beam=1, ctc_weight=0.0)
    one, other = [best for (best,) in beam(model, encoded, narrow)], greedy(model, encoded, narrow)
    assert [h.tokens for h in one] == [h.tokens for h in other]
    for a, b, bound in zip(one, other, token_bounds(encoded, narrow).tolist(), strict=True):
        assert len(b.tokens) == bound or a.score == pytest.approx(b.score, abs=1e-4)


def test_the_number_of_places_chooses_the_search(make_model: Make, make_batch: Make) -> None:
    model: Echo = talkative(make_model(vocabulary=40), 0.5)
    encoded = model.encode(make_batch())
    assert search(model, encoded, DecodeConfig(ctc_weight=0.9)) == greedy(model, encoded, DecodeConfig())
    wide = DecodeConfig(beam=5, ctc_weight=0.9)
    assert (
        search(model, encoded, wide) == [best for (best,) in beam(model, encoded, wide)] != greedy(model, encoded, wide)
    )


@pytest.mark.parametrize("name", [n for n in CONFIGS if n != "greedy"])
def test_the_score_of_a_beam_is_that_of_its_text(name: str, make_model: Make, make_batch: Make, cut: Make) -> None:
    """However the places were reordered on the way, caches and prefix scores included."""
    model: Echo = talkative(make_model(vocabulary=40, cross_layers=2, decoder_layers=2))
    batch = make_batch([60, 31, 44])
    for row, found in enumerate(search(model, model.encode(batch), CONFIGS[name])):
        expected = joint_score(model, cut(batch, row), found.tokens, CONFIGS[name])
        assert found.score == pytest.approx(expected, abs=1e-3)


def test_a_wide_beam_finds_better_texts_than_a_narrow_one(make_model: Make, make_batch: Make) -> None:
    totals = []
    for width in (1, 4, 32):
        config, total = DecodeConfig(beam=width, ctc_weight=0.4), 0.0
        for seed in range(3):
            model: Echo = talkative(make_model(seed=seed))
            total += sum(best.score for (best,) in beam(model, model.encode(make_batch(seed=seed)), config))
        totals.append(total)
    assert totals == sorted(totals) and totals[-1] > totals[0] + 0.1


def test_a_length_bonus_makes_texts_longer_and_a_malus_shorter(make_model: Make, make_batch: Make) -> None:
    model: Echo = talkative(make_model(), 0.7)
    encoded = model.encode(make_batch())
    lengths = [
        sum(len(h.tokens) for h in search(model, encoded, DecodeConfig(beam=4, length_bonus=bonus)))
        for bonus in (-4.0, -1.0, 0.0, 1.0, 4.0)
    ]
    assert lengths == sorted(lengths) and lengths[0] < lengths[2] < lengths[-1]


# --- batches, bounds


@pytest.mark.parametrize("name", CONFIGS)
def test_a_text_does_not_depend_on_the_rest_of_the_batch(name: str, reader: Echo, make_batch: Make, cut: Make) -> None:
    batch = make_batch(RECORDINGS)
    together = search(reader, reader.encode(batch), CONFIGS[name])
    backwards = search(reader, reader.encode(make_batch(RECORDINGS[::-1])), CONFIGS[name])[::-1]
    assert len({tuple(h.tokens) for h in together}) > 3, "there is something to tell apart"
    for row, hypothesis in enumerate(together):
        (alone,) = search(reader, reader.encode(cut(batch, row)), CONFIGS[name])
        assert hypothesis.tokens == alone.tokens == backwards[row].tokens
        assert hypothesis.score == pytest.approx(alone.score, abs=1e-3)
        assert hypothesis.score == pytest.approx(backwards[row].score, abs=1e-3)


def test_nor_does_a_beams_text_for_any_option(
    options: dict[str, Any], make_model: Make, make_batch: Make, cut: Make
) -> None:
    model: Echo = talkative(make_model(**options), 0.5)
    batch = make_batch([23, 9, 40])
    for row, hypothesis in enumerate(search(model, model.encode(batch), CONFIGS["beam"])):
        (alone,) = search(model, model.encode(cut(batch, row)), CONFIGS["beam"])
        assert hypothesis.tokens == alone.tokens
        assert hypothesis.score == pytest.approx(alone.score, abs=1e-3)


@pytest.mark.parametrize("name", ["greedy", "beam", "attention alone", "ctc alone"])
def test_what_was_learnt_is_read(name: str, reader: Echo, make_batch: Make) -> None:
    found = search(reader, reader.encode(make_batch(RECORDINGS)), CONFIGS[name])
    assert [h.tokens for h in found] == SAID


def test_bounds_are_the_encoder_frames_and_max_tokens(make_model: Make, make_batch: Make) -> None:
    model: Echo = make_model()
    encoded = model.encode(make_batch([1, 8, 9, 40]))
    assert token_bounds(encoded, DecodeConfig()).tolist() == [1, 2, 3, 10]
    assert token_bounds(encoded, DecodeConfig(max_tokens=3)).tolist() == [1, 2, 3, 3]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("limit", [448, 4])
def test_a_model_that_never_ends_is_stopped_at_the_bound(
    limit: int, name: str, make_model: Make, make_batch: Make
) -> None:
    model: Echo = talkative(make_model(), -1e4)
    with torch.no_grad():
        model.ctc_head.bias[0] = -20.0  # nor does its CTC know silence
    encoded = model.encode(make_batch())
    config = replace(CONFIGS[name], max_tokens=limit)
    bounds = token_bounds(encoded, config).tolist()
    lengths = [len(h.tokens) for h in search(model, encoded, config)]
    if name in ("greedy", "attention alone", "bonus", "malus"):
        assert lengths == bounds
    assert all(length <= bound for length, bound in zip(lengths, bounds, strict=True))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("seed", "scale"), [(0, 1.0), (1, 1e2), (2, 1e5)])
def test_bounds_hold_and_scores_are_numbers_for_adversarial_models(
    seed: int, scale: float, name: str, make_model: Make, make_batch: Make
) -> None:
    model: Echo = make_model(seed=seed)
    with torch.no_grad():
        for parameter in (model.decoder.embedding, model.decoder.end_vector, model.ctc_head.weight):
            parameter.mul_(scale)
    encoded = model.encode(make_batch(seed=seed))
    found = search(model, encoded, CONFIGS[name])
    for hypothesis, bound in zip(found, token_bounds(encoded, CONFIGS[name]).tolist(), strict=True):
        assert len(hypothesis.tokens) <= bound
        assert all(1 <= token < 7 for token in hypothesis.tokens)
        assert hypothesis.score == hypothesis.score and abs(hypothesis.score) < float("inf")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_that_hears_nothing_says_nothing(name: str, make_model: Make, make_batch: Make) -> None:
    model: Echo = talkative(make_model(), 50.0)
    with torch.no_grad():
        model.ctc_head.bias[0] = 50.0
    found = search(model, model.encode(make_batch([40, 1, 9])), CONFIGS[name])
    assert [h.tokens for h in found] == [[], [], []]
    assert all(h == Hypothesis([], pytest.approx(0.0, abs=1e-6)) for h in found)


@pytest.mark.parametrize("name", CONFIGS)
def test_searching_again_finds_the_same_and_leaves_the_model_as_it_was(
    name: str, make_model: Make, make_batch: Make
) -> None:
    model: Echo = talkative(make_model())
    before = {n: v.clone() for n, v in model.state_dict().items()}
    encoded = model.encode(make_batch())
    assert search(model, encoded, CONFIGS[name]) == search(model, encoded, CONFIGS[name])
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())
