from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from echo_asr.features import FeatureBatch, collate_features
from echo_asr.model.echo import Echo, LossSizes
from tests.helpers.plain_model import PlainTransformer

Make = Callable[..., Any]
Texts = tuple[Tensor, Tensor]

PLAIN = {
    "cross_nulls": "none",
    "vrope": {"theta": "static", "frequencies": "inverse_power", "clock": "encoder"},
}
"""All of vRoPE switched off; radius unit, bias none and the other nulls none are the defaults."""


# --- all switched off equals a plain RoPE transformer


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subsampling": 2, "features": ("pitch", "spectrogram"), "cross_layers": 2},
        {"features": ("spectrogram",), "decoder_layers": 2},
        {"features": ("pitch",), "ctc_feature": "pitch", "decoder_layers": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("backend", ["reference", "sdpa"])
def test_all_switched_off_it_is_a_plain_rope_transformer(
    backend: str, options: dict[str, Any], make_model: Make, make_batch: Make, texts: Texts
) -> None:
    assert_plain(
        make_model(**{**PLAIN, **options, "vrope": {**PLAIN["vrope"], "backend": backend}}), make_batch(), texts
    )


def assert_plain(model: Echo, batch: FeatureBatch, texts: Texts) -> None:
    """States, logits and CTC scores are those of the definition."""
    plain = PlainTransformer(model)
    tokens = torch.nn.functional.pad(texts[0], (1, 0))
    with torch.inference_mode():
        encoded = model.encode(batch)
        logits = model(batch, tokens).double().numpy()
        symbols = model.ctc_log_probabilities(encoded).double().numpy()
    for row, frames in enumerate(encoded.lengths.tolist()):
        heard, pitch = plain.features(batch, row), plain.pitch(batch, row)
        states = {name: plain.encode(heard[name], name, pitch) for name in encoded.states}
        for name, expected in states.items():
            np.testing.assert_allclose(encoded.states[name][row, :frames], expected, atol=2e-4)
        np.testing.assert_allclose(logits[row], plain.decode(tokens[row].tolist(), states, pitch), atol=5e-4)
        scores = plain.linear(states[model.config.ctc_feature], "ctc_head")
        scores = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
        np.testing.assert_allclose(symbols[row, :frames], scores, atol=5e-4)


ALIGNED = {"text_pitch": "aligned", "features": ("pitch", "spectrogram"), "decoder_layers": 1}


@pytest.mark.parametrize(
    "options",
    [
        {"features": ("waveform", "pitch"), "ctc_feature": "waveform", "waveform_layers": 1},
        {"combine": "blend", "cross_layers": 2},
        {"combine": "blend", "features": ("pitch", "waveform", "spectrogram"), "waveform_layers": 1, "subsampling": 2},
        {"combine": "joint"},
        {"combine": "joint", "features": ("pitch", "waveform", "spectrogram"), "waveform_layers": 1, "cross_layers": 2},
        {"combine": "joint", "features": ("spectrogram",)},
        {"gate": "scalar"},
        {"gate": "token", "combine": "blend"},
        {"gate": "pitch"},
        {**ALIGNED, "vrope": {"radius": "acoustic"}},
        {**ALIGNED, "vrope": {"radius": "acoustic", "radius_range": 0.9}, "gate": "token", "cross_layers": 2},
        {**ALIGNED, "gate": "pitch"},
        {**ALIGNED, "gate": "pitch", "vrope": {"radius": "acoustic"}, "combine": "blend", "subsampling": 2},
        {**ALIGNED, "gate": "pitch", "vrope": {"radius": "acoustic"}, "combine": "joint", "cross_layers": 3},
    ],
    ids=str,
)
def test_with_other_options_it_is_what_they_say(
    options: dict[str, Any], make_model: Make, make_batch: Make, texts: Texts
) -> None:
    """The waveform's encoder, the ways to bring features together, gates, and pitch that text positions read."""
    vrope = {**PLAIN["vrope"], **options.get("vrope", {})}
    assert_plain(make_model(**{**PLAIN, **options, "vrope": vrope}), make_batch(), texts)


@pytest.mark.parametrize(
    "part",
    [
        *({"vrope": {**PLAIN["vrope"], **part}} for part in (
            {"theta": "none"}, {"theta": "mean"}, {"clock": "frame"}, {"frequencies": "mel"}, {"radius": "learned"},
            {"bias": "laplace"}, {"nulls": "score"},
        )),
        {"gate": "scalar"},
        {"gate": "token"},
        {"gate": "pitch"},
    ],
    ids=str,
)  # fmt: skip
def test_with_any_part_switched_on_it_is_none(part: dict[str, Any], make_model: Make, make_batch: Make) -> None:
    """What the tests above compare with tells the difference."""
    model: Echo = make_model(**{**PLAIN, **part})
    own = model.state_dict()
    plain: Echo = make_model(**PLAIN)
    plain.load_state_dict({n: x if n.endswith("frequencies") else own[n] for n, x in plain.state_dict().items()})
    batch = make_batch([24])
    with torch.inference_mode():
        distance = model.encode(batch).states["spectrogram"] - plain.encode(batch).states["spectrogram"]
    assert distance.abs().max() > 0.005


# --- loss


def test_every_parameter_gets_a_gradient(
    options: dict[str, Any], make_model: Make, make_batch: Make, texts: Texts
) -> None:
    model: Echo = make_model(**options)
    batch = make_batch()
    assert batch.null.any() and batch.voicing.any() and (texts[1] == 0).any()
    assert set(texts[0].flatten().tolist()) == set(range(7))
    model.train().loss(batch, *texts).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        dead = (parameter.grad == 0).sum().item()
        assert dead == 0, f"{name}: {dead} of {parameter.numel()} elements"


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [0.01, 0.3, 0.9])
def test_loss_is_the_equation_of_its_docstring(
    weight: float, smoothing: float, make_model: Make, make_batch: Make, texts: Texts, cut: Make
) -> None:
    """Term by term, one recording and one token at a time, the CTC terms by the textbook recurrence."""
    model: Echo = make_model(ctc_weight=weight)
    batch, (tokens, lengths) = make_batch(), texts
    with torch.inference_mode():
        found = model.loss(batch, tokens, lengths, smoothing)
        terms, ctc, blanks, frames = [], 0.0, 0, 0
        for row, length in enumerate(lengths.tolist()):
            text, recording = tokens[row, :length], cut(batch, row)
            logits = model(recording, torch.tensor([[0, *text.tolist()]]))
            logp = logits[0].double().log_softmax(-1)
            for place, target in enumerate([*text.tolist(), 0]):
                terms.append(-(1 - smoothing) * logp[place, target] - smoothing * logp[place].mean())
            symbols = model.ctc_log_probabilities(model.encode(recording))[0].double().numpy()
            ctc -= ctc_log_probability(symbols, text.tolist())
            blanks += int((symbols.argmax(-1) == 0).sum())
            frames += len(symbols)
    attention = float(torch.stack(terms).mean())
    assert float(found.attention) == pytest.approx(attention, rel=1e-4)
    assert float(found.ctc) == pytest.approx(ctc / (4 + 2 + 1 + 2), rel=1e-4)  # an empty text counts as one token
    assert float(found.total) == pytest.approx((1 - weight) * attention + weight * ctc / 9, rel=1e-4)
    assert float(found.blank_ratio) == pytest.approx(blanks / frames, abs=1e-6)


