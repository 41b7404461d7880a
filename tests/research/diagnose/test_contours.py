"""The picture of contours by tone and speaker."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from echo_asr.decode.syllables import SyllableContour
from echo_asr.errors import EchoError
from echo_asr.features.contours import SpeakerRange
from echo_asr.research.diagnose import contours as module
from echo_asr.research.diagnose.contours import PANELS, SPEAKERS, plot_contours
from tests.helpers.slow import slow

TIMES = np.linspace(0.1, 0.3, 11)


def contour(tone: str, speaker: str, f0: np.ndarray | float) -> SyllableContour:
    values = np.broadcast_to(np.asarray(f0, float), (11,))
    own = ("a.wav", speaker, "u", speaker or "/folder/a.wav", 1, "ma", tone, 0.0, 0.4, 1.0)
    return SyllableContour(*own, TIMES, values, values > 0)


def ranges_of(contours: list[SyllableContour]) -> dict[str, SpeakerRange]:
    return {one.voice: SpeakerRange(100.0, 50.0, 200.0) for one in contours}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn; nothing is saved."""
    figures: list[Figure] = []
    monkeypatch.setattr(module, "save_figure", lambda figure, path: figures.append(figure))
    return figures


def draw(drawn: list[Figure], contours: list[SyllableContour], scale: str = "semitones", title: str = "t") -> Figure:
    plot_contours(contours, ranges_of(contours), Path("a.png"), scale, title)
    return drawn[-1]


def shown(figure: Figure) -> list[Any]:
    return [panel for panel in figure.axes if panel.get_visible()]


@pytest.mark.parametrize(("scale", "level"), [("semitones", 12.0), ("chao", 5.0)])
def test_a_panel_for_each_tone_with_the_mean_of_each_speaker(drawn: list[Figure], scale: str, level: float) -> None:
    flat, high, missing = contour("1", "x", 100.0), contour("4", "y", 200.0), contour("1", "x", np.nan)
    figure = draw(drawn, [flat, flat, high, high, missing], scale)
    first, second = shown(figure)
    assert first.get_title() == "tone 1  (n = 2)" and second.get_title() == "tone 4  (n = 2)"
    assert figure.get_suptitle() == "t: 2 speakers, 4 syllables"
    thick = [line for line in second.lines if line.get_linewidth() > 2 and line.get_color() == SPEAKERS[1]]
    assert len(thick) == 1 and thick[0].get_ydata() == pytest.approx([level] * 11)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y", "± 1 standard deviation"]


@pytest.mark.parametrize("count", [1, slow(4), 5, slow(7), PANELS])
def test_no_text_covers_another_whatever_the_tones(drawn: list[Figure], count: int) -> None:
    tones = ["", "\u0301", "\u0323", "˧˥", "˨˩˦", "³⁵", "35-21", *map(str, range(20))][: count + (count == PANELS)]
    contours = [contour(tone, name, 100.0 + n) for n, tone in enumerate(tones) for name in ("Ana", "Bo")]
    figure = draw(drawn, contours, title="corpus")
    assert len(shown(figure)) == count
    assert ("most frequent" in figure.get_suptitle()) == (len(tones) > PANELS)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [figure._suptitle, *figure.legends[0].get_texts()]  # type: ignore[attr-defined]
    for panel in shown(figure):
        texts += [panel.title, *(t for t in (panel.xaxis.label, panel.yaxis.label) if t.get_text())]
    boxes = [text.get_window_extent(renderer) for text in texts]
    page = figure.bbox
    assert all(page.x0 <= b.x0 and b.x1 <= page.x1 + 1 and page.y0 <= b.y0 and b.y1 <= page.y1 + 1 for b in boxes)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_many_speakers_share_a_colour_and_unknown_ones_are_files(drawn: list[Figure]) -> None:
    many = [contour("1", f"speaker {n}", 100.0) for n in range(len(SPEAKERS) + 1)]
    labels = [text.get_text() for text in draw(drawn, many).legends[0].get_texts()]
    assert labels[0] == f"mean of {len(many)} speakers"
    figure = draw(drawn, [contour("1", "", 100.0)], title="")
    assert figure.get_suptitle() == "1 recording, 1 syllable"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a.wav"]


@pytest.mark.parametrize(("name", "head"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")])
def test_pictures_in_three_formats_with_tone_letters(name: str, head: bytes, tmp_path: Path, capsys: Any) -> None:
    made = [contour("˧˥", "x", 100.0), contour("\u0301", "x", 110.0), contour("¹", "x", 90.0)]
    plot_contours(made, ranges_of(made), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(head)
    assert capsys.readouterr().err == ""  # the usual font has them


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(EchoError, match="nothing to draw, since no syllable has a voiced part"):
        plot_contours([contour("1", "x", np.nan)], {}, tmp_path / "a.png")
