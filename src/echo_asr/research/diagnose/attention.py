"""What each head attends to in one recording: a picture for each encoder, for the text, and from text to frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

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
from echo_asr.research.diagnose.colours import BLUE, INK
from echo_asr.research.diagnose.probes import Call, record_calls
from echo_asr.research.diagnose.rotary import draw_f0
from echo_asr.storage import make_folder
from echo_asr.vrope import PitchTrack, VRoPEAttention

LONGEST = 60.0  # seconds of a recording whose attention is drawn
START = "start"  # stands for the token 0 before a text
LETTER, LINE = 0.068, 0.15  # inches that a letter takes beside its neighbour, and a line of text under another
PANEL, STRIP = 2.6, 0.9  # inches, of one head, and of the panels with F0
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
    with record_calls(model.encoders, VRoPEAttention, prefix="encoders") as calls:
        encoded = model.encode(collate_features([clip]).to(model.device), recognizer.features)
    ids = search(model, encoded, recognizer.decode, recognizer.fusion)[0].tokens
    words: list[tuple[str, float, float]] = []
    if ids:
        with record_calls(model.decoder, VRoPEAttention, CrossAttention, prefix="decoder") as of_text:
            force(model, encoded, [ids])
        calls += of_text
        _, spoken = align(model, encoded, [clip], [ids], tokenizer, recognizer.decode.times)[0]
        words = [(word.word, word.start, word.end) for word in spoken]
    frames = encoded.track.f0.shape[1]
    weights = {call.name: _weights(call, frames).cpu().numpy() for call in calls}
    texts = token_texts(tokenizer, ids) if ids else []
    return AttentionMaps(weights, encoded.track, frames_to_seconds(model.config.subsampling), texts, words)


def _weights(call: Call, frames: int) -> Tensor:
    """The weights of one call of an attention, of one recording: `(H, queries, keys)`."""
    module, (x, other) = call.module, call.arguments[:2]
    if isinstance(module, CrossAttention):
        return module.weights(module.queries(x), other)[0].unflatten(2, (-1, frames)).sum(2)
    one_hot = torch.eye(x.shape[1], device=x.device, dtype=x.dtype).expand(len(x), module.config.heads, -1, -1)
    return module.read(x, one_hot, other)[0]


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
    of_text, over_time = part in ("text", "cross"), part != "text"  # the queries are tokens; the keys are frames
    height = min(TALLEST, max(PANEL, LINE * len(maps.tokens))) if of_text else PANEL
    width = PANEL if over_time else height
    ratios = [STRIP] * over_time + [height] * len(names)
    figure = new_figure(0.9 + (width + 0.6) * heads + 1.0, 0.8 + sum(ratios) + 0.45 * len(names), title)
    panels = figure.subplots(len(ratios), heads, squeeze=False, height_ratios=ratios)
    high = max(1e-6, *(float(np.quantile(maps.weights[name], 0.995)) for name in names))
    end = maps.track.f0.shape[1] * maps.seconds
    queries = [_readable(token) for token in maps.tokens]
    keys = [START, *queries[:-1]]
    if over_time:
        for panel in panels[0]:
            _draw_voice(panel, maps, end, width)
    image: Any = None
    for row, name in zip(panels[over_time:], names, strict=True):
        for head, panel in enumerate(row):
            shown = maps.weights[name][head]
            extent = (0.0, end if over_time else shown.shape[1], 0.0, shown.shape[0] if of_text else end)
            image = panel.imshow(shown, origin="lower", aspect="auto", extent=extent, cmap="Blues", vmin=0.0, vmax=high)
            panel.set_title(f"{_place(name)}, head {head + 1}", fontsize=8, color=INK, loc="left")
            if of_text:
                _ticks(panel.set_yticks, queries if head == 0 else [], height)
            if not over_time:
                _ticks(panel.set_xticks, keys, width, rotation=90)
            if head == 0:
                panel.set(ylabel="token to come" if of_text else "query (s)")
            if name == names[-1]:
                panel.set(xlabel="key (s)" if over_time else "token attended to")
    shrink = 0.6 if len(names) > 1 else 0.9
    figure.colorbar(image, ax=panels, shrink=shrink, fraction=0.05, pad=0.02, label="share of a query's attention")
    save_figure(figure, path)


def _draw_voice(panel: Axes, maps: AttentionMaps, end: float, width: float) -> None:
    """F0 over time, and the words where they are spoken, as many as there is room for."""
    draw_f0(panel, maps.track)
    panel.tick_params(labelbottom=False, labelsize=7)
    free = -1.0  # inches from the left up to which there is writing
    for word, start, stop in maps.words:
        panel.axvspan(start, stop, color=BLUE, alpha=0.07, linewidth=0)
        middle, half = (start + stop) / 2 / end * width, LETTER * _columns(word) / 2
        if middle - half > free and half <= middle <= width - half:
            panel.text((start + stop) / 2, 1.03, word, fontsize=7, ha="center", transform=panel.get_xaxis_transform())
            free = middle + half


def _ticks(set_ticks: Callable[..., Any], names: Sequence[str], room: float, **style: Any) -> None:
    """Names in the middle of their cells: all of them, or every so many where there is no room for all."""
    step = max(1, int(np.ceil(len(names) * LINE / room)))
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
