"""The oracle of the tests: an Echo computed by definition, in float64 numpy, one recording and one text at a time."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erf, expit

from echo_asr.features import FeatureBatch
from echo_asr.model.echo import Echo


class PlainTransformer:
    """A transformer with RoPE by complex numbers (Su et al. 2021) and explicit softmax, from the weights of an Echo. It
    shares no code with it.

    It knows what the decoder does with features (sequential, blend, joint), gates, and pitch that text positions read;
    of vRoPE it knows the acoustic radius, about 220 Hz, and no more. Nulls weigh what they weigh.
    """

    def __init__(self, model: Echo) -> None:
        self.weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
        self.config = model.config
        assert model.config.vrope.reference == "fixed" and model.config.vrope.radius in ("unit", "acoustic")

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights.get(f"{name}.bias", 0.0)

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def convolution(self, x: np.ndarray, name: str, stride: int, before: int = 1) -> np.ndarray:
        """`(C, T)` to `(D, ceil(T / stride))`, as sums over taps, `before` zeros in front, followed by gelu."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        taps = weight.shape[2]
        padded = np.pad(x, ((0, 0), (before, taps)))
        starts = np.arange(0, x.shape[1], stride)
        out = sum(weight[:, :, k] @ padded[:, starts + k] for k in range(taps)) + bias[:, None]
        return out * 0.5 * (1 + erf(out / math.sqrt(2)))

    def attention(
        self,
        x: np.ndarray,
        heard: np.ndarray,
        name: str,
        causal: bool = False,
        rotary: bool = False,
        acoustics: np.ndarray | None = None,
        pitch: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """What attention adds, `(L, D)`, and the mean over the heads of what it reads of `pitch` `(F, 3)`: `(L, 3)`.

        With `acoustics` `(L, 3)` a position's radius is `1 + rho tanh(W [z, v, e] + b)`.
        """
        heads, width = self.config.heads, self.config.width // self.config.heads
        query, key, value = (
            self.linear(source, f"{name}.{part}").reshape(len(source), heads, width)
            for part, source in (("query", x), ("key", heard), ("value", heard))
        )
        out, read = np.zeros_like(query), np.zeros((len(x), 3))
        radius = np.ones((len(x), width // 2))
        if acoustics is not None:
            weight = self.weights[f"{name}.rotation.radius.weight"], self.weights[f"{name}.rotation.radius.bias"]
            radius += self.config.vrope.radius_range * np.tanh(acoustics @ weight[0].T + weight[1])
        for head in range(heads):
            if rotary:
                turns = 10_000.0 ** (-np.arange(width // 2) / (width // 2))
                complex_query, complex_key = (
                    (z[:, head, : width // 2] + 1j * z[:, head, width // 2 :])
                    * radius * np.exp(1j * np.arange(len(z))[:, None] * turns)
                    for z in (query, key)
                )  # fmt: skip
                scores = (complex_query @ complex_key.conj().T).real
            else:
                scores = query[:, head] @ key[:, head].T
            for i in range(len(x)):
                last = i + 1 if causal else len(heard)
                share = np.exp(scores[i, :last] / math.sqrt(width))
                share /= share.sum()
                out[i, head] = share @ value[:last, head]
                if pitch is not None:
                    read[i] += share @ pitch / heads
        return self.linear(out.reshape(len(x), -1), f"{name}.output"), read

    def gate(self, kind: str, x: np.ndarray, acoustics: np.ndarray, name: str) -> np.ndarray | float:
        if kind == "none":
            return 1.0
        bias = self.weights[f"{name}.bias"]
        if kind == "scalar":
            return 2 * expit(bias)
        return 2 * expit((x if kind == "token" else acoustics) @ self.weights[f"{name}.weight"].T + bias)

    def block(
        self,
        x: np.ndarray,
        name: str,
        acoustics: np.ndarray,
        gate: str,
        acoustic: bool = False,
        heard: np.ndarray | None = None,
        pitch: np.ndarray | None = None,
        causal: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The block's output, and the acoustics `(L, 3)` of its positions: given, or read of `pitch` `(F, 3)`."""
        inner = self.norm(x, f"{name}.attention_norm")
        given = acoustics if acoustic else None
        x = x + self.attention(inner, inner, f"{name}.attention", causal, rotary=True, acoustics=given)[0]
        if heard is not None:
            inner = self.norm(x, f"{name}.cross_norm")
            out, read = self.attention(inner, heard, f"{name}.cross", pitch=pitch)
            x, acoustics = x + out, acoustics if pitch is None else read
        inner = self.norm(x, f"{name}.feedforward_norm")
        turned = self.linear(inner, f"{name}.feedforward.gate")
        gated = self.linear(turned * expit(turned) * self.linear(inner, f"{name}.feedforward.up"),
                            f"{name}.feedforward.output")  # fmt: skip
        return x + self.gate(gate, inner, acoustics, f"{name}.feedforward.pass_gate") * gated, acoustics

    def encode(self, x: np.ndarray, feature: str, acoustics: np.ndarray) -> np.ndarray:
        name, config = f"encoders.{feature}", self.config
        if feature == "waveform":
            for index, stride in enumerate((5, 4, 4, 2)):
                x = self.convolution(x, f"{name}.wave.convolutions.{index}", stride, before=2)
        for index, stride in enumerate({2: (1, 2), 4: (2, 2)}[config.subsampling]):
            x = self.convolution(x, f"{name}.front.convolutions.{index}", stride)
        states = self.norm(x.T, f"{name}.front.norm")
        for layer in range(config.layers(feature)):
            acoustic = config.vrope.radius == "acoustic"
            states, _ = self.block(states, f"{name}.blocks.{layer}", acoustics, config.gate, acoustic)
        return self.norm(states, f"{name}.norm")

    def decode(self, tokens: list[int], states: dict[str, np.ndarray], pitch: np.ndarray) -> np.ndarray:
        """Logits `(L, V)`; `pitch` `(F, 3)` is that of the encoder frames."""
        config, table = self.config, self.weights["decoder.embedding"]
        aligned = config.text_pitch == "aligned"
        deaf = "token" if config.gate == "pitch" else config.gate
        x = np.stack([table[t - 1] * math.sqrt(config.width) if t else 0.0 * table[0] for t in tokens])
        acoustics = np.zeros((len(tokens), 3))
        for layer in range(config.decoder_layers):
            x, _ = self.block(x, f"decoder.blocks.{layer}", acoustics, deaf, causal=True)
        if config.combine == "joint":
            several = len(states) > 1
            kinds = {name: self.weights[f"decoder.kinds.{name}"] if several else 0.0 for name in states}
            pitch = np.concatenate([pitch] * len(states))
            states = {"joint": np.concatenate([states[name] + kinds[name] for name in states])}
        nothing_read = True
        for name in states if config.combine == "joint" else config.features:
            before = x
            for layer in range(config.cross_layers):
                x, acoustics = self.block(
                    x, f"decoder.stacks.{name}.{layer}", acoustics, config.gate if aligned else deaf,
                    acoustic=aligned and config.vrope.radius == "acoustic" and not nothing_read,
                    heard=states[name], pitch=pitch if aligned else None, causal=True,
                )  # fmt: skip
                nothing_read = False
            if config.combine == "blend":
                share = expit(self.weights[f"decoder.blends.{name}"])
                x = (1 - share) * before + share * x
        x = self.norm(x, "decoder.norm")
        end = x @ self.weights["decoder.end_vector"].T + self.weights["decoder.end_bias"]
        return np.concatenate((end, x @ table.T), 1)

    def features(self, batch: FeatureBatch, row: int) -> dict[str, np.ndarray]:
        """What the encoders hear of a recording, `(C, T)` each."""
        frames = int(batch.lengths[row])
        f0, energy, periodicity = batch.pitch[row, :, :frames].double().numpy()
        octaves = np.log2(np.where(f0 > 0, f0, 220.0) / 220.0)
        heard = {
            "spectrogram": batch.spectrogram[row, :, :frames].double().numpy(),
            "pitch": np.stack((octaves, f0 > 0, energy, periodicity)),
        }
        if batch.waveform is not None:
            heard["waveform"] = batch.waveform[row, :, : 160 * frames].double().numpy()
        return heard

    def pitch(self, batch: FeatureBatch, row: int) -> np.ndarray:
        """`z` in octaves about 220 Hz, voicing and energy of each encoder frame: `(F, 3)`."""
        frames, size = int(batch.lengths[row]), self.config.subsampling
        octaves = np.log2(batch.track[row, :frames].double().numpy() / 220.0)
        voicing, energy = (x[row, :frames].double().numpy() for x in (batch.voicing, batch.pitch[:, 1]))
        groups = [slice(start, start + size) for start in range(0, frames, size)]
        z = [np.mean(octaves[g][voicing[g] > 0] if voicing[g].any() else octaves[g]) for g in groups]
        return np.stack((z, [voicing[g].mean() for g in groups], [energy[g].mean() for g in groups]), 1)
