"""Pictures of a study."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from echo_asr.research.study import pictures
from echo_asr.research.study.tables import Findings


@pytest.mark.parametrize("arms", [2, 30])
def test_curves_name_every_arm_once_and_nothing_lies_on_anything(
    arms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"arm number {n}, which has a name of some length" for n in range(arms)]
    study: Any = SimpleNamespace(
        arms=[SimpleNamespace(name=name) for name in (*names, "an arm whose jobs failed")],
        endpoints=[SimpleNamespace(name="word error", at=500)],
        primary="word error",
    )
    points = [
        {
            "condition": "as recorded",
            "measure": m,
            "arm": name,
            "seed": seed,
            "update": update,
            "error": 50 - update / 25,
        }
        for m in ("word", "tone", "base")
        for name in names
        for seed in (0, 1)
        for update in (250, 500, 750, 1000)
    ]
    drawn: list[Figure] = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: drawn.append(figure))
    assert pictures.draw_curves(Findings(study, [], points, [], [], {}, []), tmp_path / "curves.png")
    (figure,) = drawn
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == names
    boxes = [panel.get_tightbbox(canvas.get_renderer()) for panel in figure.axes] + [legend.get_window_extent()]
    whole = figure.bbox
    for number, box in enumerate(boxes):
        assert box is not None and whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0
        assert not any(box.overlaps(other) for other in boxes[number + 1 :] if other is not None)
    assert all(panel.get_window_extent().height > 200 for panel in figure.axes)
