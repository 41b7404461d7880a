"""What holds for every option holds for them together: random combinations of all that a model can be told."""

import random
from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache
from itertools import permutations
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import Tensor

from echo_asr.features import FeatureBatch
from echo_asr.model.config import FEATURES, PRESETS, ModelConfig
from echo_asr.model.echo import Echo
from echo_asr.vrope import VRoPEModes
from tests.helpers.slow import slow

Make = Callable[..., Any]
QUICK, ALL = 12, 212
QUICK_SEED = 5  # one with which the quick combinations have every value of every option, as a test below says
TOKENS = torch.tensor([[0, 1, 2, 2, 3, 6], [0, 4, 5, 0, 0, 1], [0, 6, 1, 5, 2, 0], [0, 3, 3, 0, 2, 4]])
WITH_ENCODER = ("tune", "adapters")  # of a pretrained encoder within the model, which test_tuned.py tries
COUNTS: dict[str, tuple[Any, ...]] = {
    "decoder_layers": (0, 1),
    "cross_layers": (1, 2),
    "features": tuple(order for count in (1, 2, 3) for order in permutations(FEATURES, count)),
}


def choices(kind: type) -> dict[str, tuple[Any, ...]]:
    """The values of every field that chooses: a new option takes part here as soon as there is one."""
    hints = get_type_hints(kind)
    found = [f.name for f in fields(kind) if f.name not in WITH_ENCODER]
    literal = {name: get_args(hints[name]) for name in found if get_origin(hints[name]) is Literal}
    return {**literal, **{name: (False, True) for name in found if hints[name] is bool}}


