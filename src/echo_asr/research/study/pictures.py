"""Pictures of a study: learning curves, and what each arm differs by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from echo_asr.research.diagnose.canvas import draw_grid, new_figure, save_figure
from echo_asr.research.diagnose.colours import BLUE, GREEN, GREY, INK, ORANGE, RED
from echo_asr.research.study.results import Row
from echo_asr.research.study.tables import Findings

COLOURS = (INK, BLUE, RED, GREEN, ORANGE, "#7a4fa3", "#008b8b", "#d16ba5", "#6b8e23", "#a0522d")
STYLES = ("-", "--", ":", "-.")  # arms beyond the colours differ by their lines
WIDTH = 10.0  # inches
LINE, CHARACTER = 0.75, 0.06  # inches that an arm takes in the legend: the line, and a character of its name
VERDICTS = {"better": GREEN, "worse": RED, "not significant": GREY, "": GREY}


def draw_curves(findings: Findings, path: Path) -> bool:
    """Draw the error of every validation over updates: of each arm the mean over its seeds, thick, and each seed, thin.

    A panel a condition and measure. The dotted line is the update of the primary endpoint.

    Returns:
        whether there was anything to draw.

    Raises:
        EchoError: the picture cannot be written.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for point in findings.curves:
        groups.setdefault((point["condition"], point["measure"]), []).append(point)
    if not groups:
        return False
    drawn = {point["arm"] for point in findings.curves}
    across = max(1, math.floor(WIDTH / (LINE + CHARACTER * max(map(len, drawn)))))  # arms named side by side
    figure = new_figure(WIDTH, 0.9 + 3.8 * len(groups) + 0.2 * math.ceil(len(drawn) / across))
    panels = figure.subplots(len(groups), 1, squeeze=False)[:, 0]
    primary = next(e for e in findings.study.endpoints if e.name == findings.study.primary)
    for panel, ((condition, measure), points) in zip(panels, groups.items(), strict=True):
        for number, arm in enumerate(a.name for a in findings.study.arms):
            own = [p for p in points if p["arm"] == arm]
            if not own:
                continue
            colour, style = COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)]
            for seed in sorted({p["seed"] for p in own}):
                line = sorted((p["update"], p["error"]) for p in own if p["seed"] == seed)
                panel.plot(*zip(*line, strict=True), color=colour, linewidth=0.6, alpha=0.45)
            updates = sorted({p["update"] for p in own})
            at = [[p["error"] for p in own if p["update"] == u] for u in updates]
            means = [sum(each) / len(each) for each in at]
            marker = "o" if len(updates) < 12 else None
            panel.plot(updates, means, style, color=colour, linewidth=2.0, marker=marker, markersize=4, label=arm)
        if primary.at:
            panel.axvline(primary.at, color=GREY, linewidth=0.9, linestyle=":")
        panel.set(xlabel="update", ylabel=f"{measure} error (%)", title=condition, ylim=(0, None))
        draw_grid(panel)
    lines = {line.get_label(): line for panel in panels for line in panel.get_legend_handles_labels()[0]}
    arms = [lines[a.name] for a in findings.study.arms if a.name in lines]
    look: dict[str, Any] = {"fontsize": 8, "frameon": False, "handlelength": 4.0}  # long enough for a dashed line
    figure.legend(handles=arms, loc="outside lower left", ncols=across, **look)  # once for all panels, hiding none
    save_figure(figure, path)
    return True


def draw_differences(findings: Findings, path: Path) -> bool:
    """Draw each arm less what it is compared with by the primary endpoint, with its 95 % interval; a panel a condition.

    Returns, Raises: as `draw_curves`.
    """
    primary = findings.study.primary
    sections = [(c, [r for r in rows if _drawable(r)]) for c, e, rows in findings.sections() if e == primary]
    groups = [(condition, rows) for condition, rows in sections if rows]
    if not groups:
        return False
    heights = [0.9 + 0.34 * len(rows) for _, rows in groups]
    figure = new_figure(WIDTH, 0.4 + sum(heights))
    panels = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, (condition, rows) in zip(panels, groups, strict=True):
        _draw_intervals(panel, rows)
        panel.set_title(f"{primary}, {condition}", loc="left", fontsize=10)
    save_figure(figure, path)
    return True


def _drawable(row: Row) -> bool:
    return row.comparison is not None and row.comparison.interval is not None


def _draw_intervals(panel: Any, rows: Sequence[Row]) -> None:
    for height, row in enumerate(reversed(rows)):
        assert row.comparison is not None and row.comparison.interval is not None
        colour = VERDICTS[row.verdict]
        panel.plot(row.comparison.interval, (height, height), color=colour, linewidth=2.4, solid_capstyle="butt")
        panel.plot(row.comparison.difference, height, "o", color=colour, markersize=6)
        panel.annotate(
            row.verdict, (1.01, height), xycoords=("axes fraction", "data"), fontsize=8, color=colour, va="center"
        )
    panel.axvline(0.0, color=INK, linewidth=0.9)
    panel.set_yticks(range(len(rows)), [f"{r.arm}  less  {r.against}" for r in reversed(rows)], fontsize=8)
    panel.set_ylim(-0.6, len(rows) - 0.4)
    unit = "percentage points" if rows[0].unit == "%" else rows[0].unit
    panel.set_xlabel(f"difference ({unit}); left of 0 is better", fontsize=8)
    draw_grid(panel, axis="x")
