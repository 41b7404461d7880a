"""What pictures are drawn on and written with; all that the package takes from matplotlib is taken here.

Where the usual font lacks a character, another one that is installed is found for it.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.axes import Axes as Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter as LogFormatter

from echo_asr.console import console
from echo_asr.errors import EchoError
from echo_asr.research.diagnose.colours import INK

USUAL = "DejaVu Sans"  # comes with matplotlib
LIKELY = ("sans", "regular", "cjk", "noto", "wqy", "droid", "unicode", "heiti", "gothic", "pingfang", "msyh")
UNLIKELY = ("bold", "italic", "oblique", "mono", "light", "thin", "black", "medium", "condensed", "serif")
SHOWN = 12  # characters named in a message


def beside() -> dict[str, Any]:
    """Where a legend overlaps nothing: right of its panel."""
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    return {**place, "fontsize": 8, "frameon": False}


def draw_grid(panel: Axes, **which: Any) -> None:
    """Pale lines behind what is drawn; `which` as of `Axes.grid`."""
    panel.grid(color="#eeeeee", linewidth=0.6, **which)
    panel.set_axisbelow(True)


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """An empty figure of so many inches, under a title if one is given."""
    figure = Figure(figsize=(width, height), dpi=110, facecolor="white", layout="constrained")
    if title:
        figure.suptitle(title, fontsize=12, color=INK)
    return figure


def figure_png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG, as of `render_figure`."""
    return render_figure(figure, "png")


def render_figure(figure: Figure, form: str) -> bytes:
    """A figure as the bytes of a file, `png`, `svg` or `pdf`; what the usual font lacks is drawn with fonts that have
    it, if there are any.

    What no installed font has is named in one line, and drawn as boxes.
    """
    for panel in figure.axes:
        panel.spines[["top", "right"]].set_visible(False)
    image, lacking = _draw(figure, form)
    families = fonts_for(frozenset(lacking)) if lacking else ()
    if families:
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            text.set_fontfamily([USUAL, *families])
        for panel in figure.axes:
            panel.tick_params(labelfontfamily=[USUAL, *families])
        image, lacking = _draw(figure, form)
    if lacking:
        some = " ".join(sorted(map(chr, lacking))[:SHOWN]) + (" \u2026" if len(lacking) > SHOWN else "")
        console().print(
            f"a picture has boxes for {some}: no installed font has them; install one; Noto has nearly all",
            highlight=False, markup=False,
        )  # fmt: skip
    return image


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG, or as SVG or PDF if the path ends so.

    Raises:
        EchoError: it cannot be written.
    """
    form = Path(path).suffix.lower().removeprefix(".")
    image = render_figure(figure, form if form in ("svg", "pdf") else "png")
    try:
        Path(path).write_bytes(image)
    except OSError as error:
        raise EchoError(f"{path}: cannot write the picture ({error.strerror}); check the folder") from None


def _draw(figure: Figure, form: str) -> tuple[bytes, set[int]]:
    """The image, and the characters that no font was there for; other warnings are passed on."""
    buffer, lacking = io.BytesIO(), set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        canvas = FigureCanvasAgg(figure)
        canvas.print_png(buffer) if form == "png" else canvas.print_figure(buffer, format=form)
    for one in caught:
        glyph = re.match(r"Glyph (\d+) .*missing from", str(one.message))
        if glyph:
            lacking.add(int(glyph[1]))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return buffer.getvalue(), lacking


@cache
def fonts_for(characters: frozenset[int]) -> tuple[str, ...]:
    """Families of installed fonts that have as many of these characters as possible, few of them, likely ones first."""
    families, wanted = [], set(characters)
    for path in sorted(font_manager.findSystemFonts(), key=_unlikeliness):
        if not wanted:
            break
        try:
            font = FT2Font(path)
            has = wanted & set(font.get_charmap())
            if has:
                font_manager.fontManager.addfont(path)
                families.append(font.family_name)
                wanted -= has
        except (RuntimeError, OSError, ValueError, KeyError):
            continue  # no font that can be drawn with, such as one of coloured bitmaps
    return tuple(families)


def _unlikeliness(path: str) -> tuple[int, str]:
    name = Path(path).name.lower()
    return 3 * sum(word in name for word in UNLIKELY) - sum(word in name for word in LIKELY), name