@pytest.mark.parametrize("parts", [[(0,), (1,), (2,), (3,)], [(2,), (0, 1, 3)], [(0, 3), (1, 2)]], ids=str)
@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"ctc_weight": 0.01},
        {"ctc_weight": 0.99},
        {"end_in_loss": False, "stop": "silence"},
        {"stop": "both", "cross_nulls": "score", "subsampling": 2},
    ],
    ids=str,
)
def test_the_losses_of_parts_add_up_to_that_of_the_whole(
    choice: dict[str, Any], parts: list[tuple[int, ...]], make_model: Make, texts: Texts, make_features: Make
) -> None:
    """So do the gradients, of the cross-entropy, of CTC and of what is learnt of stopping, however many tokens, empty
    texts and frames each part holds."""
    model: Echo = make_model(**choice)
    clips, (tokens, lengths) = [make_features(frames) for frames in (29, 40, 9, 22)], texts

    def taken(rows: tuple[int, ...]) -> tuple[FeatureBatch, torch.Tensor, torch.Tensor]:
        index = list(rows)
        longest = max(1, int(lengths[index].max()))
        return collate_features([clips[row] for row in rows]), tokens[index, :longest], lengths[index]

    whole = model.loss(*taken((0, 1, 2, 3)), 0.1)
    whole.total.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    counted = [vars(model.loss_sizes(batch, size)) for batch, _, size in map(taken, parts)]
    sizes = LossSizes(**{name: sum(one[name] for one in counted) for name in counted[0]})
    found = [model.loss(*taken(rows), 0.1, sizes=sizes) for rows in parts]
    for name in ("total", "attention", "ctc", "blank_ratio"):
        torch.testing.assert_close(sum(getattr(one, name) for one in found), getattr(whole, name))
    for one in found:
        one.total.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-5)


def ctc_log_probability(logp: np.ndarray, text: list[int]) -> float:
    """`log p(text)` of `(F, V)` by the forward recurrence of Graves et al. 2006, over text with blanks between."""
    symbols = [0]
    for token in text:
        symbols += [token, 0]
    alpha = np.full(len(symbols), -np.inf)
    alpha[:2] = logp[0, symbols[:2]]
    for frame in logp[1:]:
        before, alpha = alpha, np.full(len(symbols), -np.inf)
        for s, symbol in enumerate(symbols):
            sources = [before[s]] + ([before[s - 1]] if s else [])
            if s > 1 and symbol and symbol != symbols[s - 2]:
                sources.append(before[s - 2])
            alpha[s] = np.logaddexp.reduce(sources) + frame[symbol]
    return float(np.logaddexp.reduce(alpha[-2:]))


