from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from echo_asr.model.config import PRESETS, ModelConfig
from echo_asr.model.echo import Echo

Make = Callable[..., Any]
# Zeros within, as after the end of a text; four rows for the four recordings of a batch.
TOKENS = torch.tensor([[0, 1, 2, 2, 3, 6], [0, 4, 5, 0, 0, 1], [0, 6, 1, 5, 2, 0], [3, 3, 3, 0, 2, 1]])


@torch.inference_mode()
def logits(model: Echo, batch: Any, tokens: Tensor) -> Tensor:
    return model(batch, tokens)


def assert_causal(model: Echo, batch: Any, tokens: Tensor, vocabulary: int) -> None:
    start = 0 if model.config.end_in_loss else 1  # without it the logit of token 0 is -inf
    before = logits(model, batch, tokens)[..., start:]
    for place in range(tokens.shape[1]):
        changed = tokens.clone()
        changed[:, place:] = (changed[:, place:] + 1 + torch.arange(tokens.shape[1] - place)) % vocabulary
        assert (changed[:, place] != tokens[:, place]).all()
        after = logits(model, batch, changed)[..., start:]
        torch.testing.assert_close(after[:, :place], before[:, :place], rtol=1e-5, atol=1e-5)
        assert ((after[:, place] - before[:, place]).abs().amax(-1) > 1e-3).all(), "the token itself counts"


def assert_cached_equals_uncached(model: Echo, batch: Any, tokens: Tensor, pieces: list[int]) -> None:
    with torch.inference_mode():
        state = model.decoder.state(model.encode(batch))
        parts = [model.decode(part, state) for part in tokens.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(parts, 1), logits(model, batch, tokens), rtol=1e-4, atol=1e-4)


def assert_batch_blind(model: Echo, batch: Any, tokens: Tensor, cut: Make) -> None:
    together = logits(model, batch, tokens)
    for row in range(len(tokens)):
        alone = logits(model, cut(batch, row), tokens[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-4)


def test_a_future_token_changes_nothing_earlier(options: dict[str, Any], make_model: Make, make_batch: Make) -> None:
    assert_causal(make_model(**options), make_batch(), TOKENS, 7)


def test_cached_decoding_equals_uncached(options: dict[str, Any], make_model: Make, make_batch: Make) -> None:
    """Token by token, or in pieces of several."""
    model: Echo = make_model(**options)
    for pieces in ([1] * 6, [2, 1, 3]):
        assert_cached_equals_uncached(model, make_batch(), TOKENS, pieces)


def test_padding_and_batch_size_change_no_logit(
    options: dict[str, Any], make_model: Make, make_batch: Make, cut: Make
) -> None:
    assert_batch_blind(make_model(**options), make_batch(), TOKENS, cut)


@pytest.mark.parametrize("name", PRESETS)
def test_all_of_this_holds_for_the_presets(name: str, make_batch: Make, cut: Make) -> None:
    torch.manual_seed(0)
    model = Echo(ModelConfig(**PRESETS[name]), vocabulary_size=7).eval()
    batch = make_batch([30, 9], mels=80)
    with torch.no_grad():  # a zero token at the start of an untrained model attends to all frames alike
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    assert_causal(model, batch, TOKENS[:2, :4], 7)
    assert_cached_equals_uncached(model, batch, TOKENS[:2], [1] * 6)
    assert_batch_blind(model, batch, TOKENS[:2], cut)


@pytest.mark.parametrize("options", [{"gate": "pitch"}, {"vrope": {"radius": "acoustic"}}], ids=str)
def test_text_positions_read_pitch_about_the_reference(
    options: dict[str, Any], make_model: Make, make_batch: Make
) -> None:
    """About the utterance's own median a higher voice gives the same text; about 220 Hz another."""
    batch = make_batch()
    higher = replace(batch, track=batch.track * 1.4)
    for reference in ("utterance", "fixed"):
        vrope = {**options.get("vrope", {}), "reference": reference}
        model: Echo = make_model(**{**options, "text_pitch": "aligned", "vrope": vrope})
        with torch.inference_mode():
            encoded = model.encode(batch)
            same_states = replace(encoded, track=model.encode(higher).track)  # what is left is what text reads
            before, after = (model.decode(TOKENS, model.decoder.state(e)) for e in (encoded, same_states))
        assert ((before - after).abs().max() < 1e-4) == (reference == "utterance")


def test_token_zero_is_embedded_as_exactly_zero_and_no_other_is(make_model: Make) -> None:
    decoder = make_model().decoder
    embedded = decoder.embed(torch.arange(7)[None])[0]
    assert torch.equal(embedded[0], torch.zeros(32))
    torch.testing.assert_close(embedded[1:], decoder.embedding * 32**0.5)
    assert decoder.embedding.shape == (6, 32)


@pytest.mark.parametrize("trained", [False, True])
def test_token_zero_is_scored_by_a_vector_and_bias_of_its_own(
    trained: bool, make_model: Make, make_batch: Make
) -> None:
    model: Echo = make_model()
    batch = make_batch()
    before = logits(model, batch, TOKENS)
    with torch.no_grad():
        if trained:
            model.decoder.end_vector.mul_(2.0)
        model.decoder.end_bias.add_(1.5)
    after = logits(model, batch, TOKENS)
    torch.testing.assert_close(after[..., 1:], before[..., 1:])
    grown = after[..., 0] - before[..., 0]
    if trained:
        assert grown.std() > 0.1, "the vector is scored against the state"
    else:
        torch.testing.assert_close(grown, torch.full_like(grown, 1.5))


def test_other_tokens_are_scored_by_their_embedding(make_model: Make, make_batch: Make) -> None:
    model: Echo = make_model()
    caught: list[Tensor] = []
    hook = model.decoder.norm.register_forward_hook(lambda *arguments: caught.append(arguments[2]))
    found = logits(model, make_batch(), TOKENS)
    hook.remove()
    torch.testing.assert_close(found[..., 1:], caught[0] @ model.decoder.embedding.detach().T)


@pytest.mark.parametrize("weights", ["as made", "random"])
@pytest.mark.parametrize("nulls", ["none", "hard", "weight", "score"])
def test_the_start_position_is_not_inert(weights: str, nulls: str, make_config: Make, make_batch: Make) -> None:
    """Though it begins as zero, it hears the recording, and every layer learns from it."""
    torch.manual_seed(0)
    model = Echo(make_config(text_nulls=nulls, cross_layers=2), 7, 8).eval()
    if weights == "random":
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    start = torch.zeros(4, 1, dtype=torch.long)
    first = model(make_batch(), start)
    assert first[:, 0].std(0).min() > 0.01, "each recording gives other logits"
    first.log_softmax(-1)[..., 1].sum().backward()
    learning = ("value", "output", "feedforward") if weights == "as made" else ("query", "key", "value", "output")
    for name, parameter in model.decoder.stacks.named_parameters():
        if ".cross." in name and name.split(".")[-2] in learning and name.endswith("weight"):
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"text_nulls": "score"},
        {"text_nulls": "hard", "positions": "sinusoidal", "vrope": {"theta": "none"}},
        {"text_nulls": "hard", "positions": "both"},
        {"text_nulls": "weight", "positions": "both"},
        *(
            pytest.param(
                {"text_nulls": nulls},
                marks=pytest.mark.xfail(strict=True, reason="with no start token to see, rotation alone cannot count"),
            )
            for nulls in ("hard", "weight")
        ),
    ],
    ids=str,
)
def test_a_text_that_begins_with_a_repeated_token_can_be_told_from_one_that_does_not(
    options: dict[str, Any], make_model: Make, make_batch: Make
) -> None:
    found = logits(make_model(**options), make_batch([30]), torch.tensor([[0, 3, 3, 3]]))[0]
    assert (found[2] - found[1]).abs().max() > 0.01 and (found[3] - found[2]).abs().max() > 0.01


