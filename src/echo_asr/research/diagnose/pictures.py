"""The pictures of a report: gradients and activations over depth, attention to silence, radii, counterfactuals."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from echo_asr.audio.convert import frames_to_seconds
from echo_asr.decode.transcribe import Recognizer
from echo_asr.features import Features, collate_features
from echo_asr.model.encoder import pitch_track
from echo_asr.research.diagnose.canvas import Axes, Figure, beside, new_figure
from echo_asr.research.diagnose.groups import Group
from echo_asr.research.diagnose.plots import BLUE, GREEN, GREY, INK, NULL, RED
from echo_asr.research.diagnose.rotary import draw_f0
from echo_asr.vrope import VRoPEAttention

ORANGE, PURPLE = "#b8860b", "#6a4c93"
PROJECTION_COLOURS = {"q": BLUE, "k": GREEN, "v": RED, "sum": INK}
ACTIVATION_COLOURS = {
    "attention_output": BLUE, "mlp_activation": RED, "gate_activation": GREEN, "residual_output": INK,
    "final_output": GREY,
}  # fmt: skip
PLACE_COLOURS = {"position": BLUE, "input": RED, "both": INK}
CAPTIONS = {
    "decoder_attention_gradients": "Of encoders and decoder: the gradient of each attention, by "
    "projection. One far left of the others learns little from here on, or has learnt what it can.",
    "activation_analysis": "One row a block, from audio to text.",
    "radii": "The first of the recordings. The further the curve moves with F0 and voicing, the more they "
    "set the radius.",
    "attention_to_silence": "A dot to the left of its bar's end: silence gets less attention than its share of keys.",
    "counterfactuals": "Right of 0: worse than the model as it is. A line that touches 0 is no evidence of a change.",
}
ROW = 0.21  # inches a row of a picture with one row a layer


def short(name: str) -> str:
    """A module's name as it fits beside a picture: `spectrogram 1`, `text 1`, `text pitch 1 cross`."""
    words = name.split(".")
    numbered = [str(int(word) + 1) if word.isdigit() else word for word in words]
    kept = [word for word in numbered if word not in ("encoders", "blocks", "stacks", "attention")]
    return " ".join("text" if word == "decoder" else word for word in kept)


def draw_gradients(encoder: Group, decoder: Group) -> Figure | None:
    """Gradient norms of Q, K and V of each attention, and their sum, on a logarithmic scale; None without any."""
    rows = {**encoder.rows, **decoder.rows}
    if not rows:
        return None
    figure = new_figure(9, 1.1 + ROW * len(rows))
    panel = figure.subplots()
    for figure_name, colour in PROJECTION_COLOURS.items():
        values = [float(row[figure_name]) for row in rows.values()]
        panel.plot(
            values,
            range(len(rows)),
            "|" if figure_name == "sum" else "o",
            color=colour,
            markersize=6 if figure_name == "sum" else 4,
            label=figure_name.upper() if len(figure_name) == 1 else figure_name,
        )
    if any(float(value) > 0 for row in rows.values() for value in row.values()):
        panel.set_xscale("log")
    _name_rows(panel, [short(name) for name in rows])
    panel.set(xlabel="norm of the loss's gradient (nats, log scale)")
    panel.legend(**beside())
    return figure


def draw_activations(group: Group) -> Figure | None:
    """Mean of the absolute values and sparsity of each activation; None without any."""
    if not group.rows:
        return None
    names = list(
        dict.fromkeys(name.rpartition(".")[0].removesuffix(".attention").removesuffix(".cross") for name in group.rows)
    )
    figure = new_figure(11, 1.1 + ROW * len(names))
    mean, sparsity = figure.subplots(1, 2, sharey=True)
    for kind, colour in ACTIVATION_COLOURS.items():
        at, means, shares = [], [], []
        for name, row in group.rows.items():
            block, _, own = name.rpartition(".")
            if own == kind:
                at.append(names.index(block.removesuffix(".attention").removesuffix(".cross")))
                means.append(float(row["activation_mean"]))
                shares.append(100 * float(row["sparsity"]))
        if at:
            mean.plot(means, at, "o", color=colour, markersize=4)
            sparsity.plot(shares, at, "o", color=colour, markersize=4, label=kind.replace("_", " "))
    _name_rows(mean, [short(name) for name in names])
    _name_rows(sparsity, [short(name) for name in names])
    mean.set(xlabel="mean of the absolute values")
    mean.set_xlim(left=0)
    sparsity.set(xlabel="values within 0.01 of zero (%)")
    sparsity.set_xlim(left=0)
    sparsity.legend(**beside())
    return figure


