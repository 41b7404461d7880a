"""Learning curves of several runs in one picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from echo_asr.research.diagnose.canvas import new_figure, save_figure
from echo_asr.research.diagnose.colours import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED, TEAL
from echo_asr.research.diagnose.plots import draw_curve, name_curves, read_metrics

COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE, INK, GREY, TEAL)
STYLES = ("-", "--", ":", "-.")  # once the colours are used up
PANELS = (
    ("train", "loss", "training loss\n(nats a token)", False),
    ("validation", "wer", "validation\nword error (%)", True),
    ("validation", "cer", "validation\ncharacter error (%)", True),
)


def plot_runs(folders: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]) -> None:
    """Draw training loss and free-running validation error of several runs over updates; see `plots.plot_curves`.

    Args:
        folders: of the runs, each with its `metrics.jsonl`.
        path: of the PNG to write.

    Raises:
        EchoError: a folder is no run or holds nothing to draw, or the picture cannot be written.
    """
    runs = [(name, read_metrics(Path(folder))) for name, folder in zip(run_names(folders), folders, strict=True)]
    figure = new_figure(11, 9, f"{len(runs)} runs")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=(1.4, 1, 1))
    for panel, (split, key, label, marked) in zip(panels, PANELS, strict=True):
        for index, (name, records) in enumerate(runs):
            colour, line = COLOURS[index % len(COLOURS)], STYLES[index // len(COLOURS) % len(STYLES)]
            marks = {"marker": "o", "markersize": 3.5} if marked else {"linewidth": 1.1}
            best = draw_curve(panel, records, split, key, name, colour, linestyle=line, **marks)
            if best and marked:
                panel.lines[-1].set_label(f"{name}, lowest {best[1]:.1f} %")
        panel.set(ylabel=label)
        if panel.lines:
            panel.set_ylim(bottom=0)
        name_curves(panel)
    panels[-1].set(xlabel="update")
    save_figure(figure, path)


def run_names(folders: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The folders' own names, with as much of the path before them as makes them differ."""
    paths = [Path(folder).resolve().parts for folder in folders]
    for depth in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-depth:]) for parts in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names