def test_the_order_of_the_features_is_the_order_of_listening(make_model: Make, make_batch: Make) -> None:
    one: Echo = make_model(features=("spectrogram", "pitch"))
    other: Echo = make_model(features=("pitch", "spectrogram"), seed=1)
    other.load_state_dict(one.state_dict())
    batch = make_batch()
    assert (logits(one, batch, TOKENS) - logits(other, batch, TOKENS)).abs().max() > 0.01
    for model, expected in ((one, ["spectrogram", "pitch"]), (other, ["pitch", "spectrogram"])):
        ran: list[str] = []
        hooks = [
            stack[0].register_forward_hook(lambda *_, name=name, ran=ran: ran.append(name))
            for name, stack in model.decoder.stacks.items()
        ]
        logits(model, batch, TOKENS)
        for hook in hooks:
            hook.remove()
        assert ran == expected


@pytest.mark.parametrize("memory", [True, False])
def test_a_state_keeps_the_chosen_rows(memory: bool, make_model: Make, make_batch: Make) -> None:
    """With the recordings (rows leave the batch), or without them (texts change places on one recording)."""
    model: Echo = make_model()
    rows = torch.tensor([2, 0, 2])
    with torch.inference_mode():
        if memory:
            encoded = model.encode(make_batch())
            state = model.decoder.state(encoded)
            model.decode(TOKENS[:, :3], state)
            state.select(rows)
            found = model.decode(TOKENS[rows, 3:4], state)[:, 0]
            expected = logits(model, make_batch(), TOKENS[:, :4])[rows, -1]
        else:
            batch = make_batch([20, 20, 20])
            state = model.decoder.state(model.encode(batch))
            model.decode(TOKENS[:3, :3], state)
            state.select(rows, memory=False)
            found = model.decode(TOKENS[rows, 3:4], state)[:, 0]
            expected = logits(model, batch, TOKENS[rows, :4])[:, -1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_state_without_a_cache_keeps_nothing(make_model: Make, make_batch: Make) -> None:
    model: Echo = make_model()
    with torch.inference_mode():
        state = model.decoder.state(model.encode(make_batch()), cached=False)
        first, again = (model.decode(TOKENS, state) for _ in range(2))
    assert state.caches == [] and torch.equal(first, again)
