"""What each head attends to in one recording: a picture for each encoder, for the text, and from text to frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from echo_asr.audio import load_audio
from echo_asr.audio.convert import frames_to_seconds, samples_to_seconds
from echo_asr.console import console
from echo_asr.decode.alignment import align, force
from echo_asr.decode.search import search
from echo_asr.decode.times import token_texts
from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.features import collate_features
from echo_asr.model.cross_attention import CrossAttention
from echo_asr.research.diagnose.canvas import Axes, new_figure, save_figure
from echo_asr.research.diagnose.plots import BLUE, GREY, INK, RED
from echo_asr.storage import make_folder
from echo_asr.vrope import PitchTrack, VRoPEAttention

LONGEST = 60.0  # seconds of a recording whose attention is drawn
START = "start"  # stands for the token 0 before a text
LETTER, LINE = 0.068, 0.15  # inches that a letter takes beside its neighbour, and a line of text under another
PANEL = 2.6  # inches, of one head
TALLEST = 9.0  # inches, of a panel with many tokens


@dataclass(frozen=True)
class AttentionMaps:
    """All attention weights for one recording of `F` encoder frames, transcribed as `L` tokens.

    Attributes:
        weights: by the name of an attention, `(H, queries, keys)`; rows sum to 1. Of cross-attention to several
            features at once, the sum over the features.
        track: pitch at encoder frames.
        seconds: an encoder frame lasts.
        tokens: the texts of the tokens.
        words: each with its beginning and end in seconds.
    """

    weights: dict[str, np.ndarray]
    track: PitchTrack
    seconds: float
    tokens: list[str]
    words: list[tuple[str, float, float]]


@torch.inference_mode()
def attention_maps(recognizer: Recognizer, samples: np.ndarray) -> AttentionMaps:
    """All attention weights of a model while it transcribes samples `(S,)` at 16 kHz."""
    model, tokenizer = recognizer.bundle.model, recognizer.bundle.tokenizer
    clip = recognizer.extractor(samples)
    weights: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, module in model.encoders.named_modules(prefix="encoders"):
            if isinstance(module, VRoPEAttention):
                hooks.callback(module.register_forward_pre_hook(_keeping(name, weights)).remove)
        encoded = model.encode(collate_features([clip]).to(model.device), recognizer.features)
    ids = search(model, encoded, recognizer.decode, recognizer.fusion)[0].tokens
    words: list[tuple[str, float, float]] = []
    if ids:
        with ExitStack() as hooks:
            for name, module in model.decoder.named_modules(prefix="decoder"):
                if isinstance(module, VRoPEAttention | CrossAttention):
                    hooks.callback(module.register_forward_pre_hook(_keeping(name, weights)).remove)
            force(model, encoded, [ids])
        _, spoken = align(model, encoded, [clip], [ids], tokenizer, recognizer.decode.times)[0]
        words = [(word.word, word.start, word.end) for word in spoken]
    frames = encoded.track.f0.shape[1]
    found = {}
    for name, value in weights.items():
        if name.endswith(".cross"):
            value = value.unflatten(2, (-1, frames)).sum(2)
        found[name] = value.cpu().numpy()
    texts = token_texts(tokenizer, ids) if ids else []
    return AttentionMaps(found, encoded.track, frames_to_seconds(model.config.subsampling), texts, words)


def _keeping(name: str, weights: dict[str, Tensor]) -> Callable[..., None]:
    """A hook that keeps the weights of an attention."""

    def keep(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        x, other = arguments[:2]
        if isinstance(module, CrossAttention):
            weights[name] = module.weights(module.queries(x), other)[0]
            return
        assert isinstance(module, VRoPEAttention)
        one_hot = torch.eye(x.shape[1], device=x.device, dtype=x.dtype).expand(len(x), module.config.heads, -1, -1)
        weights[name] = module.read(x, one_hot, other)[0]

    return keep


def draw_attention(recognizer: Recognizer, audio: str | os.PathLike[str], folder: str | os.PathLike[str]) -> list[Path]:
    """Draw all attention of a model to one recording; returns where the pictures are.

    Raises:
        EchoError: the recording cannot be read or is too long, or the pictures cannot be written.
    """
    samples = load_audio(audio)
    if samples_to_seconds(len(samples)) > LONGEST:
        raise EchoError(f"{audio}: longer than {LONGEST:g} s, too much for a picture; cut a part out of it")
    folder = Path(folder)
    make_folder(folder)
    maps = attention_maps(recognizer, samples)
    if not maps.tokens:
        console().print(f"{audio}: no text was recognised, so there is no attention of text to draw", highlight=False)
    parts: dict[str, list[str]] = {}
    for name in maps.weights:
        words = name.split(".")
        part = words[1] if words[0] == "encoders" else "cross" if words[-1] == "cross" else "text"
        parts.setdefault(part, []).append(name)
    paths = []
    for part, names in parts.items():
        paths.append(folder / f"attention_{part}.png")
        plot_part(maps, part, names, paths[-1], Path(audio).name)
    return paths


def plot_part(
    maps: AttentionMaps, part: str, names: Sequence[str], path: str | os.PathLike[str], title: str = ""
) -> None:
    """Draw some attentions of a kind: a row for each, a column for each head, F0 and words over the time axis.

    Args:
        part: `text` (token by token), `cross` (token by time), or the feature of an encoder (time by time).

    Raises:
        EchoError: the picture cannot be written.
    """
    heads = maps.weights[names[0]].shape[0]
    over_time = part != "text"  # the keys are frames
    height = PANEL if part not in ("text", "cross") else min(TALLEST, max(PANEL, LINE * len(maps.tokens)))
    width = PANEL if over_time else height
    strip = 0.9  # inches of the panels with F0
    figure = new_figure(
        0.9 + (width + 0.6) * heads + 1.0, 0.8 + (strip if over_time else 0.0) + (height + 0.45) * len(names)
    )
    ratios = [*([strip] if over_time else []), *[height] * len(names)]
    panels = figure.subplots(len(ratios), heads, squeeze=False, height_ratios=ratios)
    high = max(float(np.quantile(maps.weights[name], 0.995)) for name in names)
    high = max(high, 1e-6)
    end = maps.track.f0.shape[1] * maps.seconds
    queries, keys = [_readable(t) for t in maps.tokens], [START, *(_readable(t) for t in maps.tokens[:-1])]
    if over_time:
        for panel in panels[0]:
            _draw_voice(panel, maps, end, width)
    image: Any = None
    for row, name in zip(panels[len(ratios) - len(names) :], names, strict=True):
        for head, panel in enumerate(row):
            shown = maps.weights[name][head]
            extent = (
                0.0,
                end if over_time else shown.shape[1],
                0.0,
                end if part not in ("text", "cross") else shown.shape[0],
            )
            image = panel.imshow(shown, origin="lower", aspect="auto", extent=extent, cmap="Blues", vmin=0.0, vmax=high)
            panel.set_title(f"{_place(name)}, head {head + 1}", fontsize=8, color=INK, loc="left")
            last = name == names[-1]
            if part in ("text", "cross"):
                _ticks(panel.set_yticks, queries if head == 0 else [], height, LINE, 1)
                panel.set(ylabel="token to come" if head == 0 else "")
            else:
                panel.set(ylabel="query (s)" if head == 0 else "")
            if over_time:
                panel.set(xlabel="key (s)" if last else "")
            else:
                _ticks(panel.set_xticks, keys, width, LINE, 1, rotation=90)
                panel.set(xlabel="token attended to" if last else "")
    scale = figure.colorbar(image, ax=panels, shrink=0.6 if len(names) > 1 else 0.9, fraction=0.05, pad=0.02)
    scale.set_label("share of a query's attention")
    if title:
        figure.suptitle(title, fontsize=11, color=INK)
    save_figure(figure, path)


def _draw_voice(panel: Axes, maps: AttentionMaps, end: float, width: float) -> None:
    """F0 over time, and the words where they are spoken, as many as there is room for."""
    f0, voiced = maps.track.f0[0].cpu().numpy(), maps.track.voicing[0].cpu().numpy() > 0
    seconds = (np.arange(len(f0)) + 0.5) * maps.seconds
    panel.plot(seconds, f0, color=GREY, linewidth=0.8)
    panel.plot(seconds[voiced], f0[voiced], ".", color=RED, markersize=3)
    margin = max(20.0, 0.15 * float(f0.max() - f0.min()))
    panel.set(xlim=(0, end), ylim=(float(f0.min()) - margin, float(f0.max()) + margin), ylabel="F0 (Hz)")
    panel.tick_params(labelbottom=False, labelsize=7)
    free = -1.0  # inches from the left up to which there is writing
    for word, start, stop in maps.words:
        panel.axvspan(start, stop, color=BLUE, alpha=0.07, linewidth=0)
        middle, half = (start + stop) / 2 / end * width, LETTER * _columns(word) / 2
        if middle - half > free and half <= middle <= width - half:
            panel.text((start + stop) / 2, 1.03, word, fontsize=7, ha="center", transform=panel.get_xaxis_transform())
            free = middle + half


def _ticks(
    set_ticks: Callable[..., Any], names: Sequence[str], room: float, each: float, at_least: int, **style: Any
) -> None:
    """Names in the middle of their cells: all of them, or every so many where there is no room for all."""
    step = max(at_least, int(np.ceil(len(names) * each / room)))
    chosen = range(0, len(names), step)
    set_ticks([index + 0.5 for index in chosen], [names[index] for index in chosen], fontsize=7, **style)


def _place(name: str) -> str:
    """The layer of an attention: `layer 2`, or `pitch 1` for the first block that attends to pitch."""
    words = name.split(".")
    number = next(int(word) + 1 for word in words if word.isdigit())
    return f"{words[2]} {number}" if "stacks" in words else f"layer {number}"


def _readable(token: str) -> str:
    return token.replace(" ", "\u2423").replace("$", r"\$") or "\u2026"


def _columns(text: str) -> int:
    """Columns that a text takes: a Chinese character is as wide as two letters."""
    return sum(2 if ord(letter) >= 0x1100 else 1 for letter in text)