def test_more_padding_changes_no_loss(
    options: dict[str, Any], make_model: Make, make_batch: Make, texts: Texts
) -> None:
    model: Echo = make_model(**options)
    batch, (tokens, lengths) = make_batch(), texts
    more = {n: 160 * 11 if n == "waveform" else 11 for n in vars(batch) if n not in ("lengths", "null", "speaker_f0")}
    wider = {n: torch.nn.functional.pad(getattr(batch, n), (0, size)) for n, size in more.items()}
    wider["track"][:, -11:] = 220.0
    padded = replace(batch, **wider, null=torch.nn.functional.pad(batch.null, (0, 11), value=True))
    with torch.inference_mode():
        before = model.loss(batch, tokens, lengths, 0.1)
        after = model.loss(padded, torch.nn.functional.pad(tokens, (0, 3)), lengths, 0.1)
    for name in ("total", "attention", "ctc", "blank_ratio"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [0, 1, 3])
@pytest.mark.parametrize("nulls", ["none", "hard", "weight", "score"])
def test_a_batch_of_silence_with_empty_texts_has_a_finite_loss(
    nulls: str, width: int, make_model: Make, make_batch: Make
) -> None:
    """`width` is that of the padded texts; a batch may be nothing but silence."""
    model: Echo = make_model(text_nulls=nulls, cross_nulls=nulls, vrope={"nulls": nulls, "bias": "quadratic"}).train()
    heard: FeatureBatch = make_batch([12, 5])
    zeros = {n: torch.zeros_like(getattr(heard, n)) for n in ("spectrogram", "pitch", "voicing")}
    silence = replace(heard, **zeros, null=torch.ones_like(heard.null), track=torch.full_like(heard.track, 220.0))
    loss = model.loss(silence, torch.zeros(2, width, dtype=torch.long), torch.zeros(2, dtype=torch.long))
    loss.total.backward()
    assert loss.total.isfinite() and loss.attention > 0 and loss.ctc > 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert model.decoder.end_bias.grad.abs() > 0, "the end token is a target"


def test_a_text_too_long_for_its_frames_counts_nothing_in_ctc_and_breaks_nothing(
    make_model: Make, make_batch: Make
) -> None:
    model: Echo = make_model().train()
    loss = model.loss(make_batch([4, 24]), torch.tensor([[1, 1, 2], [1, 2, 0]]), torch.tensor([3, 2]))
    loss.total.backward()
    with torch.inference_mode():
        rest = model.loss(make_batch([4, 24]), torch.tensor([[0, 0, 0], [1, 2, 0]]), torch.tensor([0, 2]))
        first = model.ctc_log_probabilities(model.encode(make_batch([4])))[0, 0, 0]
    assert float(loss.ctc) * 5 == pytest.approx(float(rest.ctc) * 3 + float(first), rel=1e-4)
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_few_updates_lower_the_loss(make_config: Make, make_batch: Make, texts: Texts) -> None:
    torch.manual_seed(0)
    model = Echo(make_config(vrope={"theta": "integrated", "radius": "acoustic", "bias": "quadratic"}), 7, 8)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = model.loss(make_batch(), *texts)
        loss.total.backward()
        optimizer.step()
        losses.append((float(loss.attention), float(loss.ctc)))
    assert losses[-1][0] < 0.5 * losses[0][0] and losses[-1][1] < 0.5 * losses[0][1]


# --- the rest


def test_ctc_log_probabilities_are_a_distribution_from_the_named_feature(make_model: Make, make_batch: Make) -> None:
    batch = make_batch()
    for name in ("spectrogram", "pitch"):
        model: Echo = make_model(ctc_feature=name)
        with torch.inference_mode():
            encoded = model.encode(batch)
            found = model.ctc_log_probabilities(encoded)
            torch.testing.assert_close(found.exp().sum(-1), torch.ones(found.shape[:2]))
            torch.testing.assert_close(found, model.ctc_head(encoded.states[name]).log_softmax(-1))


def test_parameter_count_and_device(make_model: Make) -> None:
    model: Echo = make_model(vrope={"theta": "axis"})
    assert model.parameter_count == sum(p.numel() for p in model.parameters())
    model.ctc_head.weight.requires_grad_(False)
    assert model.parameter_count == sum(p.numel() for p in model.parameters()) - 7 * 32
    model.ctc_head.weight.requires_grad_(True)
    assert model.device == torch.device("cpu") and model.to("meta").device == torch.device("meta")


def test_the_seed_decides_the_weights(make_config: Make) -> None:
    def made(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in Echo(make_config(), 7, 8).parameters()])

    assert torch.equal(made(1), made(1)) and not torch.equal(made(1), made(2))
