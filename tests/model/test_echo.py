import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from echo_asr.features import FeatureBatch
from echo_asr.model.echo import Echo

Make = Callable[..., Any]
Texts = tuple[Tensor, Tensor]

PLAIN = {"vrope": {"theta": "static", "frequencies": "inverse_power", "clock": "encoder"}}
"""All of vRoPE switched off; radius unit, bias none and nulls none are the defaults."""


# --- all switched off equals a plain RoPE transformer


class PlainTransformer:
    """A transformer with RoPE by complex numbers (Su et al. 2021) and explicit softmax, in float64 numpy, one recording
    and one text at a time, from the weights of an Echo. It shares no code with it."""

    def __init__(self, model: Echo) -> None:
        self.weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
        self.config = model.config

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights.get(f"{name}.bias", 0.0)

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def convolution(self, x: np.ndarray, name: str, stride: int) -> np.ndarray:
        """`(C, T)` to `(D, ceil(T / stride))`, as sums over taps, followed by gelu."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        padded = np.pad(x, ((0, 0), (1, 4)))
        out = [
            sum(weight[:, :, k] @ padded[:, t + k] for k in range(weight.shape[2])) + bias
            for t in range(0, x.shape[1], stride)
        ]
        erf = np.vectorize(math.erf)
        return np.stack([v * 0.5 * (1 + erf(v / math.sqrt(2))) for v in out], 1)

    def attention(self, x: np.ndarray, heard: np.ndarray, name: str, rotary: bool, causal: bool) -> np.ndarray:
        heads, width = self.config.heads, self.config.width // self.config.heads
        query, key, value = (
            self.linear(source, f"{name}.{part}").reshape(len(source), heads, width)
            for part, source in (("query", x), ("key", heard), ("value", heard))
        )
        out = np.zeros_like(query)
        for head in range(heads):
            if rotary:
                turns = 10_000.0 ** (-np.arange(width // 2) / (width // 2))
                complex_query, complex_key = (
                    (z[:, head, : width // 2] + 1j * z[:, head, width // 2 :])
                    * np.exp(1j * np.arange(len(z))[:, None] * turns)
                    for z in (query, key)
                )
                scores = (complex_query @ complex_key.conj().T).real
            else:
                scores = query[:, head] @ key[:, head].T
            for i in range(len(x)):
                last = i + 1 if causal else len(heard)
                share = np.exp(scores[i, :last] / math.sqrt(width))
                out[i, head] = share / share.sum() @ value[:last, head]
        return self.linear(out.reshape(len(x), -1), f"{name}.output")

    def block(self, x: np.ndarray, name: str, heard: np.ndarray | None = None, causal: bool = False) -> np.ndarray:
        inner = self.norm(x, f"{name}.attention_norm")
        x = x + self.attention(inner, inner, f"{name}.attention", rotary=True, causal=causal)
        if heard is not None:
            inner = self.norm(x, f"{name}.cross_norm")
            x = x + self.attention(inner, heard, f"{name}.cross", rotary=False, causal=False)
        inner = self.norm(x, f"{name}.feedforward_norm")
        gate = self.linear(inner, f"{name}.feedforward.gate")
        gated = gate / (1 + np.exp(-gate)) * self.linear(inner, f"{name}.feedforward.up")
        return x + self.linear(gated, f"{name}.feedforward.output")

    def encode(self, x: np.ndarray, feature: str) -> np.ndarray:
        strides = {2: (1, 2), 4: (2, 2)}[self.config.subsampling]
        for index, stride in enumerate(strides):
            x = self.convolution(x, f"encoders.{feature}.front.convolutions.{index}", stride)
        states = self.norm(x.T, f"encoders.{feature}.front.norm")
        for layer in range(self.config.layers(feature)):
            states = self.block(states, f"encoders.{feature}.blocks.{layer}")
        return self.norm(states, f"encoders.{feature}.norm")

    def decode(self, tokens: list[int], states: dict[str, np.ndarray]) -> np.ndarray:
        table = self.weights["decoder.embedding"]
        x = np.stack([table[t - 1] * math.sqrt(self.config.width) if t else 0.0 * table[0] for t in tokens])
        for layer in range(self.config.decoder_layers):
            x = self.block(x, f"decoder.blocks.{layer}", causal=True)
        for name in self.config.features:
            for layer in range(self.config.cross_layers):
                x = self.block(x, f"decoder.stacks.{name}.{layer}", states[name], causal=True)
        x = self.norm(x, "decoder.norm")
        end = x @ self.weights["decoder.end_vector"].T + self.weights["decoder.end_bias"]
        return np.concatenate((end, x @ table.T), 1)

    def features(self, batch: FeatureBatch, row: int) -> dict[str, np.ndarray]:
        frames = int(batch.lengths[row])
        f0, energy, periodicity = batch.pitch[row, :, :frames].double().numpy()
        octaves = np.log2(np.where(f0 > 0, f0, 220.0) / 220.0)
        return {
            "spectrogram": batch.spectrogram[row, :, :frames].double().numpy(),
            "pitch": np.stack((octaves, f0 > 0, energy, periodicity)),
        }


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
    model: Echo = make_model(**{**options, "vrope": {**PLAIN["vrope"], "backend": backend}})
    plain, batch = PlainTransformer(model), make_batch()
    tokens = torch.nn.functional.pad(texts[0], (1, 0))
    with torch.inference_mode():
        encoded = model.encode(batch)
        logits = model(batch, tokens).double().numpy()
        symbols = model.ctc_log_probabilities(encoded).double().numpy()
    for row, frames in enumerate(encoded.lengths.tolist()):
        heard = plain.features(batch, row)
        states = {name: plain.encode(heard[name], name) for name in encoded.states}
        for name, expected in states.items():
            np.testing.assert_allclose(encoded.states[name][row, :frames], expected, atol=2e-4)
        np.testing.assert_allclose(logits[row], plain.decode(tokens[row].tolist(), states), atol=5e-4)
        scores = plain.linear(states[model.config.ctc_feature], "ctc_head")
        scores = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
        np.testing.assert_allclose(symbols[row, :frames], scores, atol=5e-4)


@pytest.mark.parametrize(
    "vrope",
    [
        {"theta": "none"},
        {"theta": "mean"},
        {"clock": "frame"},
        {"frequencies": "mel"},
        {"radius": "learned"},
        {"bias": "laplace"},
        {"nulls": "score"},
    ],
    ids=str,
)
def test_with_any_part_switched_on_it_is_none(vrope: dict[str, Any], make_model: Make, make_batch: Make) -> None:
    """What the last test compares with tells the difference."""
    model: Echo = make_model(vrope={**PLAIN["vrope"], **vrope})
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
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.9])
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
    wider = {n: torch.nn.functional.pad(t, (0, 11)) for n, t in vars(batch).items() if n not in ("lengths", "null")}
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
    model: Echo = make_model(text_nulls=nulls, heard_nulls=nulls, vrope={"nulls": nulls, "bias": "quadratic"}).train()
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
