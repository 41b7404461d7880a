"""The pictures of a report: gradients and activations over depth, attention to silence, radii, counterfactuals."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import torch

from echo_asr.audio.convert import frames_to_seconds
from echo_asr.features import Features, collate_features
from echo_asr.model.echo import Echo
from echo_asr.model.encoder import pitch_track
from echo_asr.research.diagnose.canvas import Axes, Figure, LogFormatter, beside, draw_grid, new_figure
from echo_asr.research.diagnose.colours import BLUE, GREEN, GREY, INK, NULL, PURPLE, RED
from echo_asr.research.diagnose.groups import Group, Rows
from echo_asr.research.diagnose.learnt import attentions
from echo_asr.research.diagnose.rotary import draw_f0

PROJECTION_COLOURS = {"q": BLUE, "k": GREEN, "v": RED, "sum": INK}
ACTIVATION_COLOURS = {
    "attention_output": BLUE, "mlp_activation": RED, "gate_activation": GREEN, "residual_output": INK,
    "final_output": GREY,
}  # fmt: skip
PLACES = {"position": (BLUE, "F0 as position"), "input": (RED, "F0 as input"), "both": (INK, "F0 as both")}
SILENCE_MARKS = (  # a figure, and its mark, colour, size and label
    ("null_share", "o", BLUE, 4, "attention that it gets"),
    ("highest_head", "|", RED, 7, "the same, of the head\nthat gives it most"),
    ("start_share", "d", GREEN, 4, "attention to the\nstart token"),
)
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


def draw_gradients(rows: Rows) -> Figure:
    """Gradient norms of Q, K and V of each attention, and their sum, on a logarithmic scale."""
    figure, (panel,) = _row_panels(9, rows)
    for name, colour in PROJECTION_COLOURS.items():
        mark, size, label = ("|", 6, name) if name == "sum" else ("o", 4, name.upper())
        panel.plot(_column(rows, name), range(len(rows)), mark, color=colour, markersize=size, label=label)
    if any(float(value) > 0 for row in rows.values() for value in row.values()):
        panel.set_xscale("log")
        panel.xaxis.set_minor_formatter(LogFormatter())  # 3e-02, which is short enough to stand beside 4e-02
        panel.xaxis.set_major_formatter(LogFormatter())
    panel.set(xlabel="norm of the loss's gradient (nats, log scale)")
    panel.legend(**beside())
    return figure


def draw_activations(rows: Rows) -> Figure:
    """Mean of the absolute values and sparsity of each activation, a row a block."""
    blocks = {name: re.sub(r"(\.attention|\.cross)?\.\w+$", "", name) for name in rows}
    names = list(dict.fromkeys(blocks.values()))
    figure, (mean, sparsity) = _row_panels(11, names, 2)
    for kind, colour in ACTIVATION_COLOURS.items():
        own = {name: row for name, row in rows.items() if name.endswith(f".{kind}")}
        at = [names.index(blocks[name]) for name in own]
        if own:
            mean.plot(_column(own, "activation_mean"), at, "o", color=colour, markersize=4)
            share = _column(own, "sparsity", 100.0)
            sparsity.plot(share, at, "o", color=colour, markersize=4, label=kind.replace("_", " "))
    mean.set(xlabel="mean of the absolute values", xlim=(0, None))
    sparsity.set(xlabel="values within 0.01 of zero (%)", xlim=(0, None))
    sparsity.legend(**beside())
    return figure


def draw_silence(rows: Rows) -> Figure:
    """The share of attention that silence gets beside the share of the keys that it is."""
    figure, (panel,) = _row_panels(9, rows)
    panel.barh(range(len(rows)), _column(rows, "null_keys", 100.0), color=NULL, label="silence among the keys")
    for name, mark, colour, size, label in SILENCE_MARKS:
        if any(name in row for row in rows.values()):
            share = _column(rows, name, 100.0)
            panel.plot(share, range(len(rows)), mark, color=colour, markersize=size, label=label)
    panel.set(xlabel="share (%)", xlim=(-1, 101))
    panel.legend(**beside())
    return figure


def draw_counterfactuals(rows: Rows) -> Figure:
    """Changes of loss and error with their 95 % intervals."""
    figure, panels = _row_panels(11, rows, 2)
    for panel, kind in zip(panels, ("loss", "error"), strict=True):
        for at, (name, row) in enumerate(rows.items()):
            change, low, high = (float(row[f"{kind}_{end}"]) for end in ("change", "low", "high"))
            colour, label = PLACES.get(name.rpartition(", ")[2], (PURPLE, "not F0"))
            panel.plot([low, high], [at, at], color=colour, linewidth=1.6)
            panel.plot([change], [at], "o", color=colour, markersize=4, label=label)
        panel.axvline(0.0, color=GREY, linewidth=0.8)
    panels[0].set(xlabel="change of the loss (nats a token)")
    panels[1].set(xlabel="change of the word error (points of %)")
    handles, labels = panels[1].get_legend_handles_labels()
    panels[1].legend(handles=dict(zip(labels, handles, strict=True)).values(), **beside())  # each label once
    return figure


@torch.inference_mode()
def draw_radii(model: Echo, clip: Features) -> Figure:
    """Radii of each encoder layer over one recording: their range over the pairs, and the mean."""
    layers = {name: attention.rotation for name, attention in attentions(model).items() if name.startswith("encoders.")}
    whole = pitch_track(collate_features([clip]).to(model.device))
    track = whole.pool(model.config.subsampling)
    figure = new_figure(10, 1.6 + 1.0 * len(layers))
    top, *panels = figure.subplots(1 + len(layers), 1, sharex=True)
    draw_f0(top, whole, "F0 of one recording")
    frames = track.f0.shape[1]
    seconds = frames_to_seconds((np.arange(frames) + 0.5) * track.step)
    for panel, (name, rotation) in zip(panels, layers.items(), strict=True):
        assert rotation.radius is not None
        radius = rotation.radius(track)[0].expand(frames, -1).cpu().numpy()
        panel.fill_between(seconds, radius.min(1), radius.max(1), color=NULL, label="all pairs", linewidth=0)
        panel.plot(seconds, radius.mean(1), color=BLUE, linewidth=1.2, label="mean", marker="." if frames == 1 else "")
        panel.axhline(1.0, color=GREY, linewidth=0.7, linestyle=":")
        rho = rotation.modes.radius_range
        panel.set(ylim=(1 - 1.1 * rho, 1 + 1.1 * rho), ylabel="radius")
        panel.set_title(short(name), fontsize=9, color=INK, loc="left")
    panels[0].legend(**beside())
    panels[-1].set(xlabel="time (s)", xlim=(0, frames_to_seconds(clip.frames)))
    return figure


def _row_panels(width: float, names: Collection[str], columns: int = 1) -> tuple[Figure, Sequence[Axes]]:
    """A figure of so many inches with panels side by side, in each a row for each name."""
    figure = new_figure(width, 1.1 + ROW * len(names))
    panels = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
    for panel in panels:
        panel.set_yticks(range(len(names)), [short(name) for name in names], fontsize=8)
        panel.set_ylim(len(names) - 0.4, -0.6)
        draw_grid(panel)
    return figure, panels


def _column(rows: Rows, name: str, unit: float = 1.0) -> list[float]:
    """One figure of all rows, times a unit."""
    return [unit * float(row.get(name, np.nan)) for row in rows.values()]


def draw_all(groups: Mapping[str, Group], model: Echo, clip: Features) -> dict[str, Figure]:
    """The pictures that there is something to show in, by the name of the group that they stand under."""
    by_encoder, by_decoder = (groups[f"{part}_attention_gradients"].rows for part in ("encoder", "decoder"))
    changes = {name: row for name, row in groups["counterfactuals"].rows.items() if "loss_change" in row}
    drawings: dict[str, tuple[Callable[[Rows], Figure], Rows]] = {
        "decoder_attention_gradients": (draw_gradients, {**by_encoder, **by_decoder}),
        "activation_analysis": (draw_activations, groups["activation_analysis"].rows),
        "attention_to_silence": (draw_silence, groups["attention_to_silence"].rows),
        "counterfactuals": (draw_counterfactuals, changes),
    }
    drawn = {name: draw(rows) for name, (draw, rows) in drawings.items() if rows}
    return drawn if model.config.vrope.radius == "unit" else {**drawn, "radii": draw_radii(model, clip)}