def draw_silence(group: Group) -> Figure | None:
    """The share of attention that silence gets beside the share of the keys that it is; None without any."""
    if not group.rows:
        return None
    figure = new_figure(9, 1.1 + ROW * len(group.rows))
    panel = figure.subplots()
    at = np.arange(len(group.rows))

    def column(name: str) -> list[float]:
        return [100 * float(row.get(name, np.nan)) for row in group.rows.values()]

    panel.barh(at, column("null_keys"), color=NULL, label="silence among the keys")
    panel.plot(column("null_share"), at, "o", color=BLUE, markersize=4, label="attention that it gets")
    panel.plot(
        column("highest_head"), at, "|", color=RED, markersize=7, label="the same, of the head\nthat gives it most"
    )
    if any("start_share" in row for row in group.rows.values()):
        panel.plot(column("start_share"), at, "d", color=GREEN, markersize=4, label="attention to the\nstart token")
    _name_rows(panel, [short(name) for name in group.rows])
    panel.set(xlabel="share (%)", xlim=(-1, 101))
    panel.legend(**beside())
    return figure


def draw_counterfactuals(group: Group) -> Figure | None:
    """Changes of loss and error with their 95 % intervals; None where nothing was asked."""
    rows = {name: row for name, row in group.rows.items() if "loss_change" in row}
    if not rows:
        return None
    figure = new_figure(11, 1.3 + ROW * len(rows))
    panels = figure.subplots(1, 2, sharey=True)
    for panel, kind, axis in zip(
        panels,
        ("loss", "error"),
        ("change of the loss (nats a token)", "change of the word error (points of %)"),
        strict=True,
    ):
        drawn: set[str] = set()
        for at, (name, row) in enumerate(rows.items()):
            change, low, high = (float(row[f"{kind}_{end}"]) for end in ("change", "low", "high"))
            place = name.rpartition(", ")[2]
            colour = PLACE_COLOURS.get(place, PURPLE)
            label = (
                "F0 as " + place if place in ("position", "input") else "F0 as both" if place == "both" else "not F0"
            )
            panel.plot([low, high], [at, at], color=colour, linewidth=1.6)
            panel.plot([change], [at], "o", color=colour, markersize=4, label=None if label in drawn else label)
            drawn.add(label)
        panel.axvline(0.0, color=GREY, linewidth=0.8)
        panel.set(xlabel=axis)
        _name_rows(panel, list(rows))
    panels[1].legend(**beside())
    return figure


@torch.inference_mode()
def draw_radii(recognizer: Recognizer, clip: Features) -> Figure | None:
    """Radii of each encoder layer over one recording: their range over the pairs, and the mean; None for unit radii."""
    model = recognizer.bundle.model
    layers = _encoder_layers(recognizer, lambda attention: attention.rotation.radius is not None)
    if not layers:
        return None
    track = pitch_track(collate_features([clip]).to(model.device)).pool(model.config.subsampling)
    figure = new_figure(10, 1.6 + 1.0 * len(layers))
    top, *panels = figure.subplots(1 + len(layers), 1, sharex=True)
    shown = pitch_track(collate_features([clip]))
    draw_f0(top, shown, "F0 of one recording")
    frames = track.f0.shape[1]
    seconds = frames_to_seconds((np.arange(frames) + 0.5) * track.step)
    for panel, (name, attention) in zip(panels, layers.items(), strict=True):
        assert attention.rotation.radius is not None
        radius = attention.rotation.radius(track)[0].expand(frames, -1).cpu().numpy()
        panel.fill_between(seconds, radius.min(1), radius.max(1), color=NULL, label="all pairs", linewidth=0)
        panel.plot(seconds, radius.mean(1), color=BLUE, linewidth=1.2, label="mean", marker="." if frames == 1 else "")
        panel.axhline(1.0, color=GREY, linewidth=0.7, linestyle=":")
        rho = attention.rotation.modes.radius_range
        panel.set(ylim=(1 - 1.1 * rho, 1 + 1.1 * rho), ylabel="radius")
        panel.set_title(short(name), fontsize=9, color=INK, loc="left")
    top.set(xlabel="")
    panels[0].legend(**beside())
    panels[-1].set(xlabel="time (s)", xlim=(0, frames_to_seconds(clip.frames)))
    return figure


def _encoder_layers(recognizer: Recognizer, wanted: Callable[[VRoPEAttention], bool]) -> dict[str, VRoPEAttention]:
    named: Mapping[str, torch.nn.Module] = dict(recognizer.bundle.model.encoders.named_modules(prefix="encoders"))
    return {name: m for name, m in named.items() if isinstance(m, VRoPEAttention) and wanted(m)}


def _name_rows(panel: Axes, names: list[str]) -> None:
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.grid(color="#eeeeee", linewidth=0.6)
    panel.set_axisbelow(True)


def draw_all(groups: Mapping[str, Group], recognizer: Recognizer, clip: Features) -> dict[str, Figure]:
    """The pictures that there is something to show in, by the name of the group that they stand under."""
    drawn = {
        "decoder_attention_gradients": draw_gradients(
            groups["encoder_attention_gradients"], groups["decoder_attention_gradients"]
        ),
        "activation_analysis": draw_activations(groups["activation_analysis"]),
        "radii": draw_radii(recognizer, clip),
        "attention_to_silence": draw_silence(groups["attention_to_silence"]),
        "counterfactuals": draw_counterfactuals(groups["counterfactuals"]),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}