@lru_cache
def drawn(seed: int, count: int) -> list[dict[str, Any]]:
    """So many combinations, among which each option takes its values equally often, in random company. Where two cannot
    go together, one gives way."""
    draw = random.Random(seed)

    def column(values: tuple[Any, ...]) -> list[Any]:
        shuffled = [value for _ in range(-(-count // len(values))) for value in draw.sample(values, len(values))]
        return draw.sample(shuffled[:count], count)

    vrope = {name: column(values) for name, values in choices(VRoPEModes).items()}
    own = {name: column(values) for name, values in {**choices(ModelConfig), **COUNTS}.items()}
    found = []
    for index in range(count):
        modes = {name: values[index] for name, values in vrope.items()}
        options = {name: values[index] for name, values in own.items()}
        if options["ctc_feature"] not in options["features"]:
            options["ctc_feature"] = draw.choice(options["features"])
        if not {"spectrogram", "states"} & set(options["features"]) and options["pitch_input"] is True:
            options["pitch_input"] = "auto"
        if modes["theta"] != "none" and options["positions"] == "sinusoidal":
            options["positions"] = "both"
        if modes["theta"] in ("none", "mapped"):
            modes["learn_frequencies"] = False
        if not options["end_in_loss"]:
            options["stop"] = "silence"
        if modes["backend"] == "sdpa" and modes["bias"] == "laplace":
            modes["backend"] = "auto"
        if options["text_pitch"] == "aligned":
            stacks = 1 if options["combine"] == "joint" else len(options["features"])
            options["cross_layers"] = max(options["cross_layers"], -(-2 // stacks))
            if options["gate"] != "pitch":
                modes["radius"] = "acoustic"
        found.append({**options, "vrope": modes, "spectrogram_layers": 1, "waveform_layers": 1})
    return found


def test_the_quick_combinations_have_every_value_of_every_option() -> None:
    combinations = drawn(QUICK_SEED, QUICK)
    for name, values in {**choices(ModelConfig), **COUNTS}.items():
        if name != "features":
            assert {options[name] for options in combinations} == set(values), name
    for name, values in choices(VRoPEModes).items():
        assert {options["vrope"][name] for options in combinations} == set(values), name
    assert {feature for options in combinations for feature in options["features"]} == set(FEATURES)
    assert {len(options["features"]) for options in combinations} == {1, 2, 3}


@torch.inference_mode()
def invariants(model: Echo, batch: FeatureBatch, cut: Make) -> None:
    start = 0 if model.config.end_in_loss else 1  # without it the logit of token 0 is -inf

    def logits(heard: FeatureBatch, tokens: Tensor) -> Tensor:
        """And the log probabilities, in which attention to silence has a say."""
        state = model.decoder.state(model.encode(heard), cached=False)
        return torch.cat((model(heard, tokens)[..., start:], model.predict(tokens, state)), dim=-1)

    def close(found: Tensor, expected: Tensor) -> None:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-4)

    whole = logits(batch, TOKENS)
    # A future token changes nothing earlier, and the token itself counts.
    for place in range(1, TOKENS.shape[1]):
        changed = TOKENS.clone()
        changed[:, place:] = (changed[:, place:] + 1 + torch.arange(TOKENS.shape[1] - place)) % 7
        after = logits(batch, changed)
        close(after[:, :place], whole[:, :place])
        assert ((after[:, place] - whole[:, place]).abs().amax(-1) > 1e-3).all()
    # Neither padding nor what else is in the batch changes a logit; nor does the order of the batch.
    for row in range(len(TOKENS)):
        close(logits(cut(batch, row), TOKENS[row : row + 1])[0], whole[row])
    # Cached decoding equals uncached, token by token and in pieces.
    for pieces in ([1] * 6, [2, 1, 3]):
        state = model.decoder.state(model.encode(batch))
        predicted = [model.predict(part, state) for part in TOKENS.split(pieces, dim=1)]
        close(torch.cat(predicted, 1), whole[..., -7:])


def everything_learns(model: Echo, batch: FeatureBatch, texts: tuple[Tensor, Tensor]) -> None:
    model.train().loss(batch, *texts).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        dead = int((parameter.grad == 0).sum())
        assert dead == 0, f"{name}: {dead} of {parameter.numel()} elements"


@pytest.mark.parametrize("number", [pytest.param(n, marks=[] if n < QUICK else pytest.mark.slow) for n in range(ALL)])
def test_whatever_is_combined(
    number: int, make_model: Make, make_batch: Make, texts: tuple[Tensor, Tensor], cut: Make
) -> None:
    """Causal, blind to batch and padding, the same with a cache; and every parameter gets a gradient from a batch with
    nulls, voiced and unvoiced frames, an empty text and every token."""
    options = drawn(QUICK_SEED, QUICK)[number] if number < QUICK else drawn(0, ALL - QUICK)[number - QUICK]
    model: Echo = make_model(seed=number, **options)
    batch: FeatureBatch = make_batch()
    inside = ~batch.padding
    assert (batch.null & inside).any(1).all() and batch.voicing.any(1).all()
    assert ((batch.voicing == 0) & ~batch.null & inside).any() and (texts[1] == 0).any()
    assert set(texts[0].flatten().tolist()) == set(range(7))
    invariants(model, batch, cut)
    everything_learns(model, batch, texts)


@pytest.mark.parametrize("name", [slow(name) if name in ("medium", "base") else name for name in PRESETS])
def test_whatever_the_preset(
    name: str, make_config: Make, make_batch: Make, texts: tuple[Tensor, Tensor], cut: Make
) -> None:
    """The same of every size, with all of vRoPE at work and moved off its start; matrices are as they begin."""
    vrope = {"theta": "integrated", "radius": "acoustic", "bias": "quadratic", "nulls": "weight"}
    torch.manual_seed(0)
    model = Echo(make_config(**PRESETS[name], vrope=vrope), vocabulary_size=7, mels=8)
    assert {key: getattr(model.config, key) for key in PRESETS[name]} == PRESETS[name]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() < 2 or parameter.shape[-1] == 3:
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
    invariants(model.eval(), make_batch(), cut)
    everything_learns(model, make_batch(), texts)
